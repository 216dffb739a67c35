"""Why somebody who signed in may not come in: what the provider sent, and who can mend it."""

import time

import pytest

from engine.core import access
from engine.core.people import NotSignedIn, Refused
from tests.core.test_access import FINE, signed_in
from tests.support.access_files import write_access


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iat": None}, "does not say when it was made"),
        ({"iat": "now"}, "does not say when it was made"),
        ({"iat": 3600}, "dated 3,[56][0-9][0-9] seconds ahead of this machine's clock"),
        ({"iat": -13 * 3600}, "has ended: it holds for"),
        ({"email": ["rob@example.org", "x@example.org"]}, r"gave \['rob@.*'\], and not one e-mail, as 'email'"),
        ({"email": "rob"}, "gave 'rob', and not one e-mail"),
        ({"email": None}, "gave no e-mail as 'email'"),
    ],
)
def test_why_somebody_may_not_come_in(tmp_path, claims, said):
    write_access(tmp_path, FINE)
    claims = {**signed_in(email="rob@example.org", email_verified=True), **claims}
    if isinstance(claims["iat"], int):
        claims["iat"] += time.time()
    with pytest.raises((NotSignedIn, Refused), match=said):
        access.read(tmp_path).person(claims)


def test_an_address_may_stand_inside_a_claim_as_groups_may(tmp_path):
    write_access(tmp_path, FINE.replace("[sign_in]", '[sign_in]\nemail_claim = "user.email"'))
    claims = signed_in(user={"email": "rob@example.org"}, email_verified=True)
    assert access.read(tmp_path).person(claims).name == "rob@example.org"


def test_a_name_that_somebody_chose_is_not_verified_by_their_own_address(tmp_path):
    """email_verified is of `email` alone (OpenID Connect Core 1.0, 5.1); a user name may be anybody's address."""
    option = '[sign_in]\nemail_claim = "preferred_username"'
    write_access(tmp_path, FINE.replace("[sign_in]", option))
    claims = signed_in(email="eve@elsewhere.org", email_verified=True, preferred_username="olga@example.org")
    with pytest.raises(Refused, match="'preferred_username', is not the address"):
        access.read(tmp_path).person(claims)
    assert access.read(tmp_path).person(claims | {"email": "Olga@example.org"}).role == "operator"
    write_access(tmp_path, FINE.replace("[sign_in]", f"{option}\nunverified_emails = true"))
    assert access.read(tmp_path).person(claims).role == "operator"


def test_roles_of_an_object_that_are_not_held_are_none(tmp_path):
    write_access(tmp_path, FINE + '\n[groups]\nadmins = "operator"\nreaders = "viewer"\n')
    found = access.read(tmp_path)
    for no in (False, None, "false"):
        claims = signed_in(email="x@elsewhere.org", email_verified=True, groups={"admins": no, "readers": {"1": "x"}})
        assert found.person(claims).role == "viewer"
