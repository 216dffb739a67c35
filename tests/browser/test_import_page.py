"""Imported runs in a real browser: upload, preview, refusal, correction; then every page of the study that follows."""

import json

import pytest
from playwright.sync_api import expect

from tests.importing import made
from tests.importing.results import ARC, RUNS, mixtures, newest
from tests.importing.test_importing import FLAT, changed, write
from tests.support.running import Page, engine, settled, visit, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A page on a workspace with one imported study of a loss and an accuracy, fitted and searched."""
    folder = tmp_path_factory.mktemp("imported")
    path = write(folder / "runs.csv", FLAT)
    few = ("--surrogates", "ridge", "gp_rational", "power_law", "lightgbm", "stack")  # all of them take a minute
    told = ("--study", "Mine", "--format", "flat", "--weights", str(path), "--wait")
    engine(folder / "workspace", "import", *told, *few)
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
        "explore": "Weighted mean, predicted (standard deviations)",
        "search": "vs. mean of the runs",
        "export": "Epochs are unknown",
    }
    if path in words:
        expect(tab.get_by_text(words[path]).first).to_be_visible()
    if path == "runs":  # a table leaves by our own buttons only: Streamlit's would write formulas as they are
        tab.get_by_test_id("stDataFrame").first.hover()
        expect(tab.get_by_role("button", name="Search", exact=True).first).to_be_visible()
        expect(tab.get_by_role("button", name="Download as CSV", exact=True)).to_have_count(0)


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


def test_the_preview_explains_asks_and_waits_for_the_answers(tab, desk):
    visit(tab, desk, "import")
    path = write(desk.folder / "phases.csv", made.PHASES | {"model_size": [70_000_000, 160_000_000] * (made.RUNS // 2)})
    tab.locator("input[type=file]").set_input_files(path)
    settled(tab)
    button = tab.get_by_role("button", name="Import", exact=True)
    expect(tab.get_by_text("until then the preview shows the first answer of each")).to_be_visible()
    expect(button).to_be_disabled()
    expect(tab.get_by_text("Plausible as shares too: phase_1_web")).to_be_visible()
    expect(tab.get_by_text("Not read:")).to_contain_text("lm_eval/arc/acc_stderr")
    for question, answer in (
        ("may be the shares", "phase_1_web to phase_1_books"),
        ("model sizes", "160M: 8 of 16 runs"),
    ):
        tab.get_by_role("combobox", name=question).click()
        tab.get_by_role("option", name=answer).click()
        settled(tab)
    expect(tab.get_by_text("Shares are phase_1_web, phase_1_code, phase_1_books: they sum to 1.")).to_be_visible()
    expect(tab.get_by_text("8 runs are ready to import.")).to_be_visible()
    expect(button).to_be_enabled()
    name = tab.get_by_label("Name of the study")
    name.fill("Second phase")
    name.press("Enter")
    settled(tab)
    button.click()
    expect(tab.get_by_text("8 runs imported from phases.csv")).to_be_visible()


def test_shares_that_are_not_found_can_be_named(tab, desk):
    visit(tab, desk, "import")
    table = {**made.RUN, "alpha": made.MIX["web"], "beta": [0.9] * made.RUNS, "loss": made.LOSS.tolist()}
    tab.locator("input[type=file]").set_input_files(write(desk.folder / "bare.csv", table))
    settled(tab)
    expect(tab.get_by_test_id("stAlertContentError")).to_contain_text("Say which ones are the shares")
    shares = tab.get_by_role("combobox", name="Domain shares")
    for column in ("alpha", "beta"):
        shares.click()
        tab.get_by_role("option", name=column, exact=True).click()
        tab.keyboard.press("Escape")
        settled(tab)
    expect(tab.get_by_role("combobox", name="What are they?")).to_be_visible()


def test_several_results_files_are_the_second_table(tab, desk):
    visit(tab, desk, "import")
    tab.get_by_text("Two tables: mixtures").click()
    settled(tab)
    tab.locator("input[type=file]").first.set_input_files(mixtures(desk.folder / "mixtures.csv"))
    settled(tab)
    files = [desk.folder / f"results_{n}.json" for n in range(len(RUNS))]
    for path, run, arc in zip(files, RUNS, ARC, strict=True):
        path.write_text(json.dumps(newest(arc, f"/models/{run}")))
    tab.locator("input[type=file]").last.set_input_files(files)
    settled(tab)
    expect(tab.get_by_text("6 runs are ready to import.")).to_be_visible()
    expect(tab.get_by_text("Columns: 2 domains, 5 metrics")).to_be_visible()
