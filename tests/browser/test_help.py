"""Help where it stands: the palette, the words, the keys, the tour, in a real browser."""

import ast
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
    box = tab.get_by_role("combobox", name="Go to a page, study, candidate, run or word, or do something")
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
def test_the_palette_opens_a_run_a_word_and_a_form(tab, page):
    visit(tab, page, "jobs")
    expect(tab.locator(".mixdesk-palette .ground")).to_have_count(1)
    box = tab.get_by_role("combobox", name="Go to a page")
    tab.keyboard.press("Control+k")
    box.fill("run 1")
    expect(tab.get_by_role("listbox", name="Found").get_by_role("option").first).to_have_text("runrun 1")
    tab.keyboard.press("Enter")
    expect(tab).to_have_url(re.compile("runs.*run=1"))
    expect(tab.get_by_role("heading", name="Run 1", exact=True)).to_be_visible()
    settled(tab)
    tab.keyboard.press("Control+k")
    box.fill("word pareto")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("dialog").get_by_text(GLOSSARY["Pareto front"])).to_be_visible()
    tab.keyboard.press("Escape")
    settled(tab)
    tab.keyboard.press("Control+k")
    box.fill("do new study")
    tab.keyboard.press("Enter")
    expect(tab.locator("h1")).to_have_text("Studies")
    expect(tab.get_by_role("dialog", name="New study")).to_be_visible()


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
    expect(dialog.get_by_text("No such word here.")).to_be_visible()
    dialog.get_by_role("tab", name="Keys").click()
    expect(dialog.get_by_text("go to a page, study, candidate, run or word")).to_be_visible()


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
            expect(tab.get_by_text("The tour continues on Runs.")).to_be_visible()
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


FAMILIAR = {  # of any computer
    *("MB", "GB", "API", "CPU", "GPU", "CSV", "TSV", "HTML", "JSON", "YAML", "SHA", "CI", "JavaScript", "HF_HOME"),
    *("Student's", "Spearman's", "Fisher's", "Mixdesk's"),  # parts of terms
}
NAMES = re.compile(r"\b[A-Z][a-z]+-[A-Z][a-z]+\b|\b[A-Z]{2,}-[A-Z]{2,}\b|\b[A-Z]\w*[A-Z]\w*\b")
TERMS = (  # of the field; a page that begins to use one more is a reason to explain it
    *("acquisition", "bootstrap", "calibration", "confidence", "cosine", "coverage", "cross-validation"),
    *("degrees of freedom", "dose run", "epoch cap", "expected improvement", "Gaussian process", "interaction"),
    *("Lasso", "learning curve", "log odds", "loss barrier", "negative flip", "optimism", "Pareto front", "posterior"),
    *("power", "preset", "probit", "rank correlation", "regret", "residual", "scene", "SHAP value", "slice", "Sobol"),
    *("stability", "standard deviation", "Student's t", "task vector", "validation text", "within noise"),
)


def said_on_pages() -> str:
    """All texts in the files of the pages."""
    found = []
    folders = [ROOT / "dashboard" / one for one in ("views", "charts", "models")]
    for path in (file for folder in folders for file in folder.rglob("*.py")):
        if path.name != "glossary.py":
            nodes = list(ast.walk(ast.parse(path.read_text())))
            docs = {id(one.body[0].value) for one in nodes if isinstance(one, DOCUMENTED) and has_docstring(one)}
            constants = [one for one in nodes if isinstance(one, ast.Constant) and id(one) not in docs]
            found += [one.value for one in constants if isinstance(one.value, str) and " " in one.value]
    return "\n".join(found)


DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def has_docstring(node) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and ast.get_docstring(node) is not None


def test_terms_that_pages_use_are_explained():
    """As far as a test can tell a term: what is spelled like a name or an abbreviation, and a list of the field's."""
    text, words = said_on_pages(), {word.lower() for word in GLOSSARY}
    explained = " ".join(GLOSSARY) + " ".join(GLOSSARY.values())
    names = {one for one in NAMES.findall(text) if one not in FAMILIAR and one not in explained}
    assert names == set()
    used = [term for term in TERMS if re.search(rf"\b{term}", text, re.IGNORECASE)]
    assert len(used) > 25
    assert [term for term in used if term.lower() not in words] == []


def test_badges_and_their_words_are_the_same():
    page = (Path(ROOT) / "dashboard/views/shared/predicted.py").read_text()
    for word in ("measured", "interpolated", "extrapolated"):
        assert word in GLOSSARY and f'"{word}"' in page
