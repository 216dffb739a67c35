"""The form of a new study in a real browser: live points, costs, and constraints in conflict named before the start."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import tab  # noqa: F401  (a fixture)
from tests.support.running import settled, visit

pytestmark = pytest.mark.browser
POINTS = "document.querySelector('[role=dialog] .mixdesk-plot')._fullData[0].a.length"


@pytest.fixture
def dialog(tab, page):  # noqa: F811
    visit(tab, page, "")
    tab.get_by_role("button", name="New study").click()
    opened = tab.get_by_role("dialog")
    expect(opened.get_by_text("Estimated time")).to_be_visible()
    settled(tab)
    return opened


def choose(tab, dialog, label: str, option: str) -> None:  # noqa: F811
    dialog.get_by_test_id("stSelectbox").filter(has_text=label).last.click()
    tab.get_by_role("option", name=option).click()
    settled(tab)


def test_the_points_of_each_design_are_shown(tab, dialog):  # noqa: F811
    assert tab.evaluate(POINTS) == 64
    for design, words in (
        ("Sobol", "the prior has no effect"),
        ("D-optimal", "most informative"),
        ("Vertices", "alone"),
    ):
        choose(tab, dialog, "Design", design)
        expect(dialog.get_by_text(words)).to_be_visible()
        expect(dialog.get_by_text("64 mixtures of the design")).to_have_count(1)  # the one before it is gone
        assert tab.evaluate(POINTS) == 64
    expect(dialog.get_by_text("Confirming the result afterwards")).to_contain_text("FLOPs")


def test_the_text_of_the_real_run_is_named_and_its_dose_runs_are_priced(tab, dialog):  # noqa: F811
    dialog.get_by_role("tab", name="Constraints").click()
    expect(dialog.get_by_text("How much text the real run has")).to_be_visible()
    budget = dialog.get_by_role("spinbutton", name="Target budget, tokens")
    budget.fill("1e6")
    budget.press("Enter")
    settled(tab)
    expect(dialog.get_by_text("8 dose runs for repetition")).to_contain_text("FLOPs")
    dialog.get_by_role("tab", name="Design").click()
    expect(dialog.get_by_text("64 mixtures of the design")).to_contain_text("repeated as often as in the real run")
    dialog.get_by_role("tab", name="Constraints").click()
    dialog.get_by_text("Repeat text as the real run will").click()
    settled(tab)
    expect(dialog.get_by_text("dose runs for repetition")).to_have_count(0)


def test_what_cannot_be_simulated_is_said_before_the_start(tab, dialog):  # noqa: F811
    dialog.get_by_role("tab", name="Constraints").click()
    budget = dialog.get_by_role("spinbutton", name="Target budget, tokens")
    budget.fill("1e12")
    budget.press("Enter")
    dialog.get_by_role("tab", name="Design").click()
    expect(dialog.get_by_test_id("stAlertContentError").first).to_contain_text("within 4 epochs")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.get_by_test_id("stAlertContentError").last).to_contain_text("Cannot fill a budget")
