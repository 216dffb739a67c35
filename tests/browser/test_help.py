"""Help where it stands: the palette, the words, the keys, the tour, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard.models.glossary import GLOSSARY
from dashboard.models.tour import STOPS
from dashboard.views import ANY, MIXTURE, pages_for
from tests.support.running import ROOT, settled, visit, watched_tab

browser_test = pytest.mark.browser


@pytest.fixture
def tab(browser, page):
    yield from watched_tab(browser, 900)


@browser_test
def test_the_palette_goes_to_a_page_by_a_few_letters(tab, page):
    visit(tab, page, "")
    expect(tab.locator(".mixdesk-palette .ground")).to_have_count(1)
    tab.keyboard.press("Control+k")
    box = tab.get_by_role("combobox", name="Find a page, study, candidate, run, word, or something to do")
    expect(box).to_be_focused()
    box.press_sequentially("page lead")
    expect(tab.get_by_role("listbox", name="Found").get_by_role("option")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(tab.locator("h1")).to_have_text("Leaderboard")
    tab.keyboard.press("Control+k")
    box.fill("no such thing")
    expect(tab.get_by_text("Nothing has that name.")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(box).to_be_hidden()


@browser_test
def test_the_question_mark_shows_words_and_keys(tab, page):
    visit(tab, page, "runs")
    expect(tab.locator(".mixdesk-palette .ground")).to_have_count(1)
    tab.locator("h1").click()
    tab.keyboard.press("?")
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_text(GLOSSARY["proxy"])).to_be_visible()
    dialog.get_by_label("Find a word").fill("winner")
    dialog.get_by_label("Find a word").press("Enter")
    expect(dialog.get_by_text("No word here is called that.")).to_be_visible()
    dialog.get_by_role("tab", name="Keys").click()
    expect(dialog.get_by_text("find a page, a study, a candidate")).to_be_visible()


@browser_test
def test_the_tour_leads_over_the_pages_and_waits_for_who_strays(tab, page):
    visit(tab, page, "runs")
    tab.get_by_role("button", name="Help", exact=True).click()
    tab.get_by_role("button", name="Take the tour").click()
    stops = STOPS[MIXTURE]
    for number, stop in enumerate(stops, 1):
        expect(tab.get_by_text(f"Tour, {number} of {len(stops)}")).to_be_visible()
        expect(tab.locator("h1")).to_have_text(pages_for(MIXTURE)[stop.path].title)
        settled(tab)
        if number == 3:  # off to another page, and back
            tab.get_by_role("link", name="Jobs").click()
            expect(tab.get_by_text("The tour goes on on Runs.")).to_be_visible()
            tab.get_by_role("button", name="Go there").click()
            expect(tab.locator("h1")).to_have_text("Runs")
            settled(tab)
        if number < len(stops):
            tab.get_by_role("button", name="Next", exact=True).click()
    tab.get_by_role("button", name="End the tour").click()
    expect(tab.get_by_text("Tour, ")).to_have_count(0)
    expect(tab.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.parametrize("kind", STOPS)
def test_the_tour_stops_at_pages_of_its_kind(kind):
    assert all(pages_for(kind)[stop.path].kind in (ANY, kind) for stop in STOPS[kind])


def test_the_words_of_the_design_are_explained():
    table = re.search(r"\| word \| is \|\n\|---\|---\|\n(.*?)\n\n", (ROOT / "docs/DESIGN.md").read_text(), re.S).group(
        1
    )
    words = {word.strip() for line in table.splitlines() for word in line.split("|")[1].split(",")}
    missing = {word for word in words if word not in GLOSSARY and word.removesuffix("s") not in GLOSSARY}
    assert missing <= {"review"}, missing  # a page, which says what it is
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.lower)


def test_badges_and_their_words_are_the_same():
    page = (Path(ROOT) / "dashboard/views/shared/predicted.py").read_text()
    for word in ("measured", "interpolated", "extrapolated"):
        assert word in GLOSSARY and f'"{word}"' in page
