"""Sign-in and roles, against a real OIDC provider on loopback, in a real browser."""

import json
import os
import re
import time

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import expect

from engine import access, api_tokens
from engine.errors import Problem
from engine.people import NotSignedIn, Person, Refused, as_person
from tests.conftest import Page, engine, free_port, until, watched_tab
from tests.test_server import ask, attempt, door, post

EXAMPLE = """
url = "{url}"

[sign_in]
server_metadata_url = "{provider}/.well-known/openid-configuration"
client_id = "mixdesk"
client_secret = "known to both"

[roles]
"Olga@example.org" = "operator"
"rob@example.org" = "reviewer"
"@example.org" = "viewer"
"""
PEOPLE = {
    "olga@example.org": {}, "rob@example.org": {}, "vera@example.org": {}, "stranger@elsewhere.org": {},
    "unsure@example.org": {"email_verified": False}, "mute@example.org": {"email": None},
}  # fmt: skip


def write_access(workspace, text: str) -> None:
    """access.toml, readable by its owner only."""
    workspace.mkdir(parents=True, exist_ok=True)
    with open(os.open(workspace / "access.toml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


@pytest.fixture(scope="module")
def provider():
    users = [User(sub=email, claims={"email": email, **claims}) for email, claims in PEOPLE.items()]
    with run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def signed(tmp_path_factory, provider):
    """A page that asks for a sign-in, on an empty workspace."""
    workspace, port = tmp_path_factory.mktemp("signed") / "workspace", free_port()
    write_access(workspace, EXAMPLE.format(url=f"http://127.0.0.1:{port}", provider=provider))
    running = Page(workspace, port=port)
    running.workspace, running.token = workspace, door(workspace)["token"]
    yield running
    running.stop()


@pytest.fixture
def tab(browser, signed):
    for opened in watched_tab(browser, 1000):
        # The provider's own pages take their looks from the network.
        opened.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))
        yield opened


def sign_in(tab, signed, who: str, path: str = "") -> None:
    """Ask for a page, go through the provider, come back."""
    tab.goto(f"{signed.url}/{path}")
    tab.get_by_role("button", name="Sign in").click(timeout=30_000)
    through_provider(tab, who)


def through_provider(tab, who: str) -> None:
    expect(tab.get_by_text("Authorize Client")).to_be_visible(timeout=20_000)
    tab.get_by_placeholder("sub").fill(who)
    tab.get_by_role("button", name="Authorize").click()


def settled(tab, heading: str) -> None:
    expect(tab.locator("h1")).to_have_text(heading, timeout=30_000)
    tab.wait_for_timeout(300)
    expect(tab.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=20_000)


# In a browser ----------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_nobody_sees_anything_before_signing_in(tab, signed):
    tab.goto(f"{signed.url}/jobs")
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
    expect(tab.get_by_text("Sign in to see this workspace")).to_be_visible()
    expect(tab.get_by_role("link", name="Jobs")).to_have_count(0)
    expect(tab.locator("h1")).to_have_text("Mixdesk")


@pytest.mark.browser
def test_an_operator_signs_in_and_out(tab, signed):
    sign_in(tab, signed, "olga@example.org")
    settled(tab, "Studies")
    sidebar = tab.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text("olga@example.org")).to_be_visible()
    expect(sidebar.get_by_text("operator:")).to_be_visible()
    expect(tab.get_by_role("button", name="New study")).to_be_enabled()
    sidebar.get_by_role("button", name="Sign out").click()
    tab.get_by_role("button", name="End session").click(timeout=20_000)  # the provider's own
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
    assert not [cookie for cookie in tab.context.cookies() if cookie["name"].startswith("_streamlit_user")]


@pytest.mark.browser
def test_a_viewer_cannot_start_a_study(tab, signed):
    sign_in(tab, signed, "vera@example.org")
    settled(tab, "Studies")
    button = tab.get_by_role("button", name="New study")
    expect(button).to_be_disabled()
    button.hover(force=True)
    expect(tab.get_by_text("This takes the role operator. You are signed in as a viewer.")).to_be_visible()


@pytest.mark.browser
def test_the_link_is_there_again_after_signing_in(tab, signed):
    sign_in(tab, signed, "rob@example.org", "jobs?surrogate=ridge")
    settled(tab, "Jobs")
    expect(tab).to_have_url(re.compile(r"/jobs\?.*surrogate=ridge"))
    expect(tab.get_by_text("reviewer:")).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("stranger@elsewhere.org", "stranger@elsewhere.org has no role here"),
        ("unsure@example.org", "is not verified"),
        ("mute@example.org", "gave no e-mail"),
    ],
)
def test_strangers_are_turned_away_in_words(tab, signed, who, said):
    sign_in(tab, signed, who)
    expect(tab.get_by_text(said)).to_be_visible(timeout=30_000)
    expect(tab.get_by_role("link", name="Jobs")).to_have_count(0)
    expect(tab.get_by_role("button", name="Sign in as somebody else")).to_be_visible()


@pytest.mark.browser
def test_a_cookie_that_was_tampered_with_opens_nothing(tab, signed):
    sign_in(tab, signed, "vera@example.org")
    settled(tab, "Studies")
    own = next(cookie for cookie in tab.context.cookies() if cookie["name"] == "_streamlit_user")
    assert own["httpOnly"] and own["sameSite"] == "Lax"
    text = own["value"]
    tab.context.add_cookies([{**own, "value": text[:20] + ("A" if text[20] != "A" else "B") + text[21:]}])
    tab.reload()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)


@pytest.mark.browser
def test_a_text_outlives_the_sign_in(tab, signed):
    """The sign-in ends while somebody writes: the page asks for another one, and the text is there again."""
    try:
        sign_in(tab, signed, "rob@example.org", "tokens")
        settled(tab, "API tokens")
        box = tab.get_by_label("What it is for")
        box.press_sequentially("half a sentence <b>that")
        short = (signed.workspace / "access.toml").read_text().replace("[roles]", "hours = 0.0003\n[roles]")
        write_access(signed.workspace, short)
        tab.wait_for_timeout(3500)
        tab.get_by_role("button", name="Make").click()
        expect(tab.get_by_text("Your sign-in has ended")).to_be_visible(timeout=20_000)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_text("Authorize Client")).to_be_visible(timeout=20_000)
        write_access(signed.workspace, short.replace("hours = 0.0003\n", ""))
        through_provider(tab, "rob@example.org")
        settled(tab, "API tokens")
        expect(tab.get_by_label("What it is for")).to_have_value("half a sentence <b>that", timeout=10_000)
        tab.get_by_role("button", name="Make").click()
        expect(tab.get_by_text("Copy the token now")).to_be_visible(timeout=20_000)
        expect(tab.get_by_text("half a sentence <b>that")).to_be_visible()
        tab.reload()
        settled(tab, "API tokens")
        tab.wait_for_timeout(1500)
        expect(tab.get_by_label("What it is for")).to_have_value("")
    finally:
        write_access(signed.workspace, (signed.workspace / "access.toml").read_text().replace("hours = 0.0003\n", ""))


@pytest.mark.browser
def test_a_role_that_is_taken_away_is_gone_at_once(tab, signed):
    before = (signed.workspace / "access.toml").read_text()
    sign_in(tab, signed, "olga@example.org")
    settled(tab, "Studies")
    tab.get_by_role("button", name="New study").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Start")).to_be_enabled(timeout=20_000)
    try:
        write_access(signed.workspace, before.replace('"Olga@example.org" = "operator"', ""))
        dialog.get_by_role("button", name="Start").click()
        expect(dialog.get_by_role("button", name="Start")).to_be_disabled(timeout=20_000)
        assert post(signed, "list_studies") == (200, {"result": []})
    finally:
        write_access(signed.workspace, before)


# Beside the page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/media/x.csv", "/_stcore/metrics", "/_stcore/agent/openapi.json"])
def test_side_doors_are_closed_to_strangers(signed, path):
    status, headers, text = ask(signed.url + path)
    assert status == 401 and "Sign in" in text and "content-security-policy" in {name.lower() for name in headers}


def test_uploads_are_closed_to_strangers(signed):
    status, _, _ = ask(f"{signed.url}/_stcore/upload_file/session/file", b"x" * 1000)
    assert status == 401


def test_health_tells_strangers_no_paths(signed):
    obstacle = signed.workspace / "jobs" / "active" / "odd" / "events.jsonl"
    obstacle.mkdir(parents=True)
    try:
        _, _, text = until(lambda: (found := ask(f"{signed.url}/api/v1/health"))[0] == 503 and found)
        assert str(signed.workspace) not in text and "odd" not in text
    finally:
        obstacle.rmdir()
        obstacle.parent.rmdir()
    until(lambda: ask(f"{signed.url}/api/v1/health")[0] == 200)


def test_the_machines_own_commands_go_on(signed):
    assert post(signed, "list_studies") == (200, {"result": []})


def test_on_any_address_with_https_outside(tmp_path, provider):
    """Bound to every address behind a proxy: foreign names are refused, cookies are for HTTPS only."""
    write_access(tmp_path / "workspace", EXAMPLE.format(url="https://mixdesk.example.org", provider=provider))
    os.environ["MIXDESK_ADDRESS"] = "0.0.0.0"
    try:
        running = Page(tmp_path / "workspace")
    finally:
        del os.environ["MIXDESK_ADDRESS"]
    try:
        assert ask(running.url, host="mixdesk.example.org")[0] == 200
        assert ask(running.url, host="evil.example")[0] == 400
        assert door(tmp_path / "workspace")["url"] == running.url
        _, headers, _ = ask(f"{running.url}/_stcore/health", host="mixdesk.example.org")
        cookies = [value for name, value in headers.items() if name.lower() == "set-cookie"]
        assert cookies and all("; Secure" in value and "SameSite" in value for value in cookies)
        said = running.log.read_text()
        assert "https://mixdesk.example.org" in said
    finally:
        running.stop()


# The file --------------------------------------------------------------------------------------------------

FINE = EXAMPLE.format(url="https://mixdesk.example.org", provider="https://accounts.example.org")


def test_roles_by_person_then_domain_then_everybody(tmp_path):
    write_access(tmp_path, FINE + '"*" = "viewer"\n"@sub.example.org" = "reviewer"\n')
    found = access.read(tmp_path)
    assert (found.host, found.secure, found.hours) == ("mixdesk.example.org", True, 12)
    for email, role in {
        "olga@example.org": "operator", "OLGA@EXAMPLE.ORG": "operator", "x@example.org": "viewer",
        "x@sub.example.org": "reviewer", "x@elsewhere.org": "viewer", "olga@example.org@evil.org": "viewer",
    }.items():  # fmt: skip
        assert found.role_of(email) == role
    write_access(tmp_path, FINE)
    assert access.read(tmp_path).role_of("x@notexample.org") is None
    assert access.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("url =", "adress =", "'adress' at its top"),
        ("https://mixdesk.example.org", "mixdesk", "it must be an address"),
        ("https://mixdesk.example.org", "https://x:y", "it must be an address"),
        ("https://mixdesk.example.org", "http://mixdesk.example.org", "Use https"),
        ("https://mixdesk.example.org", "https://mixdesk.example.org/desk", "end with the host"),
        ("https://accounts", "ftp://accounts", "server_metadata_url is"),
        ('client_id = "mixdesk"', "", "client_id in [sign_in] is None"),
        ('client_secret = "known to both"', 'client_secret = ""', "client_secret in [sign_in] is ''"),
        ("client_id", "color = 1\nclient_id", "'color' in [sign_in]"),
        ("client_id", "hours = 1000\nclient_id", "hours in [sign_in] is 1000"),
        ("client_id", 'hours = "x"\nclient_id', "hours in [sign_in] is 'x'"),
        ('"operator"', '"boss"', "the role of 'Olga@example.org' is 'boss'"),
        ('"operator"', "1", "the role of 'Olga@example.org' is 1"),
        ('"rob@example.org"', '"rob"', "'rob' in [roles] is no e-mail"),
        ("[sign_in]", "[sign_in", "line"),
    ],
)  # fmt: skip
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
    with pytest.raises(Problem, match="nobody could come in"):
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
        ({"is_logged_in": True, "email": "x@elsewhere.org", "iat": 0}, Refused),
    ],
)
def test_who_may_not_come_in(tmp_path, claims, kind):
    write_access(tmp_path, FINE)
    claims = claims | ({"iat": claims["iat"] + time.time()} if "iat" in claims else {})
    with pytest.raises(kind):
        access.read(tmp_path).person(claims)


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
        "short": token[:-1], "swapped": token[:21] + other[21:], "unknown": token.replace(row.id, "0" * 12),
    }.get(change, change)  # fmt: skip
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


@pytest.mark.parametrize("wish", [{"label": " "}, {"label": "x" * 81}, {"label": 3}, {"label": "x", "role": "boss"},
                                  {"label": "x", "days": 0}, {"label": "x", "days": 1e9}, {"label": "x", "days": "y"},
                                  {"label": "x", "days": float("nan")}])  # fmt: skip
def test_tokens_that_cannot_be(store, wish):
    with pytest.raises(Problem, match="Cannot make a token"):
        api_tokens.create(store, **wish)
    assert api_tokens.listed(store) == []


def test_tokens_survive_a_restart_and_roles_hold_over_http(tmp_path):
    """Made on the command line, used on a server that starts later."""
    workspace = tmp_path / "workspace"
    made = {role: json.loads(engine(workspace, "token", "create", role, "--role", role).stdout)["secret"]
            for role in ("viewer", "operator")}  # fmt: skip
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
