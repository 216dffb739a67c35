"""The page below a path of its host, as behind a proxy that serves other things beside it."""

import gzip
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from dashboard.server.start import base_path
from engine.core.errors import Problem
from tests.support.access_files import EXAMPLE, write_access
from tests.support.running import Page, answer, free_port, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    running = Page(tmp_path_factory.mktemp("below") / "workspace", base="/group/mixdesk")
    yield running
    running.stop()


@pytest.fixture
def tab(browser):
    for opened in watched_tab(browser, 900):
        opened.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))
        yield opened


def test_pages_and_links_stay_below_the_path(tab, below):
    below.show(tab)
    expect(tab.locator("h1")).to_have_text("Studies")
    tab.get_by_role("link", name="Jobs").click()
    expect(tab.locator("h1")).to_have_text("Jobs")
    assert tab.url.split("?")[0] == f"{below.url}/jobs"
    tab.reload()
    expect(tab.locator("h1")).to_have_text("Jobs")


def test_the_api_and_what_charts_load_are_below_it(below):
    assert answer(below.workspace, "list") == []  # through the page: it owns the workspace
    with urllib.request.urlopen(f"{below.url}/") as page:
        assert "</group/mixdesk/assets/plotly.min.js>" in page.headers["link"]
    with urllib.request.urlopen(f"{below.url}/assets/plotly.min.js") as script:
        assert script.status == 200 and "javascript" in script.headers["content-type"]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(below.url.replace("/group/mixdesk", "/api/v1/health"))


def test_the_script_of_charts_is_packed_for_who_can_unpack_it_and_sent_once(below):
    url, scripts = f"{below.url}/assets/plotly.min.js", []
    for encoding, packed in (("gzip", "gzip"), ("identity", None)):
        asked = urllib.request.Request(url, headers={"Accept-Encoding": encoding})
        with urllib.request.urlopen(asked) as answer:
            assert answer.headers["content-encoding"] == packed
            asked.add_header("If-None-Match", answer.headers["etag"])
            body = answer.read()
        scripts.append(gzip.decompress(body) if packed else body)
        with pytest.raises(urllib.error.HTTPError, match="304"):
            urllib.request.urlopen(asked)
    assert scripts[0] == scripts[1]


def test_people_sign_in_below_the_path_of_the_url_in_access_toml(tab, tmp_path):
    from oidc_provider_mock import User, run_server_in_thread  # half a second that other files need not wait

    with run_server_in_thread(
        user_claims=[User(sub="olga", claims={"email": "olga@example.org", "email_verified": True})]
    ) as server:
        port, provider = free_port(), f"http://localhost:{server.server_port}"
        write_access(tmp_path / "w", EXAMPLE.format(url=f"http://127.0.0.1:{port}/desk", provider=provider))
        running = Page(tmp_path / "w", port=port, base="/desk")
        try:
            running.show(tab, "jobs")
            tab.get_by_role("button", name="Sign in").click()
            tab.get_by_placeholder("sub").fill("olga")
            tab.get_by_role("button", name="Authorize").click()
            expect(tab.locator("h1")).to_have_text("Jobs")
            assert {cookie["path"] for cookie in tab.context.cookies() if "user" in cookie["name"]} == {"/desk"}
        finally:
            running.stop()


def test_a_base_path_is_checked():
    assert base_path("") == base_path("/") == "" and base_path("mixdesk/") == "/mixdesk"
    for wrong in ("/a b", "/a?x", "/a//b", "/../up"):
        with pytest.raises(Problem, match="MIXDESK_BASE_PATH"):
            base_path(wrong)
