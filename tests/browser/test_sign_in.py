"""Sign-in and roles, against a real OIDC provider on loopback, in a real browser."""

import os
import re

import pytest
from playwright.sync_api import expect

from dashboard.views.shared.text import JOINER
from tests.support.access_files import EXAMPLE, write_access
from tests.support.running import Page, free_port, settled, until, watched_tab
from tests.system.test_server import ask, door, post

PEOPLE = {
    "olga@example.org": {},
    "rob@example.org": {},
    "vera@example.org": {},
    "stranger@elsewhere.org": {},
    "unsure@example.org": {"email_verified": False},
    "mute@example.org": {"email": None},
}


@pytest.fixture(scope="module")
def provider():
    from oidc_provider_mock import User, run_server_in_thread  # half a second that other files need not wait

    users = [
        User(sub=email, claims={"email": email, "email_verified": True, **claims}) for email, claims in PEOPLE.items()
    ]
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
    signed.show(tab, path)
    tab.get_by_role("button", name="Sign in").click()
    through_provider(tab, who)


def through_provider(tab, who: str) -> None:
    expect(tab.get_by_text("Authorize Client")).to_be_visible()
    tab.get_by_placeholder("sub").fill(who)
    tab.get_by_role("button", name="Authorize").click()


def arrived(tab, heading: str) -> None:
    expect(tab.locator("h1")).to_have_text(heading)
    settled(tab)


# In a browser ----------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_nobody_sees_anything_before_signing_in(tab, signed):
    signed.show(tab, "jobs")
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
    expect(tab.get_by_text("Sign in to see this workspace")).to_be_visible()
    expect(tab.get_by_role("link", name="Jobs")).to_have_count(0)
    expect(tab.locator("h1")).to_have_text("Mixdesk")


@pytest.mark.browser
def test_an_operator_signs_in_and_out(tab, signed):
    sign_in(tab, signed, "olga@example.org")
    arrived(tab, "Studies")
    sidebar = tab.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text("olga@example.org")).to_be_visible()
    expect(sidebar.get_by_text("operator:")).to_be_visible()
    expect(tab.get_by_role("button", name="New study")).to_be_enabled()
    kept = [one for one in tab.context.cookies() if one["name"].startswith("_streamlit_user")]
    copy = "; ".join(f"{one['name']}={one['value']}" for one in kept)
    assert ask(f"{signed.url}/_stcore/metrics", cookie=copy)[0] == 200, "a side door, opened by the cookie alone"
    sidebar.get_by_role("button", name="Sign out").click()
    tab.get_by_role("button", name="End session").click()  # the provider's own
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
    assert not [cookie for cookie in tab.context.cookies() if cookie["name"].startswith("_streamlit_user")]
    assert ask(f"{signed.url}/_stcore/metrics", cookie=copy)[0] == 401
    tab.context.add_cookies(kept)  # a copy of the cookie, taken before, opens nothing
    signed.show(tab)
    expect(tab.get_by_text("You signed out. Sign in again to go on.")).to_be_visible()


@pytest.mark.browser
def test_a_viewer_cannot_start_a_study(tab, signed):
    sign_in(tab, signed, "vera@example.org")
    arrived(tab, "Studies")
    button = tab.get_by_role("button", name="New study")
    expect(button).to_be_disabled()
    button.hover(force=True)
    expect(tab.get_by_text("This needs the role operator. You are signed in as a viewer.")).to_be_visible()


@pytest.mark.browser
def test_the_link_is_there_again_after_signing_in(tab, signed):
    sign_in(tab, signed, "rob@example.org", "jobs?surrogate=ridge")
    arrived(tab, "Jobs")
    expect(tab).to_have_url(re.compile(r"/jobs\?.*surrogate=ridge"))
    expect(tab.get_by_text("reviewer:")).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("stranger@elsewhere.org", f"stranger@{JOINER}elsewhere.org has no role here"),
        ("unsure@example.org", "does not say that"),
        ("mute@example.org", "gave no e-mail"),
    ],
)
def test_strangers_are_turned_away_in_words(tab, signed, who, said):
    sign_in(tab, signed, who)
    expect(tab.get_by_text(said)).to_be_visible()
    expect(tab.get_by_role("link", name="Jobs")).to_have_count(0)
    expect(tab.get_by_role("button", name="Sign in as someone else")).to_be_visible()


@pytest.mark.browser
def test_a_cookie_that_was_tampered_with_opens_nothing(tab, signed):
    sign_in(tab, signed, "vera@example.org")
    arrived(tab, "Studies")
    own = next(cookie for cookie in tab.context.cookies() if cookie["name"] == "_streamlit_user")
    assert own["httpOnly"] and own["sameSite"] == "Lax"
    text = own["value"]
    tab.context.add_cookies([{**own, "value": text[:20] + ("A" if text[20] != "A" else "B") + text[21:]}])
    tab.reload()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.browser
def test_a_text_outlives_the_sign_in(tab, signed):
    """The sign-in ends while somebody writes: the page asks for another one, and the text is there again."""
    try:
        sign_in(tab, signed, "rob@example.org", "tokens")
        arrived(tab, "API tokens")
        box = tab.get_by_label("Purpose")
        box.press_sequentially("half a sentence <b>that")
        short = (signed.workspace / "access.toml").read_text().replace("[roles]", "hours = 0.0003\n[roles]")
        write_access(signed.workspace, short)
        tab.wait_for_timeout(3500)
        tab.get_by_role("button", name="Create token").click()
        expect(tab.get_by_text("Your sign-in has ended")).to_be_visible()
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_text("Authorize Client")).to_be_visible()
        write_access(signed.workspace, short.replace("hours = 0.0003\n", ""))
        through_provider(tab, "rob@example.org")
        arrived(tab, "API tokens")
        expect(tab.get_by_label("Purpose")).to_have_value("half a sentence <b>that")
        tab.get_by_role("button", name="Create token").click()
        expect(tab.get_by_text("Copy the token now")).to_be_visible()
        expect(tab.get_by_text("half a sentence <b>that")).to_be_visible()
        tab.reload()
        arrived(tab, "API tokens")
        tab.wait_for_timeout(1500)
        expect(tab.get_by_label("Purpose")).to_have_value("")
    finally:
        write_access(signed.workspace, (signed.workspace / "access.toml").read_text().replace("hours = 0.0003\n", ""))


@pytest.mark.browser
def test_a_role_that_is_taken_away_is_gone_at_once(tab, signed):
    before = (signed.workspace / "access.toml").read_text()
    sign_in(tab, signed, "olga@example.org")
    arrived(tab, "Studies")
    tab.get_by_role("button", name="New study").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Start")).to_be_enabled()
    try:
        write_access(signed.workspace, before.replace('"Olga@example.org" = "operator"', ""))
        dialog.get_by_role("button", name="Start").click()
        expect(dialog.get_by_role("button", name="Start", disabled=True)).to_be_visible()
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


@pytest.mark.slow
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
