"""Merge studies in a real browser: faders that are predicted and measured, details, searches, a new study."""

import json
import urllib.request

import pytest
from playwright.sync_api import expect

from engine.jobs.spool import Spool
from tests.support.running import Page, copied, settled, visit, watched_tab
from tests.support.working import worker

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def merge_page(merged, tmp_path_factory):
    """The page, serving a copy of the workspace with a merge study: searches are started here."""
    root = tmp_path_factory.mktemp("merge-pages")
    copied(merged, root / "workspace")
    running = Page(root / "workspace")
    yield running
    running.stop()


@pytest.fixture
def tab(browser, merge_page):
    yield from watched_tab(browser, 1700)


def study_link(page: Page, path: str) -> str:
    """A path with the merge study's id."""
    door = json.loads((page.workspace / "web.json").read_text())
    headers = {"Authorization": f"Bearer {door['token']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{page.url}/api/v1/list_studies", b"{}", headers)
    found = json.load(urllib.request.urlopen(request))["result"]
    study = next(one["study"] for one in found if one["name"] == "Small merge")
    return f"{path}{'&' if '?' in path else '?'}study={study}"


def see(tab, page: Page, path: str) -> None:
    visit(tab, page, study_link(page, path))
    expect(tab.get_by_test_id("stException")).to_have_count(0)


def test_a_passage_is_tinted_as_the_merge_at_the_faders_reads_it(tab, merge_page):
    see(tab, merge_page, "explore?merge-look=Passages")
    tokens = tab.locator(".mixdesk-passage span")
    expect(tokens).to_have_count(33)
    before = tokens.nth(5).get_attribute("title")
    assert before.endswith(" bits")
    expect(tab.get_by_text("Measured, not predicted: by the merge at the faders")).to_be_visible()
    expect(tab.get_by_text("what worse models write is noise")).to_be_visible()
    fader = tab.get_by_role("slider", name="python", exact=True)
    start = float(fader.get_attribute("aria-valuenow"))
    fader.focus()
    tab.keyboard.press("Home" if start > 0.5 else "End")
    expect(tokens.nth(5)).not_to_have_attribute("title", before)


def test_a_fader_is_predicted_at_once_and_measured_a_moment_later(tab, merge_page):
    see(tab, merge_page, "explore")
    measured = tab.get_by_text("Mean loss, measured now")
    expect(measured).to_be_visible()
    predicted = tab.get_by_test_id("stMetricValue").first
    before = [predicted.inner_text(), measured.inner_text()]
    fader = tab.get_by_role("slider", name="python", exact=True)
    start = float(fader.get_attribute("aria-valuenow"))
    other = tab.get_by_role("slider", name="prose", exact=True).get_attribute("aria-valuenow")
    fader.focus()
    for _ in range(4):  # far: near the best a small move may measure the same to three decimals
        tab.keyboard.press("PageDown" if start > 0.5 else "PageUp")
    expect(fader).not_to_have_attribute("aria-valuenow", str(start))
    expect(tab.get_by_role("slider", name="prose", exact=True)).to_have_attribute("aria-valuenow", other)
    expect(predicted).not_to_have_text(before[0])
    expect(measured).not_to_have_text(before[1])


def test_faders_and_losses_of_a_merge_stand_on_one_screen(tab, merge_page):
    tab.set_viewport_size({"width": 1440, "height": 900})
    see(tab, merge_page, "explore")
    expect(tab.get_by_text("Mean loss, measured now")).to_be_visible()
    for part in (".mixdesk-desk", ".mixdesk-meters", "[data-testid=stMetricValue]"):
        box = tab.locator(part).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 900, part


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ("Slice", "The cross marks the faders"),
        ("Line", "A bump between two good ends is a loss barrier"),
        ("Trade-off", "of them on the Pareto front"),
        ("Layers", "How far each expert's tensor is from the base's"),
        ("Against mixtures", "Can merges replace proxy runs here?"),
        ("Fit diagnostics", "predicted against measured"),
    ],
)
def test_details(tab, merge_page, look, words):
    see(tab, merge_page, f"explore?merge-look={look}")
    expect(tab.get_by_text(words).first).to_be_visible()
    expect(tab.locator(".mixdesk-plot").first).to_be_visible()


def test_another_method_and_layers_are_measured_on_the_same_experts(tab, merge_page):
    see(tab, merge_page, "explore")
    tab.get_by_text("One fader per layer").click()
    expect(tab.get_by_role("slider", name="python @ layer 0")).to_be_visible()
    expect(tab.get_by_text("Measured, not predicted")).to_be_visible()


def test_a_parameter_that_is_refused_says_so_where_it_was_set(tab, merge_page):
    """Its popover lies over the page."""
    see(tab, merge_page, "explore")
    tab.get_by_role("combobox", name="Method").fill("Consensus")
    tab.get_by_role("option", name="Consensus").click()
    tab.get_by_role("button", name="Parameters").click()
    parameters = tab.get_by_test_id("stPopoverBody")
    parameters.get_by_label("agree").fill("8")
    parameters.get_by_label("agree").press("Enter")
    expect(parameters.get_by_text("Cannot require 8 experts to agree")).to_be_in_viewport()


def test_a_merge_file_sets_the_faders(tab, merge_page):
    see(tab, merge_page, "explore")
    tab.get_by_text("Open a merge file").click()
    text = b"merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: prose, parameters: {weight: 0.625}}]\n"
    given = {"name": "merge.yml", "mimeType": "application/yaml", "buffer": text}
    tab.locator("input[type=file]").set_input_files(given)
    tab.get_by_role("button", name="Set faders to this file").click()
    prose = tab.get_by_role("slider", name="prose", exact=True)
    expect(prose).to_have_attribute("aria-valuenow", "0.625")
    expect(tab.get_by_role("slider", name="python", exact=True)).to_have_attribute("aria-valuenow", "0.000")


def test_a_search_is_started_and_its_best_sets_the_faders(tab, merge_page):
    see(tab, merge_page, "search")
    expect(tab.get_by_text("No search has measured merges yet")).to_be_visible()
    tab.get_by_label("Merges to measure").fill("16")
    tab.get_by_label("Merges to measure").press("Enter")
    tab.get_by_role("button", name="Search", exact=True).first.click()  # tables have one of that name, too
    expect(tab.get_by_text("searching: queued")).to_be_visible()


def test_a_new_merge_study_says_what_it_takes(tab, merge_page):
    see(tab, merge_page, "")
    tab.get_by_role("button", name="New merge").click()
    expect(tab.get_by_text("are measured first")).to_be_visible()
    tab.get_by_text("External checkpoints").click()
    expect(tab.get_by_text("Cannot merge external checkpoints yet")).to_be_visible()
    settled(tab)


def test_a_merge_is_learned_from_text_on_the_page(tab, merge_page):
    see(tab, merge_page, "search?merge-search=Data-driven+merging")
    settled(tab)
    expect(tab.get_by_text("No data-driven merges yet")).to_be_visible()
    tab.get_by_role("combobox", name="Method").click()
    tab.get_by_role("option", name="LM-Cocktail").click()
    expect(tab.get_by_text("Needs a few windows")).to_be_visible()
    tab.get_by_role("button", name="Learn", exact=True).click()
    expect(tab.get_by_text("learning: queued")).to_be_visible()
    with worker(Spool(merge_page.workspace)):
        expect(tab.get_by_text("Unit: bits per byte")).to_be_visible(timeout=120_000)
    expect(tab.get_by_test_id("stDataFrame")).to_have_count(1)
    expect(tab.get_by_test_id("stException")).to_have_count(0)
