"""Two people in one room: who is here, following the presenter by one link, and going one's own way."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.running import Page, answer, copied, settled, visit, watched_tab

OTHERS = "[class*='st-key-sidebar-follow-']"  # each holds one button
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def room(finished, tmp_path_factory):
    """A page on a copy of the finished study, with two candidates; `room.ids` are theirs."""
    workspace = copied(finished, tmp_path_factory.mktemp("live") / "workspace")
    values = ("--point", "digits=0.1", "--point", "prose=0.2", "--point", "python=0.7")
    ids = [
        answer(workspace, "nominate", "Small", name, "--because", "x", *values)["candidate"] for name in ("One", "Two")
    ]
    page = Page(workspace)
    page.ids, page.study = ids, answer(workspace, "list")[0]["study"]
    yield page
    page.stop()


@pytest.fixture
def tab(browser, room):
    yield from watched_tab(browser, 1200)


@pytest.fixture
def other_tab(browser, room):
    """A colleague's browser."""
    yield from watched_tab(browser, 1200, reduced_motion="reduce")


def test_one_link_leads_where_the_presenter_is(tab, other_tab, room):
    visit(tab, room, f"review?study={room.study}&candidate={room.ids[0]}")
    tab.get_by_role("button", name=re.compile("Here as")).click()
    tab.get_by_label("Your name").fill("Ann Lee <b>")
    tab.get_by_label("Your name").press("Enter")
    expect(tab.get_by_role("button", name="Here as Ann Lee <b>")).to_be_visible()
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Copy link to this room").click()
    link = tab.get_by_test_id("stPopoverBody").get_by_test_id("stCode").inner_text().strip()
    assert link.startswith(room.url) and "follow=Ann+Lee" in link
    tab.keyboard.press("Escape")

    visit(other_tab, room, link.removeprefix(f"{room.url}/"))
    sidebar = other_tab.get_by_test_id("stSidebar")
    expect(other_tab.locator("h1")).to_have_text(re.compile("One"))
    expect(sidebar.get_by_text(re.compile("Following .?Ann Lee <b>"))).to_be_visible()
    expect(sidebar.get_by_role("button", name="AL", exact=True)).to_be_visible()
    assert "follow=" not in other_tab.url
    tab.locator("h1").click()
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("h1")).to_have_text(re.compile("Two"))
    expect(other_tab.locator("h1")).to_have_text(re.compile("Two"))
    expect(other_tab).to_have_url(re.compile(f"candidate={room.ids[1]}"))
    # who leads sees who came, with their page in the tooltip
    tab.get_by_test_id("stSidebar").locator(OTHERS).hover()
    expect(tab.get_by_text("is viewing Review. Click to follow.")).to_be_visible()
    # a reload ends a session, and nobody's place in the room
    for one in (tab, other_tab):
        one.reload()
        expect(one.locator("h1")).to_have_text(re.compile("Two"))
    expect(tab.get_by_role("button", name="Here as Ann Lee <b>")).to_be_visible()
    expect(sidebar.get_by_text(re.compile("Following .?Ann Lee <b>"))).to_be_visible()
    tab.locator("h1").click()
    tab.keyboard.press("ArrowLeft")
    expect(tab.locator("h1")).to_have_text(re.compile("One"))
    expect(other_tab.locator("h1")).to_have_text(re.compile("One"))


def test_a_fader_is_followed_and_a_click_goes_ones_own_way(tab, other_tab, room):
    visit(tab, room, f"explore?study={room.study}&mix=0.20000,0.30000,0.50000")
    visit(other_tab, room, f"jobs?study={room.study}")
    sidebar = other_tab.get_by_test_id("stSidebar")
    others = sidebar.locator(OTHERS)
    expect(others).to_have_count(1)
    settled(other_tab)
    others.click()
    expect(other_tab).to_have_url(re.compile("explore.*mix=0.2"))
    expect(sidebar.get_by_role("button", name="Stop following")).to_be_visible()
    fader = tab.get_by_role("slider", name=re.compile("python")).first
    fader.focus()
    fader.press("Home")
    settled(tab)
    expect(tab).not_to_have_url(re.compile("mix=0.20000"))
    there = re.search("mix=([^&]*)", tab.url)[1]
    expect(other_tab).to_have_url(re.compile(re.escape(f"mix={there}")))
    expect(sidebar.get_by_role("button", name="Stop following")).to_be_visible()
    settled(other_tab)
    other_tab.get_by_role("link", name="Jobs").click()
    expect(sidebar.get_by_text("You left that page, so you no longer follow")).to_be_visible()
    expect(other_tab.locator("h1")).to_have_text("Jobs")
    expect(sidebar.get_by_role("button", name="Stop following")).to_have_count(0)


def test_who_closes_the_tab_is_gone(tab, other_tab, room):
    visit(other_tab, room, f"review?study={room.study}")
    visit(tab, room, f"jobs?study={room.study}")
    others = tab.get_by_test_id("stSidebar").locator(OTHERS)
    expect(others).to_have_count(1)
    other_tab.goto("about:blank")
    expect(others).to_have_count(0)
