"""Every page opens without a fault, and axe-core finds nothing serious, wide and narrow, light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from dashboard.views import MERGE, MIXTURE, pages_for
from tests.browser.test_merge_pages import see
from tests.support.running import Page, all_drawn, answer, copied, settled, visit, watched_tab

pytestmark = pytest.mark.browser

WIDE, NARROW = 1440, 390
LOOKS = [  # every width and every scheme; all of their combinations in the soak
    ((WIDE, "light"), (NARROW, "dark")),
    pytest.param(((WIDE, "dark"), (NARROW, "light")), marks=pytest.mark.soak),
]
OURS = {"heading-order"}  # looked for as well, though axe calls it moderate
# Streamlit's own: the rule, and the part that breaks it.
STREAMLIT = (
    ("list", '[data-testid="stSidebarNavItems"]', "sections of the navigation are <div> in a <ul>"),
    ("listitem", '[data-testid="stSidebarNav"] li', "and their pages <li> in these"),
)


@pytest.fixture
def tab(browser):
    yield from watched_tab(browser, 1000)


def faults(tab) -> list[str]:
    """What axe-core finds on the page with all its charts, as on paper, without Streamlit's own."""
    all_drawn(tab)
    if not tab.evaluate("'axe' in window"):  # half a megabyte, read once for all looks of a page
        tab.evaluate(Axe().axe_script)
    found = tab.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical") or rule["id"] in OURS
        for node in rule["nodes"]
        if not streamlits(tab, rule["id"], node["target"][-1])
    ]


def streamlits(tab, rule: str, target: str) -> bool:
    """Whether a fault is one of Streamlit's own parts'."""
    parts = [part for named, part, _ in STREAMLIT if named == rule]
    return any(tab.locator(target).first.evaluate("(node, part) => node.matches(part)", part) for part in parts)


def in_looks(tab, looks) -> dict[str, list[str]]:
    """The faults by width and scheme, where there are any."""
    found = {}
    for width, scheme in looks:
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 1000})
        settled(tab)
        if faults(tab):  # of a page that is still being drawn, it may be: what is wrong stays wrong
            tab.wait_for_timeout(2000)
            settled(tab)
            if wrong := faults(tab):
                found[f"{width} {scheme}"] = wrong
    return found


def opened(tab, title: str) -> None:
    """The page is there, and says nothing of an error."""
    expect(tab.locator("h1")).to_have_text(title)
    expect(tab.get_by_test_id("stException")).to_have_count(0)
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)


# The workspace's own: they are looked at where it has studies of both kinds.
OWN = {"studies", "corpus", "import", "jobs", "inbox", "tokens"}


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("path", [path for path in pages_for(MIXTURE) if path not in OWN])
def test_a_page_of_a_mixture_study(tab, page, path, looks):
    visit(tab, page, path)
    opened(tab, pages_for(MIXTURE)[path].title)
    assert in_looks(tab, looks) == {}


@pytest.fixture(scope="module")
def reviewed(merged, tmp_path_factory):
    """A page on a copy of both finished studies; in that of mixtures three candidates were voted on, discussed and
    decided."""
    workspace = copied(merged, tmp_path_factory.mktemp("reviewed") / "workspace")
    points, ids = ("0.1,0.2,0.7", "0.1,0.7,0.2", "0.4,0.3,0.3"), []
    for name, point in zip(("Mostly python", LONG, "Even"), points, strict=True):
        values = zip(("digits", "prose", "python"), point.split(","), strict=True)
        given = [word for one, value in values for word in ("--point", f"{one}={value}")]
        ids.append(answer(workspace, "nominate", "Small", name, "--because", f"for {name}", *given)["candidate"])
    me = answer(workspace, "inbox")["person"]
    answer(workspace, "comment", ids[0], f"What do you think, @{me}?")
    answer(workspace, "vote", ids[0], ids[1])
    answer(workspace, "vote", ids[0], ids[2])
    answer(workspace, "decide", ids[0], "approved", "--because", "It is better on all that counts.")
    answer(workspace, "decide", ids[2], "rejected", "--because", "Too much junk.")
    running = Page(workspace)
    running.ids = ids
    running.study = next(one["study"] for one in answer(workspace, "list") if one["name"] == "Small")
    yield running
    running.stop()


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("path", pages_for(MERGE))
def test_a_page_of_a_merge_study(tab, reviewed, path, looks):
    see(tab, reviewed, path)
    opened(tab, pages_for(MERGE)[path].title)
    assert in_looks(tab, looks) == {}


LONG = "a name that is as long as names of candidates can be, or so"
FILLED = {  # path and query of a page -> a text that is there once it is drawn
    "candidates?": "What the team prefers",
    "candidates?candidate={0}": "Discussion",
    "candidates?vote={0},{1}": "Names",
    "candidates?vote={1},{2}": "Names stay hidden",
    "candidates?compare={0},{1},{2}": "Epochs at the target budget",
    "review?candidate={0}": "1 comment",
    "review?candidate={1}": "nominated by",
    "inbox?": "For you",
}


@pytest.mark.slow
@pytest.mark.parametrize("looks", LOOKS)
def test_a_review_that_is_filled(tab, reviewed, looks):
    """All of its pages, in one tab: its parts are the same on each."""
    found = {}
    for path, words in FILLED.items():
        visit(tab, reviewed, f"{path.format(*reviewed.ids)}&study={reviewed.study}")
        expect(tab.get_by_text(words).first).to_be_visible()
        expect(tab.get_by_test_id("stException")).to_have_count(0)
        if wrong := in_looks(tab, looks):
            found[path] = wrong
        sideways = "document.querySelector('[data-testid=stMain]').scrollWidth > innerWidth"
        assert not tab.evaluate(sideways), f"{path} is wider than a phone"
        if path.startswith("review"):  # on a phone the candidate comes first, and what leads on stays in sight
            places = [tab.locator("h1"), tab.get_by_role("button", name="Next")]
            title, button = (one.bounding_box()["y"] for one in places)
            assert title < 100 < button < tab.viewport_size["height"], (title, button)
    assert found == {}


def test_the_page_follows_the_system_into_the_dark(tab, page):
    """Else the looks above would all be one. Charts that are drawn already follow too."""
    visit(tab, page, "")
    grounds, texts = set(), set()
    colour = "document.querySelector('.mixdesk-plot .xtick text, .mixdesk-plot .ytick text')?.style.fill"
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        settled(tab)
        tab.wait_for_function(f"seen => {colour} && !seen.includes({colour})", arg=list(texts))
        grounds.add(tab.get_by_test_id("stApp").evaluate("node => getComputedStyle(node).backgroundColor"))
        texts.add(tab.evaluate(colour))
    assert len(grounds) == len(texts) == 2
