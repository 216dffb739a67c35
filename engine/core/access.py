"""The file `access.toml` of a workspace: who may come in, and with which role (docs/SIGN_IN.md). Where there is none,
the page serves this machine only, and whoever sits there may do everything.
"""

import os
import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.core import settings_text
from engine.core.errors import Problem
from engine.core.files import open_regular
from engine.core.people import ROLES
from engine.core.sign_in import EMAIL, HOURS, Access

FILE = "access.toml"
LOCAL = ("127.0.0.1", "localhost")
LARGEST = 1 << 18  # bytes: thousands of people; it is parsed while everybody waits
NEEDED: dict[str, Any] = {"server_metadata_url": str, "client_id": str, "client_secret": str}
OPTIONS: dict[str, Any] = {
    "hours": (int, float),
    "scope": str,
    "email_claim": str,
    "groups_claim": str,
    "unverified_emails": bool,
}
BASE = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")  # the path that a url may have


def read(workspace: Path) -> Access | None:
    """What access.toml of a workspace says; None where there is none. Raises Problem for one that cannot be used."""
    path = workspace / FILE
    try:
        with open_regular(path) as file:
            mode, text = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Problem(f"Cannot read {path}: {error.strerror}. It says who may sign in, so nobody can.") from error
    if mode & 0o077:
        raise Problem(f"Cannot use {path}: other users of this machine can read its secret. Run `chmod 600 {path}`.")
    if len(text) > LARGEST:
        raise Problem(
            f"Cannot use {path}: it is larger than {LARGEST:,} bytes. It names people and their roles alone; "
            "docs/SIGN_IN.md has an example."
        )
    try:
        return _checked(settings_text.toml(text.decode()))
    except Problem as problem:
        raise Problem(f"Cannot use {path}: {problem} docs/SIGN_IN.md has an example.") from problem
    except (ValueError, RecursionError) as error:
        raise Problem(f"Cannot read {path}: {error}. Fix it; docs/SIGN_IN.md has an example.") from error


def nobody_signs_in(workspace: Path) -> bool:
    """Whether a workspace has no access.toml at all, so that whoever sits at the machine is its only user."""
    return not os.path.lexists(workspace / FILE)


def _checked(found: dict[str, Any]) -> Access:
    """Raises Problem with the half of a sentence that says what is wrong."""
    _known(found, {"url", "sign_in", "roles", "groups"}, "at its top")
    url, tables = found.get("url", ""), [found.get(name, {}) for name in ("sign_in", "roles", "groups")]
    if not all(isinstance(table, dict) for table in tables):
        raise Problem("[sign_in], [roles] and [groups] must be tables.")
    sign_in, roles, groups = tables
    _known(sign_in, {*NEEDED, *OPTIONS}, "in [sign_in]")
    for name, kind in (NEEDED | OPTIONS).items():
        value = sign_in.get(name)
        right = isinstance(value, kind) and value != "" and (kind is bool or not isinstance(value, bool))
        if not right and (name in NEEDED or name in sign_in):
            raise Problem(f"{name} in [sign_in] is {value!r}.")
    if not 0 < sign_in.get("hours", HOURS) <= 720:
        raise Problem(f"hours in [sign_in] is {sign_in['hours']!r}; use a number above 0 and up to 720.")
    if "openid" not in sign_in.get("scope", "openid").split():
        raise Problem(f"scope in [sign_in] is {sign_in['scope']!r}, without openid, which signs people in.")
    for name, value in (("url", url), ("server_metadata_url", sign_in["server_metadata_url"])):
        _check_url(name, value)
    if urlsplit(url).query or urlsplit(url).fragment or not BASE.fullmatch(urlsplit(url).path.rstrip("/")):
        raise Problem(
            f"url is {url!r}, and it must end with the host, the port, or a path of letters, digits, '-', '_' and '.'."
        )
    if not roles and not groups:
        raise Problem("[roles] is empty, so nobody could sign in.")
    return Access(url.rstrip("/"), roles=_roles(roles), groups=_with_roles(groups), **sign_in)


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
    """E-mails, domains and "*" in small letters, with their roles."""
    found: dict[str, str] = {}
    for who, role in _with_roles(roles).items():
        if who != "*" and not (EMAIL.fullmatch(who) or EMAIL.fullmatch(f"x{who}")):
            raise Problem(
                f'{who!r} in [roles] is not an e-mail address of ASCII letters; write one, or "@example.org", or "*".'
            )
        if who.lower() in found:
            raise Problem(f"{who!r} is in [roles] twice, in upper and lower case. Keep one.")
        found[who.lower()] = role
    return found


def _with_roles(table: dict[str, Any]) -> dict[str, str]:
    for who, role in table.items():
        if role not in ROLES:
            raise Problem(f"the role of {who!r} is {role!r}; use one of {', '.join(ROLES)}.")
    return table


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
