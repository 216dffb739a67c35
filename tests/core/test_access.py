"""The file that says who may do what, and tokens for programs."""

import json
import os
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import access
from engine.core.errors import Problem
from engine.core.people import NotSignedIn, Person, Refused, as_person
from engine.core.secret import secret
from engine.service import api_tokens
from tests.support.access_files import EXAMPLE, write_access
from tests.support.running import Page, engine
from tests.system.test_server import ask, attempt, post

# The file --------------------------------------------------------------------------------------------------

FINE = EXAMPLE.format(url="https://mixdesk.example.org", provider="https://accounts.example.org")


def test_roles_by_person_then_domain_then_everybody(tmp_path):
    write_access(tmp_path, FINE + '"*" = "viewer"\n"@sub.example.org" = "reviewer"\n')
    found = access.read(tmp_path)
    assert (found.host, found.secure, found.hours) == ("mixdesk.example.org", True, 12)
    for email, role in {
        "olga@example.org": "operator",
        "OLGA@EXAMPLE.ORG": "operator",
        "x@example.org": "viewer",
        "x@sub.example.org": "reviewer",
        "x@elsewhere.org": "viewer",
        "olga@example.org@evil.org": None,
    }.items():
        assert found.role_of(email) == role
    write_access(tmp_path, FINE)
    assert access.read(tmp_path).role_of("x@notexample.org") is None
    assert access.read(tmp_path / "nowhere") is None


def test_a_url_may_have_a_path(tmp_path):
    write_access(tmp_path, FINE)
    assert access.read(tmp_path).base == ""
    write_access(tmp_path, FINE.replace("example.org", "example.org/group/desk/", 1))
    found = access.read(tmp_path)
    assert (found.base, found.host) == ("/group/desk", "mixdesk.example.org")
    assert found.secrets(tmp_path)["auth"]["redirect_uri"] == f"{found.url}/oauth2callback"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("url =", "adress =", "'adress' at its top"),
        ("https://mixdesk.example.org", "mixdesk", "it must be an address"),
        ("https://mixdesk.example.org", "https://x:y", "it must be an address"),
        ("https://mixdesk.example.org", "http://mixdesk.example.org", "Use https"),
        ("https://mixdesk.example.org", "https://mixdesk.example.org/desk?x", "end with the host"),
        ("https://mixdesk.example.org", "https://mixdesk.example.org/a//b", "end with the host"),
        ("https://accounts", "ftp://accounts", "server_metadata_url is"),
        ('client_id = "mixdesk"', "", "client_id in [sign_in] is None"),
        ('client_secret = "known to both"', 'client_secret = ""', "client_secret in [sign_in] is ''"),
        ("client_id", "color = 1\nclient_id", "'color' in [sign_in]"),
        ("client_id", "hours = 1000\nclient_id", "hours in [sign_in] is 1000"),
        ("client_id", 'hours = "x"\nclient_id', "hours in [sign_in] is 'x'"),
        ('"operator"', '"boss"', "the role of 'Olga@example.org' is 'boss'"),
        ('"operator"', "1", "the role of 'Olga@example.org' is 1"),
        ('"rob@example.org"', '"rob"', "'rob' in [roles] is not an e-mail address"),
        ('"rob@example.org"', '"r\u00f6b@example.org"', "is not an e-mail address of ASCII letters"),
        ('"rob@example.org"', '"olga@EXAMPLE.org"', "twice, in upper and lower case"),
        ("client_id", 'scope = "email"\nclient_id', "without openid"),
        ("client_id", 'email_claim = ""\nclient_id', "email_claim in [sign_in] is ''"),
        ("client_id", "hours = true\nclient_id", "hours in [sign_in] is True"),
        ("client_id", "unverified_emails = 1\nclient_id", "unverified_emails in [sign_in] is 1"),
        ("[roles]", '[groups]\nx = "boss"\n[roles]', "the role of 'x' is 'boss'"),
        ("[roles]", "deep = " + "[" * 5000 + "]" * 5000 + "\n[roles]", "access.toml"),
        ("[sign_in]", "[sign_in", "line"),
        ("[roles]", ".".join(["a"] * 20_000) + " = 1\n[roles]", "a key has 20,000 parts"),
        ("[roles]", "x = '" + "y" * (1 << 20) + "'\n[roles]", "larger than"),
    ],
)
def test_a_file_that_is_wrong_is_a_sentence(tmp_path, old, new, said):
    assert old in FINE
    write_access(tmp_path, FINE.replace(old, new, 1))
    with pytest.raises(Problem) as problem:
        access.read(tmp_path)
    assert said in str(problem.value) and "SIGN_IN.md" in str(problem.value)


def test_a_file_that_others_can_read_is_refused(tmp_path):
    write_access(tmp_path, FINE)
    (tmp_path / "access.toml").chmod(0o644)
    assert "chmod 600" in attempt(tmp_path).stderr


def test_no_roles_is_refused(tmp_path):
    write_access(tmp_path, FINE.partition("[roles]")[0])
    with pytest.raises(Problem, match="nobody could sign in"):
        access.read(tmp_path)


def test_a_file_that_breaks_or_goes_meanwhile_lets_nobody_in(tmp_path):
    write_access(tmp_path, FINE)
    watched = access.Watched(tmp_path)
    assert watched.now().role_of("rob@example.org") == "reviewer"
    write_access(tmp_path, FINE.replace("reviewer", "boss"))
    with pytest.raises(Problem, match="boss"):
        watched.now()
    (tmp_path / "access.toml").unlink()
    with pytest.raises(Problem, match="is gone"):
        watched.now()
    write_access(tmp_path, FINE.replace("reviewer", "viewer"))
    assert watched.now().role_of("rob@example.org") == "viewer"


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({}, NotSignedIn),
        ({"is_logged_in": False, "email": "rob@example.org", "iat": 0}, NotSignedIn),
        ({"is_logged_in": True, "email": "rob@example.org"}, NotSignedIn),
        ({"is_logged_in": True, "email": "rob@example.org", "iat": -13 * 3600}, NotSignedIn),
        ({"is_logged_in": True, "email": "rob@example.org", "iat": 3600}, NotSignedIn),
        ({"is_logged_in": True, "email": "rob", "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "rob@example.org", "email_verified": False, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "rob@example.org", "email_verified": 1, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "rob@example.org", "iat": 0}, Refused),  # nothing said of it
        ({"is_logged_in": True, "email": "x@elsewhere.org", "email_verified": True, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "ro\u0431@example.org", "email_verified": True, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "x@evil.org@example.org", "email_verified": True, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "rob@example.org ", "email_verified": True, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": ["rob@example.org"], "email_verified": True, "iat": 0}, Refused),
        ({"is_logged_in": True, "email": "rob@example.org", "email_verified": True, "iat": "now"}, NotSignedIn),
    ],
)
def test_who_may_not_come_in(tmp_path, claims, kind):
    write_access(tmp_path, FINE)
    told = claims.get("iat")
    claims = claims | ({"iat": told + time.time()} if isinstance(told, int) else {})
    with pytest.raises(kind):
        access.read(tmp_path).person(claims)


def signed_in(**claims) -> dict:
    return {"is_logged_in": True, "iat": time.time(), "sub": "1", **claims}


@given(st.text(min_size=1, max_size=12), st.sampled_from(["olga@example.org", "rob@example.org", "kim@example.org"]))
@example("KIM@example.org".replace("K", "\u212a"), "kim@example.org")  # the sign of kelvin
@example("ro\u0131b@example.org", "rob@example.org")
@example("\u017f@example.org", "s@example.org")  # a long s
@example("stra\u00dfe@example.org", "strasse@example.org")
def test_no_other_spelling_becomes_somebody_else(name, own):
    """An e-mail is somebody's if it is theirs in ASCII, large or small; nothing that other rules would fold to it."""
    found = access.Access("https://x.org", "https://y.org", "c", "s", {own: "operator"})
    for email in (name, name.casefold(), own.replace("o", name, 1)):
        mine = email.isascii() and email.lower() == own
        assert found.role_of(email) == ("operator" if mine else None)


def test_claims_of_a_provider_without_emails(tmp_path):
    """Entra ID: users without a mailbox have a name that looks like an e-mail, and nothing is said to be verified."""
    claims = signed_in(preferred_username="Olga@example.org", tid="x", oid="y")
    write_access(tmp_path, FINE)
    with pytest.raises(Refused, match="email_claim in its access"):
        access.read(tmp_path).person(claims)
    write_access(tmp_path, FINE.replace("[roles]", 'email_claim = "preferred_username"\n\n[roles]'))
    with pytest.raises(Refused, match="unverified_emails"):
        access.read(tmp_path).person(claims)
    options = 'email_claim = "preferred_username"\nunverified_emails = true\nscope = "openid profile"\n\n[roles]'
    write_access(tmp_path, FINE.replace("[roles]", options))
    found = access.read(tmp_path)
    assert found.person(claims) == Person("olga@example.org", "operator")
    assert found.secrets(tmp_path)["auth"]["client_kwargs"] == {"scope": "openid profile"}


GROUPS = '\n[groups]\n"3f2504e0" = "reviewer"\nadmins = "operator"\n'


@pytest.mark.parametrize(
    ("email", "groups", "role"),
    [
        ("x@elsewhere.org", ["3f2504e0", "others"], "reviewer"),
        ("x@elsewhere.org", ["3f2504e0", "admins"], "operator"),
        ("x@elsewhere.org", "admins", "operator"),  # providers send one group as a text
        ("x@example.org", ["3f2504e0"], "reviewer"),  # before the domain's
        ("rob@example.org", ["admins"], "reviewer"),  # and a person's own entry before all
        ("x@elsewhere.org", ["Admins", 1, None], None),
        ("x@elsewhere.org", None, None),
    ],
)
def test_groups_give_roles(tmp_path, email, groups, role):
    write_access(tmp_path, FINE + GROUPS)
    claims = signed_in(email=email, email_verified=True, groups=groups)
    if role is None:
        with pytest.raises(Refused, match="has no role here"):
            access.read(tmp_path).person(claims)
    else:
        assert access.read(tmp_path).person(claims).role == role


PLACED = [("a.roles", {"a": {"roles": ["x", "admins"]}}), ("u:z", {"u:z": {"admins": {}}})]  # Keycloak, Zitadel


@pytest.mark.parametrize(("name", "claims"), PLACED)
def test_groups_stand_where_providers_put_them(tmp_path, name, claims):
    write_access(tmp_path, FINE.replace("[roles]", f'groups_claim = "{name}"\n\n[roles]') + GROUPS)
    there = signed_in(email="x@elsewhere.org", email_verified=True, **claims)
    assert access.read(tmp_path).person(there).role == "operator"
    for odd in ({"a": "admins"}, {"a": {"roles": [["admins"]]}}, {name: None}, {name: 5}):
        with pytest.raises(Refused, match="has no role here"):
            access.read(tmp_path).person(signed_in(email="x@elsewhere.org", email_verified=True, **odd))


@pytest.mark.parametrize("said", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}, {"hasgroups": "true"}])
def test_groups_that_the_provider_held_back_are_a_sentence(tmp_path, said):
    write_access(tmp_path, FINE + GROUPS)
    claims = signed_in(email="x@elsewhere.org", email_verified=True, **said)
    with pytest.raises(Refused, match="more groups than the provider sends"):
        access.read(tmp_path).person(claims)


def test_a_token_keeps_its_persons_groups(workspace, store):
    write_access(workspace.root, FINE + GROUPS)
    person = access.read(workspace.root).person(signed_in(email="x@other.org", email_verified=True, groups=["admins"]))
    with as_person(person):
        token, _ = api_tokens.create(store, "CI")
    assert api_tokens.person_of(store, token, access.read(workspace.root)).role == "operator"
    write_access(workspace.root, FINE + GROUPS.replace("admins", "bosses"))
    with pytest.raises(Refused, match="has no role here any more"):
        api_tokens.person_of(store, token, access.read(workspace.root))


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31])
def test_a_secret_that_could_be_guessed_is_refused(tmp_path, content):
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(Problem, match=f"it has {len(content)} bytes"):
        secret(tmp_path)


@pytest.mark.parametrize("name", ["secret", "access.toml"])
def test_a_pipe_where_a_file_should_be_is_a_sentence(tmp_path, name):
    os.mkfifo(tmp_path / name, 0o600)
    with pytest.raises(Problem, match="not a regular file"):
        secret(tmp_path) if name == "secret" else access.read(tmp_path)


# Tokens ----------------------------------------------------------------------------------------------------


def test_a_token_does_what_its_person_may_now(workspace, store):
    write_access(workspace.root, FINE)
    now = access.read(workspace.root)
    with as_person(Person("rob@example.org", "reviewer")):
        token, row = api_tokens.create(store, "CI", days=1)
        with pytest.raises(Refused, match="acts for you"):
            api_tokens.create(store, "more", "operator")
        weak, _ = api_tokens.create(store, "weak", "viewer")
    assert api_tokens.person_of(store, token, now) == Person("rob@example.org", "reviewer")
    assert api_tokens.person_of(store, weak, now) == Person("rob@example.org", "viewer")
    write_access(workspace.root, FINE.replace('"rob@example.org" = "reviewer"', ""))
    assert api_tokens.person_of(store, token, access.read(workspace.root)).role == "viewer"
    write_access(workspace.root, FINE.replace('"rob@example.org"', '"bob@example.org"').replace('"@ex', '"@other.ex'))
    with pytest.raises(Refused, match="has no role here any more"):
        api_tokens.person_of(store, token, access.read(workspace.root))
    with pytest.raises(Refused):  # and not where sign-in was switched off: nobody of that name sits here
        api_tokens.person_of(store, token, None)
    journal = (workspace.root / "journal" / "owner" / "events.jsonl").read_text()
    assert token.rsplit("_", 1)[1] not in journal and row.hash in journal


@pytest.mark.parametrize("change", ["", "x", "mixdesk_", "short", "swapped", "unknown"])
def test_a_wrong_token_opens_nothing(store, change):
    token, row = api_tokens.create(store, "one")
    other, _ = api_tokens.create(store, "two")
    wrong = {
        "short": token[:-1],
        "swapped": token[:21] + other[21:],
        "unknown": token.replace(row.id, "0" * 12),
    }.get(change, change)
    with pytest.raises(NotSignedIn, match="missing or wrong"):
        api_tokens.person_of(store, wrong, None)


def test_a_token_ends(store):
    token, row = api_tokens.create(store, "one", days=1e-9)
    time.sleep(0.01)
    with pytest.raises(NotSignedIn, match="has expired"):
        api_tokens.person_of(store, token, None)
    token, row = api_tokens.create(store, "two")
    assert api_tokens.person_of(store, token, None).role == "operator"
    assert api_tokens.listed(store)[0].used_at is not None
    api_tokens.revoke(store, row.id)
    with pytest.raises(NotSignedIn, match="was revoked"):
        api_tokens.person_of(store, token, None)


def test_people_see_and_end_only_their_own_tokens(store):
    with as_person(Person("rob@example.org", "reviewer")):
        _, row = api_tokens.create(store, "his")
    with as_person(Person("vera@example.org", "viewer")):
        assert api_tokens.listed(store) == []
        with pytest.raises(Problem, match="none of that id"):
            api_tokens.revoke(store, row.id)
    with as_person(Person("olga@example.org", "operator")):
        assert [one.id for one in api_tokens.listed(store)] == [row.id]
        assert api_tokens.revoke(store, row.id).revoked_at is not None


@pytest.mark.parametrize(
    "wish",
    [
        {"label": " "},
        {"label": "x" * 81},
        {"label": 3},
        {"label": "x", "role": "boss"},
        {"label": "x", "days": 0},
        {"label": "x", "days": 1e9},
        {"label": "x", "days": "y"},
        {"label": "x", "days": float("nan")},
    ],
)
def test_tokens_that_cannot_be(store, wish):
    with pytest.raises(Problem, match="Cannot make a token"):
        api_tokens.create(store, **wish)
    assert api_tokens.listed(store) == []


@pytest.mark.slow
def test_tokens_survive_a_restart_and_roles_hold_over_http(tmp_path):
    """Made on the command line, used on a server that starts later."""
    workspace = tmp_path / "workspace"
    made = {
        role: json.loads(engine(workspace, "token", "create", role, "--role", role).stdout)["secret"]
        for role in ("viewer", "operator")
    }
    running = Page(workspace)
    try:
        running.token = made["viewer"]
        assert post(running, "list_studies") == (200, {"result": []})
        status, said = post(running, "start", json.dumps({"spec": {"name": "S"}}).encode())
        assert status == 403 and "takes the role operator" in said["error"]
        status, _, _ = ask(f"{running.url}/api/v1/imports/x.csv", b"a,b", authorization=f"Bearer {running.token}")
        assert status == 405
        assert post(running, "list_studies", token=made["viewer"][:-1])[0] == 401
        assert post(running, "start", b'{"spec": {"name": "S"}}', token=made["operator"])[0] == 200
    finally:
        running.stop()
