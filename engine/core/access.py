"""Who may come in, and with which role: the file `access.toml` of a workspace (docs/SIGN_IN.md). Where there is none,
the page serves this machine only, and whoever sits there may do everything.
"""

import hashlib
import hmac
import os
import re
import stat
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.core.errors import Problem
from engine.core.people import ROLES, NotSignedIn, Person, Refused
from engine.core.secret import secret

FILE = "access.toml"
LOCAL = ("127.0.0.1", "localhost")
SIGN_IN: dict[str, Any] = {"server_metadata_url": str, "client_id": str, "client_secret": str, "hours": (int, float)}
HOURS = 12.0
BASE = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")  # the path that a url may have
CLOCKS = 60.0  # seconds by which the provider's clock may be ahead


@dataclass(frozen=True)
class Access:
    """What access.toml says.

    url: the page's address as browsers see it; hours: after so many a person signs in again; roles: e-mail, "@domain"
    or "*" (everybody who can sign in) -> role, all in small letters.
    """

    url: str
    server_metadata_url: str
    client_id: str
    client_secret: str
    roles: dict[str, str]
    hours: float = HOURS

    def role_of(self, email: str) -> str | None:
        """The role of who signs in with this e-mail: their own, else their domain's, else everybody's; None: none."""
        email = email.casefold()
        keys = (email, "@" + email.rpartition("@")[2], "*")
        return next((self.roles[key] for key in keys if key in self.roles), None)

    def person(self, claims: dict[str, Any]) -> Person:
        """Who has signed in, by what the provider says of them (OpenID Connect Core 1.0, sections 2 and 5.1).

        Raises NotSignedIn where nobody has, or too long ago; Refused for somebody who may not come in.
        """
        if not claims.get("is_logged_in"):
            raise NotSignedIn("Sign in to see this workspace.")
        if not 0 <= time.time() - float(claims.get("iat") or 0) + CLOCKS <= 3600 * self.hours + CLOCKS:
            raise NotSignedIn(f"Your sign-in has ended: it holds for {self.hours:g} hours. Sign in again to go on.")
        email = claims.get("email")
        if not isinstance(email, str) or "@" not in email:
            raise Refused("Cannot let you in: the sign-in gave no e-mail. Ask whoever runs this workspace.")
        if claims.get("email_verified") in (False, "false"):
            raise Refused(f"Cannot let you in: {email} is not verified where you signed in. Verify it there first.")
        if (role := self.role_of(email)) is None:
            raise Refused(f"Cannot let you in: {email} has no role here. Ask whoever runs this workspace for one.")
        return Person(email.casefold(), role)

    @property
    def host(self) -> str:
        """The name by which browsers know the page."""
        return urlsplit(self.url).hostname or ""

    @property
    def base(self) -> str:
        """The path below which a proxy serves the page, such as /mixdesk; empty where it has the host to itself."""
        return urlsplit(self.url).path

    @property
    def secure(self) -> bool:
        """Whether browsers reach the page by HTTPS only."""
        return self.url.startswith("https://")

    def secrets(self, workspace: Path) -> dict[str, Any]:
        """What Streamlit's sign-in needs to know. The key of its cookies is made from the workspace's secret."""
        key = hmac.new(secret(workspace), b"cookies", hashlib.sha256).hexdigest()
        return {
            "auth": {
                "redirect_uri": f"{self.url}/oauth2callback",
                "cookie_secret": key,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "server_metadata_url": self.server_metadata_url,
            }
        }


def read(workspace: Path) -> Access | None:
    """What access.toml of a workspace says; None where there is none. Raises Problem for one that cannot be used."""
    path = workspace / FILE
    try:
        with open(path, "rb") as file:
            mode, text = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Problem(f"Cannot read {path}: {error.strerror}. It says who may come in, so nobody may.") from error
    if mode & 0o077:
        raise Problem(f"Cannot use {path}: other users of this machine can read its secret. Run `chmod 600 {path}`.")
    try:
        return _checked(tomllib.loads(text.decode()))
    except Problem as problem:
        raise Problem(f"Cannot use {path}: {problem} docs/SIGN_IN.md has an example.") from problem
    except ValueError as error:
        raise Problem(f"Cannot read {path}: {error}. Fix it; docs/SIGN_IN.md has an example.") from error


def _checked(found: dict[str, Any]) -> Access:
    """Raises Problem with the half of a sentence that says what is wrong."""
    _known(found, {"url", "sign_in", "roles"}, "at its top")
    url, sign_in, roles = found.get("url", ""), found.get("sign_in", {}), found.get("roles", {})
    if not isinstance(sign_in, dict) or not isinstance(roles, dict):
        raise Problem("[sign_in] and [roles] must be tables.")
    _known(sign_in, set(SIGN_IN), "in [sign_in]")
    for name, kind in SIGN_IN.items():
        if not isinstance(sign_in.get(name, HOURS if name == "hours" else None), kind) or sign_in.get(name) == "":
            raise Problem(f"{name} in [sign_in] is {sign_in.get(name)!r}.")
    if not 0 < sign_in.get("hours", HOURS) <= 720:
        raise Problem(f"hours in [sign_in] is {sign_in['hours']!r}; use a number above 0 and up to 720.")
    for name, value in (("url", url), ("server_metadata_url", sign_in["server_metadata_url"])):
        _check_url(name, value)
    if urlsplit(url).query or urlsplit(url).fragment or not BASE.fullmatch(urlsplit(url).path.rstrip("/")):
        raise Problem(
            f"url is {url!r}, and it must end with the host, the port, or a path of letters, digits, '-', '_' and '.'."
        )
    return Access(url.rstrip("/"), roles=_roles(roles), **{"hours": HOURS, **sign_in})


def _known(found: dict[str, Any], keys: set[str], where: str) -> None:
    if unknown := set(found) - keys:
        raise Problem(f"it has {min(unknown)!r} {where}, where only {', '.join(sorted(keys))} are known.")


def _check_url(name: str, value: object) -> None:
    """An address of the web; without encryption only on this machine: cookies and codes pass there."""
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        host, _ = parts.hostname, parts.port  # raises where the port is not a number
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or parts.username:
        raise Problem(f"{name} is {value!r}, and it must be an address such as https://mixdesk.example.org.")
    if parts.scheme == "http" and host not in LOCAL:
        raise Problem(
            f"{name} is {value!r}: over plain http everybody on the way could read what signs people in. Use https."
        )


def _roles(roles: dict[str, Any]) -> dict[str, str]:
    for who, role in roles.items():
        if role not in ROLES:
            raise Problem(f"the role of {who!r} is {role!r}; use one of {', '.join(ROLES)}.")
        if who != "*" and ("@" not in who or not who.partition("@")[2]):
            raise Problem(f'{who!r} in [roles] is not an e-mail address; write one, or "@example.org", or "*".')
    if not roles:
        raise Problem("[roles] is empty, so nobody could come in.")
    return {who.casefold(): role for who, role in roles.items()}


class Watched:
    """access.toml as it is now: who loses a role loses it at once. A file that is broken meanwhile lets nobody in."""

    def __init__(self, workspace: Path):
        """Raises Problem as `read` does."""
        self.workspace, self._seen, self._access = workspace, self._stamp(workspace), read(workspace)
        self.configured = self._access is not None  # whether people sign in is decided when the server starts

    @staticmethod
    def _stamp(workspace: Path) -> tuple[int, ...] | None:
        try:
            found = os.stat(workspace / FILE)
            return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
        except OSError:
            return None

    def now(self) -> Access | None:
        """Raises Problem where people sign in and the file is gone or cannot be used."""
        if self.configured and (stamp := self._stamp(self.workspace)) != self._seen:
            found = read(self.workspace)
            if found is None:
                raise Problem(f"Cannot say who may come in: {self.workspace / FILE} is gone. Put it back.")
            self._seen, self._access = stamp, found
        return self._access if self.configured else None
