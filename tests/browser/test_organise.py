"""Organising in a real browser: studies renamed, found, copied, archived, deleted; runs looked at and compared."""

import pytest
from playwright.sync_api import expect

from tests.support.running import Page, answer, copied, settled, visit, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def house(merged, tmp_path_factory):
    """A page of its own with a mixture study and a merge study, which these tests may change."""
    running = Page(copied(merged, tmp_path_factory.mktemp("house") / "workspace"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ids(house) -> dict[str, str]:
    """The ids of its studies, by name."""
    return {one["name"]: one["study"] for one in answer(house.workspace, "list")}


@pytest.fixture
def tab(browser, house):
    yield from watched_tab(browser, 1400)


def cards(tab):
    return tab.locator("[class*=st-key-card-]")


def choose(tab, study: str, action: str) -> None:
    """Choose an action in the menu of a study's card."""
    settled(tab)
    tab.locator(f".st-key-more-{study} button").first.click()
    tab.get_by_text(action, exact=True).last.click()


def test_studies_are_renamed_pinned_found_and_archived(tab, house, ids):
    visit(tab, house, "studies")
    assert "Small merge" in cards(tab).first.inner_text(), "the newest is first"
    choose(tab, ids["Small"], "Rename, tag, note")
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Wednesday *x*")
    dialog.get_by_role("combobox").fill("nightly")
    dialog.get_by_role("combobox").press("Enter")
    dialog.get_by_label("Note").fill("ran on the old cluster")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(tab.get_by_test_id("stText").get_by_text("ran on the old cluster")).to_be_visible()
    choose(tab, ids["Small"], "Pin")
    expect(cards(tab).first).to_contain_text("Wednesday *x*")
    tab.get_by_label("Find").fill("NIGHTLY wed")
    tab.get_by_label("Find").press("Enter")
    expect(cards(tab)).to_have_count(1)
    assert "find=NIGHTLY" in tab.url
    visit(tab, house, "studies")
    choose(tab, ids["Small merge"], "Archive")
    expect(cards(tab)).to_have_count(1)
    tab.get_by_text("Archived (1)").click()
    expect(cards(tab)).to_have_count(2)
    answer(house.workspace, "label", ids["Small merge"], "--no-archived")
    answer(house.workspace, "label", ids["Small"], "--name", "Small", "--no-pinned")


def test_a_copy_asks_for_the_same_study(tab, house, ids):
    visit(tab, house, "studies")
    choose(tab, ids["Small"], "Duplicate")
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_text("Estimated time")).to_be_visible()
    expect(dialog.get_by_label("Name", exact=True)).to_have_value("Small (copy)")
    expect(dialog.get_by_text("16 mixtures of the design")).to_be_visible()
    settled(tab)
    dialog.get_by_role("button", name="Start").click()
    expect(dialog).to_have_count(0)
    expect(tab.get_by_role("heading", name="Small (copy)")).to_be_visible()
    copy, first = (answer(house.workspace, "show", name)["spec"] for name in ("Small (copy)", "Small"))
    assert copy == {**first, "name": "Small (copy)"}


def written(tab, box, text: str) -> None:
    """Type and leave the box. That draws the page, and a click meanwhile may meet a button that goes."""
    box.fill(text)
    box.blur()
    settled(tab)


def test_a_study_is_deleted_by_its_name_once_nothing_of_it_runs(tab, house, ids):
    visit(tab, house, "studies")
    choose(tab, ids["Small"], "Delete")
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_text("22 runs")).to_be_visible()
    expect(dialog.get_by_text("Merges are compared with it, in Small merge")).to_be_visible()
    visit(tab, house, "studies")
    choose(tab, ids["Small merge"], "Delete")
    box = dialog.get_by_label("Type its name to confirm")
    written(tab, box, "Small")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_test_id("stAlertContentError")).to_contain_text("give its own name to confirm")
    settled(tab)
    written(tab, box, "Small merge")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_have_count(0)
    expect(tab.get_by_role("heading", name="Small merge")).to_have_count(0)
    assert "Small merge" not in {one["name"] for one in answer(house.workspace, "list", "--archived")}


def test_runs_are_chosen_in_the_link_looked_at_and_compared(tab, house, ids):
    small = ids["Small"]
    visit(tab, house, f"runs?study={small}&run=3&run=7")
    expect(tab.get_by_role("heading", name="Runs 3, 7")).to_be_visible()
    expect(tab.get_by_role("button", name="Set the faders to this")).to_have_count(0)
    visit(tab, house, f"runs?study={small}&run=3&columns=facts&brush=share%200:0,1")
    columns = tab.get_by_test_id("stDataFrame").first.locator("canvas th")
    expect(columns).to_contain_text(["run", "seed"])
    assert not any("bits per byte" in title for title in columns.all_text_contents())
    expect(tab.get_by_role("heading", name="Run 3")).to_be_visible()
    expect(tab.get_by_text("finished runs are within the brushed ranges")).to_contain_text("22 of 22")
    expect(tab.get_by_text("22 runs, those that are brushed or chosen below")).to_be_visible()
    tab.get_by_role("button", name="Clear", exact=True).click()
    expect(tab.get_by_text("those that are brushed")).to_have_count(0)
    expect(tab.get_by_text("finished runs are within the brushed ranges")).to_have_count(0)
    assert "brush" not in tab.url and "run=3" in tab.url
    tab.get_by_role("button", name="Set the faders to this").click()
    toast = tab.get_by_role("alertdialog", name="The faders on Explore are set to this point.")
    expect(toast).to_be_visible()
    expect(tab.get_by_role("heading", name="Best so far")).to_be_visible()
    expect(tab.get_by_test_id("stException")).to_have_count(0)
