"""Imported runs in a real browser: upload, preview, refusal, correction; then every page of the study that follows."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import settled, visit
from tests.importing.test_importing import FLAT, changed, write
from tests.support.running import Page, engine, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A page on a workspace with one imported study of a loss and an accuracy, fitted and searched."""
    folder = tmp_path_factory.mktemp("imported")
    path = write(folder / "runs.csv", FLAT)
    engine(folder / "workspace", "import", "--study", "Mine", "--format", "flat", "--weights", str(path), "--wait")
    running = Page(folder / "workspace")
    running.folder = folder
    yield running
    running.stop()


@pytest.fixture
def tab(browser, desk):
    yield from watched_tab(browser, 1600)


@pytest.mark.parametrize("path", ["", "runs", "explore", "search", "export", "corpus", "import"])
def test_every_page_of_an_imported_study(tab, desk, path):
    visit(tab, desk, path)
    expect(tab.get_by_test_id("stException")).to_have_count(0)
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)
    words = {
        "": "24 runs imported from runs.csv",
        "runs": "divided by its standard deviation over 24 runs",
        "explore": "Weighted mean, predicted (spreads)",
        "search": "vs. mean of the runs",
        "export": "Epochs are unknown",
    }
    if path in words:
        expect(tab.get_by_text(words[path]).first).to_be_visible()


def test_priorities_turn_the_number_and_its_unit_without_a_fit(tab, desk):
    visit(tab, desk, "explore?priorities=web_val_loss:0")
    expect(tab.get_by_text("Mean score, predicted (accuracy)")).to_be_visible()
    value = float(tab.get_by_test_id("stMetricValue").first.inner_text().split()[0])
    assert 0.2 < value < 0.8, "an accuracy as it is read, not turned"


def test_a_file_is_uploaded_refused_mended_and_imported(tab, desk):
    visit(tab, desk, "import")
    tab.locator("input[type=file]").set_input_files(write(desk.folder / "bad.csv", changed("w/web", 3, -0.5)))
    settled(tab)
    refusal = tab.get_by_test_id("stAlertContentError")
    expect(refusal).to_contain_text("row 5 of bad.csv, column 'w/web'")
    expect(tab.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    tab.reload()
    visit(tab, desk, "import")
    tab.locator("input[type=file]").set_input_files(write(desk.folder / "good.csv", changed("web_val_loss", 3, 2.5)))
    settled(tab)
    expect(tab.get_by_text("24 runs are ready to import.")).to_be_visible()
    expect(tab.get_by_text("Columns: 3 domains, 2 metrics")).to_be_visible()
    name = tab.get_by_label("Name of the study")
    name.fill("Through the page")
    name.press("Enter")
    settled(tab)
    tab.get_by_role("button", name="Import", exact=True).click()
    expect(tab.get_by_text("24 runs imported from good.csv")).to_be_visible()
    assert "study=through-the-page-" in tab.url
