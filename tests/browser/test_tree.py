"""The folded tree of a desk of many domains: groups open, a filter finds, a group's fader moves its domains."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

import dashboard.components

pytestmark = pytest.mark.browser
FOLDER = Path(dashboard.components.__file__).parent
SCRIPTS = "\n".join((FOLDER / f"{name}.js").read_text() for name in ("moves", "scenes", "tree", "desk"))
NAMES = [
    f"{source}/{topic}" for source in ("cc", "books", "forum", "code") for topic in ("maths", "news", "law", "art")
]
DRAW = """(data) => {
  const tell = (name, value) => (window.told = { ...window.told, [name]: value });
  window.drawDesk({ data, parentElement: document.body, setStateValue: tell });
}"""


def fader(name: str, value: float) -> dict:
    own = {"colour": "#0072b2", "lower": 0, "upper": 1, "mark": 0.1, "mark_name": "natural"}
    return {"name": name, "value": value, "low": None, "high": None, "lit": None, **own}


def group(level: str, name: str) -> dict:
    members = [i for i, domain in enumerate(NAMES) if name in domain.split("/")]
    own = {"colour": "#8a8279", "mark": 0.25, "mark_name": "natural", "low": 0.2, "high": 0.3}
    return {"level": level, "name": name, "members": members, **own}


GROUPS = [group("source", one) for one in ("cc", "books", "forum", "code")] + [group("topic", "maths")]
DATA = {
    **{"faders": [fader(name, 1 / 16) for name in NAMES], "groups": GROUPS, "reset": "one", "free": False},
    **{"giver": None, "locked": None, "scenes": {}, "tried": [], "needed": 0.5},
}


@pytest.fixture
def tab(browser):
    tab = browser.new_page()
    tab.set_content('<div class="mixdesk-desk"></div>')
    tab.add_style_tag(content=(FOLDER / "desk.css").read_text())
    script = SCRIPTS.replace("export default function", "window.drawDesk = function").replace("export ", "")
    tab.add_script_tag(content=script)
    tab.evaluate(DRAW, DATA)
    yield tab
    tab.close()


def seen(tab) -> list[str]:
    """The names of the faders in sight, in their order."""
    order = "(one, other) => one.style.order - other.style.order"
    names = f"(all) => all.filter((e) => !e.hidden).sort({order}).map((e) => e.querySelector('.name').textContent)"
    return tab.locator(".fader").evaluate_all(names)


def share(tab, name: str) -> float:
    return float(tab.get_by_role("slider", name=f"Share of {name}", exact=True).get_attribute("aria-valuenow"))


def test_a_tree_of_faders(tab):
    assert seen(tab) == ["cc", "books", "forum", "code"]
    tab.get_by_role("button", name="Open books").click()
    assert seen(tab) == ["cc", "books", *NAMES[4:8], "forum", "code"]

    slider = tab.get_by_role("slider", name="Share of source books")
    slider.focus()
    tab.keyboard.press("PageUp")
    assert [share(tab, name) for name in ("source books", "books/law", "source cc")] == [35.0, 8.8, 21.7]
    tab.get_by_role("button", name="Lock cc", exact=True).click()
    tab.get_by_label("Share of source books, typed").fill("50")
    tab.keyboard.press("Enter")
    assert [share(tab, name) for name in ("source books", "source cc", "source code")] == [50.0, 21.7, 14.2]
    assert tab.evaluate("window.told.locked.filter(Boolean).length") == 4

    search = tab.get_by_label("Filter domains")
    search.fill("MATHS")
    assert seen(tab) == [name for source in ("cc", "books", "forum", "code") for name in (source, f"{source}/maths")]
    search.fill("latin")
    expect(tab.get_by_text("No domain has that in its name.")).to_be_visible()
    search.fill("")

    tab.get_by_label("Faders of").select_option("topic")
    assert seen(tab) == ["maths"]
    tab.get_by_label("Faders of").select_option("domains")
    assert seen(tab) == NAMES
    expect(tab.get_by_role("slider", name=re.compile("^Share of"))).to_have_count(16)
