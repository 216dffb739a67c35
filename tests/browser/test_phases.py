"""The page Phases in a real browser: filled, in every look, and its schedule as a candidate."""

import re

import pytest
from playwright.sync_api import expect

from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from store.database import Store
from tests.browser.test_every_page import LOOKS, in_looks
from tests.studies.test_phases import made
from tests.support.running import Page, settled, visit, watched_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """A page on a study whose first loss falls by what of its domain is read late."""
    workspace = Workspace.open(tmp_path_factory.mktemp("late") / "workspace")
    store = Store(workspace)
    with as_person(SYSTEM):
        made(store, "late", 0.3)
    store.close()
    running = Page(workspace.root)
    yield running
    running.stop()


@pytest.fixture
def tab(browser, late):
    yield from watched_tab(browser, 1000)


@pytest.mark.parametrize("looks", LOOKS)
def test_a_schedule_that_pays_is_nominated(tab, late, looks):
    visit(tab, late, "phases")
    expect(tab.get_by_text("Order matters for the")).to_be_visible()
    assert in_looks(tab, looks) == {}
    tab.get_by_role("button", name="Nominate").click()
    form = tab.get_by_test_id("stPopoverBody")
    form.get_by_label("Name").fill(f"Late d0 {looks[0][1]}")
    form.get_by_label("Why should it be trained?").fill("Order pays.")
    form.get_by_role("button", name="Nominate").click()
    expect(tab.locator("h1")).to_have_text(re.compile("Late d0"))
    settled(tab)
    expect(tab.get_by_text("It is a schedule of 2 phases")).to_be_visible()
    expect(tab.locator(".mixdesk-plot").first).to_contain_text("2, 20%")
    assert in_looks(tab, looks) == {}
