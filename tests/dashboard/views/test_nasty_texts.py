"""Texts that people give stay text on every page: no Markdown, no HTML, no links; each choice has its own label."""

import json
import logging
import re

import pytest
from google.protobuf.descriptor import FieldDescriptor
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views import pages_for
from dashboard.views.shared import plot
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from store import reviews, studies
from tests.conftest import built_once
from tests.support import nasty

pytestmark = pytest.mark.slow
READ = re.compile(r"(?<!\\)\[([^\]\\]+)(?<!\\)\]\(b\)|(a@e\.x)|(<i>)")  # what of a nasty text is not escaped
# Fields that Streamlit shows as they are, or not at all; Markdown is read in all others.
AS_THEY_ARE = {
    "Dataframe.columns",  # drawn, but for the words that help
    *("Text.body", "Code.code_text", "Json.body", "Html.body", "Exception.message"),
    *(
        "Selectbox.options",
        "MultiSelect.options",
        "Selectbox.raw_value",
        "MultiSelect.raw_values",
        "MultiSelect.default",
    ),
    *("TextInput.default", "TextInput.value", "TextArea.default", "TextArea.value"),
    *("Selectbox.placeholder", "MultiSelect.placeholder", "TextInput.placeholder", "TextArea.placeholder"),
}
HIDDEN = re.compile(
    r".*\.(id|key|form_id|url|href|query_params|page_script_hash|element_id|icon|spec|config|mixed_data)"
)
TABLES = re.compile(r"(Arrow|Bidi|Plotly|PageProfile|Deck|Vega|Graph).*")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The store of the nasty workspace, which this process owns."""
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    owner = Owner(Workspace.open(built_once(tmp_path_factory, "nasty", lambda folder: nasty.build(folder / "w")) / "w"))
    state.use(owner)
    yield owner.store
    state.use(None)
    owner.close()


def page(path: str, kind: str, study: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for(kind)[path].function()(study)


def texts_of(message, where: str = ""):
    """Every text in a protobuf message that Streamlit reads as Markdown: where it stands, and the text."""
    name = message.DESCRIPTOR.name
    if TABLES.fullmatch(name):
        return
    for field, value in message.ListFields():
        place = f"{name}.{field.name}"
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.message_type.GetOptions().map_entry:
                continue
            many = value if hasattr(value, "__len__") and not hasattr(value, "DESCRIPTOR") else [value]
            for one in many:
                yield from texts_of(one, place)
        elif place == "Dataframe.columns":
            yield from ((place, one["help"]) for one in json.loads(value or "{}").values() if one.get("help"))
        elif field.type == FieldDescriptor.TYPE_STRING and place not in AS_THEY_ARE and not HIDDEN.fullmatch(place):
            for one in [value] if isinstance(value, str) else value:
                yield place, one


def nodes_of(node):
    """All blocks and elements of a page, as AppTest has them."""
    yield node
    for child in getattr(node, "children", {}).values():
        yield from nodes_of(child)


def read_as_markdown(found: AppTest) -> set[str]:
    """Where a nasty text stands unescaped."""
    wrong = set()
    for node in nodes_of(found._tree):
        if (message := getattr(node, "proto", None)) is None or not hasattr(message, "ListFields"):
            continue
        for place, text in texts_of(message):
            if bad := READ.search(text):
                wrong.add(f"{place}: {text[max(0, bad.start() - 60) : bad.end() + 20]!r}")
    return wrong


def labels_that_repeat(found: AppTest) -> list[str]:
    """Boxes two of whose options are called alike."""
    boxes = [*found.selectbox, *found.multiselect, *found.radio]
    return [one.label for one in boxes if len(set(one.options)) < len(one.options)]


def drawn(monkeypatch, path: str, kind: str, study: str, **query: str) -> tuple[AppTest, list[str]]:
    """A page, and its figures as JSON."""
    figures: list[str] = []
    real = plot.draw
    monkeypatch.setattr(plot, "draw", lambda figure, *more: [figures.append(figure.to_json()), real(figure, *more)][1])
    found = AppTest.from_function(page, args=(path, kind, study), default_timeout=120)
    found.query_params.update({"study": study, **query})
    found.run()
    assert not found.exception, (path, found.exception)
    return found, figures


def check(found: AppTest, figures: list[str]) -> None:
    assert read_as_markdown(found) == set()
    assert labels_that_repeat(found) == []
    assert not [text for text in figures if "<i>" in text], "Plotly reads some HTML"


def choose_by_name(found: AppTest) -> bool:
    """In every box that offers such a text, the last one; False where none does."""
    chosen = False
    for box in found.selectbox:
        named = [one for one in box.options if READ.search(one)]
        if named and box.format_func(named[-1]) == named[-1]:  # others are chosen by an id
            box.select(named[-1])
            chosen = True
    return chosen


@pytest.mark.parametrize("path", pages_for(nasty.MIXTURE))
@pytest.mark.parametrize("kind", [nasty.MIXTURE, nasty.MERGE])
def test_texts_of_users_stay_text(desk, monkeypatch, kind, path):
    found, figures = drawn(monkeypatch, path, kind, kind)
    check(found, figures)
    if choose_by_name(found):
        found.run()
        assert not found.exception
        check(found, figures)


@pytest.mark.parametrize("kind", [nasty.MIXTURE, nasty.MERGE])
@pytest.mark.parametrize("link", ["candidate", "compare", "vote", "run"])
def test_texts_of_users_stay_text_behind_links(desk, monkeypatch, link, kind):
    first, second, *_ = [one.id for one in reviews.of_study(desk, kind)]
    ids = {"candidate": first, "compare": f"{first},{second}", "vote": f"{first},{second}", "run": f"{kind}-00003"}
    check(*drawn(monkeypatch, "runs" if link == "run" else "candidates", kind, kind, **{link: ids[link]}))


def test_texts_of_users_stay_text_of_other_studies(desk, monkeypatch):
    imported = next(one.id for one in studies.all_studies(desk) if one.imported)
    for path in ("studies", "runs", "explore", "leaderboard", "export"):
        check(*drawn(monkeypatch, path, nasty.MIXTURE, imported))
    check(*drawn(monkeypatch, "studies", nasty.MIXTURE, nasty.MIXTURE, compare=f"{nasty.MIXTURE},{imported}"))
