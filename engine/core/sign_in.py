"""Who somebody is, and with which role they come in: what access.toml says, applied to the claims of a provider."""

import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.core.people import ROLES, NotSignedIn, Person, Refused
from engine.core.secret import secret
from engine.core.shown import shown

HOURS, SCOPE = 12.0, "openid email profile"
CLOCKS = 60.0  # seconds by which the provider's clock may be ahead
# Printable ASCII around one @: other letters look alike, and lower case makes one of two.
EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+")


@dataclass(frozen=True)
class Access:
    """What access.toml says.

    url: the page's address as browsers see it; hours: after so many a person signs in again; roles: e-mail, "@domain"
    or "*" (everybody who can sign in) -> role, in small letters; groups: what a provider's groups claim holds -> role;
    email_claim, groups_claim: where the provider puts them; unverified_emails: whether an e-mail counts of which the
    provider does not say that it is verified.
    """

    url: str
    server_metadata_url: str
    client_id: str
    client_secret: str
    roles: dict[str, str]
    groups: dict[str, str] = field(default_factory=dict)
    hours: float = HOURS
    scope: str = SCOPE
    email_claim: str = "email"
    groups_claim: str = "groups"
    unverified_emails: bool = False

    def role_of(self, email: str, groups: tuple[str, ...] = ()) -> str | None:
        """A person's role: their own, else the highest of their groups', else their domain's, else everybody's; None:
        none. E-mails are compared as ASCII without regard to case; one with other letters is nobody's."""
        if not EMAIL.fullmatch(email):
            return None
        email = email.lower()
        if email in self.roles:
            return self.roles[email]
        if found := [self.groups[group] for group in groups if group in self.groups]:
            return max(found, key=ROLES.index)
        keys = ("@" + email.rpartition("@")[2], "*")
        return next((self.roles[key] for key in keys if key in self.roles), None)

    def person(self, claims: dict[str, Any]) -> Person:
        """Who has signed in, by what the provider says of them (OpenID Connect Core 1.0, sections 2 and 5.1).

        Raises NotSignedIn where nobody has, or too long ago; Refused for somebody who may not come in.
        """
        if not claims.get("is_logged_in"):
            raise NotSignedIn("Sign in to see this workspace.")
        if not (since := seconds(claims.get("iat"))):
            raise NotSignedIn(
                "Cannot let you in: the sign-in does not say when it was made ('iat'). Ask whoever runs this workspace "
                "to have the provider send that."
            )
        if (age := time.time() - since) < -CLOCKS:
            raise NotSignedIn(
                f"Cannot let you in: your sign-in is dated {-age:,.0f} seconds ahead of this machine's clock. Ask "
                "whoever runs this workspace to set the clock; then sign in again."
            )
        if age > 3600 * self.hours:
            raise NotSignedIn(f"Your sign-in has ended: it holds for {self.hours:g} hours. Sign in again to go on.")
        email, groups = self._email(claims), self._groups(claims)
        if (role := self.role_of(email, groups)) is None:
            raise Refused(f"Cannot let you in: {email} has no role here. Ask whoever runs this workspace for one.")
        return Person(email.lower(), role, groups)

    def _email(self, claims: dict[str, Any]) -> str:
        """The verified e-mail. Raises Refused."""
        email = claim_at(claims, self.email_claim)
        if not isinstance(email, str) or "@" not in email:
            gave = "no e-mail" if email is None else f"{shown(email)}, and not one e-mail,"
            raise Refused(
                f"Cannot let you in: the sign-in gave {gave} as {self.email_claim!r}. Ask whoever runs this "
                "workspace; email_claim in its access.toml says where your provider puts it."
            )
        if not EMAIL.fullmatch(email):
            raise Refused(
                f"Cannot let you in: {email!r} is not an address of ASCII letters around one @, and others can look "
                "like another person's. Ask whoever runs this workspace for a role under such an address."
            )
        verified, about = claims.get("email_verified"), claims.get("email")  # the first is of the second alone
        if isinstance(about, str) and about.lower() != email.lower() and not self.unverified_emails:
            raise Refused(
                f"Cannot let you in: {email}, which the provider gives as {self.email_claim!r}, is not the address "
                "that it calls verified or not. Ask whoever runs this workspace: email_claim in its access.toml "
                "can name 'email', or unverified_emails say that the provider hands out these addresses itself."
            )
        if verified is not True and verified != "true" and not self.unverified_emails:  # a text with Cognito
            raise Refused(
                f"Cannot let you in: the provider does not say that {email} is verified. Verify it there; or, where "
                "the provider hands out its addresses itself, whoever runs this workspace can set unverified_emails."
            )
        return email

    def _groups(self, claims: dict[str, Any]) -> tuple[str, ...]:
        """Those of somebody's groups that have a role here. Raises Refused where the provider held them back."""
        claimed = claim_at(claims, self.groups_claim)
        elsewhere = claims.get("_claim_names")  # Entra: where they could be asked for, or only that there are some
        held_back = (isinstance(elsewhere, dict) and self.groups_claim in elsewhere) or claims.get("hasgroups")
        if self.groups and claimed is None and held_back in (True, "true"):
            raise Refused(
                "Cannot let you in: you are in more groups than the provider sends. Ask whoever runs this workspace to "
                "have it send only the groups that are assigned to this application."
            )
        if isinstance(claimed, dict):  # Zitadel's roles, each with what it is of; or flags
            claimed = [name for name, held in claimed.items() if held not in (None, False, "false")]
        there = [claimed] if isinstance(claimed, str) else claimed if isinstance(claimed, list) else []
        return tuple(sorted({group for group in there if isinstance(group, str) and group in self.groups}))

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
                "client_kwargs": {"scope": self.scope},
            }
        }


def claim_at(claims: dict[str, Any], name: str) -> object:
    """A claim by its name; or, where none is called so, the one inside others, a dot between two (Keycloak's
    `realm_access.roles`). None where it is not there. Roles may be the names of an object, as with Zitadel."""
    found: object = claims
    for part in [name] if name in claims else name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def seconds(value: object) -> float:
    """A claim that is a time, in seconds since 1970; 0 for anything else."""
    return float(value) if isinstance(value, int | float) and -1e12 < value < 1e12 else 0.0


def sign_in_of(claims: dict[str, Any]) -> str:
    """The id of one sign-in: ending it ends every cookie and session that came of it."""
    identity = {name: claims.get(name) for name in ("iss", "sub", "email", "iat", "nonce", "jti", "sid")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32]
