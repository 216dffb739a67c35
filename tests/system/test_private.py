"""A corpus that is made private after everything was built from it: no text of it is on a page, in a file or an answer.

Looked for is every piece of the validation text of SIZE characters, in all that leaves the server.
"""

import inspect
import io
import json
import logging
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.report import desk as desk_file
from dashboard.report import html as report
from dashboard.views import MERGE, MIXTURE, pages_for
from dashboard.views.decide import export as export_page
from dashboard.views.shared import passages, plot
from engine.cli import agents
from engine.commands import COMMANDS, READ_ONLY
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.corpus import shelf
from engine.review import acts
from engine.review.dossier import dossier
from engine.studies import corpora
from engine.studies.desk_file import desk_of
from store import corpora as table
from store import notices, reviews, studies
from tests.support import api
from tests.support.running import answer, copied

pytestmark = pytest.mark.slow
SIZE = 24
NOT_TOLD = {"preview_import", "targets"}  # they read what is sent to them


@pytest.fixture(scope="module")
def built(merged, tmp_path_factory):
    """A workspace with two confirmed candidates in the merge study, and every piece of its validation text."""
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    root = copied(merged, tmp_path_factory.mktemp("private") / "workspace")
    ids = []
    for name, point in (("One", (0.1, 0.4, 0.5)), ("Two", (0.6, 0.1, 0.1))):
        values = [f"{one}={value}" for one, value in zip(("digits", "prose", "python"), point, strict=True)]
        given = [word for value in values for word in ("--point", value)]
        ids.append(answer(root, "nominate", "Small merge", name, "--because", "x", *given)["candidate"])
        answer(root, "confirm-candidate", ids[-1], "--wait")
    corpus = shelf.load(root / "corpora" / "small")
    texts = [corpus.decode(corpus.valid(domain)[:]) for domain in corpus.domains]
    pieces = {text[at : at + SIZE] for text in texts for at in range(len(text) - SIZE + 1)}
    return root, ids, {piece for piece in pieces if len(set(piece)) > 8}  # no rules of dashes


def test_nothing_of_its_text_leaves_the_server(built, monkeypatch):
    root, ids, pieces = built
    with api.opened(root) as client:
        store = client.store
        before = places_of(everything(client, ids, monkeypatch), pieces)
        assert before >= {"page corpus", "passages", "passages of merges", "windows that got worse"}, "it was shown"
        assert client.post("/api/v1/mark_corpus", json={"name": "small"}).json()["result"]["private"] is True
        acts.comment(store, ids[0], "made private @nobody")
        acts.decide(store, ids[0], "rejected", "it is private now")
        assert places_of(everything(client, ids, monkeypatch), pieces) == set()
        study = next(one for one in studies.all_studies(store) if one.kind == MIXTURE)
        with pytest.raises(Problem, match="there is none"):
            corpora.mark_corpus(store, "no such", True)
    for name in ("list_corpora", "show", "list_runs"):  # the same by the door for agents
        pytest.importorskip("mcp_types")
        given = {} if name == "list_corpora" else {"name": study.id}
        told = agents.answer((Workspace.open(root), None, None), agents.offered(False), name, given)
        assert not told.is_error and places_of({name: told.content[0].text}, pieces) == set()
    answer(root, "mark-corpus", "small", "--public")
    with api.opened(root) as client:
        assert not table.is_private(client.store, "small")


def places_of(found: dict[str, str], pieces: set[str]) -> set[str]:
    """Which of some texts have a piece of the private one."""
    return {
        where
        for where, text in found.items()
        if any(text[at : at + SIZE] in pieces for at in range(len(text) - SIZE + 1))
    }


def everything(client, ids: list[str], monkeypatch) -> dict[str, str]:
    """All that a workspace tells by each of its doors."""
    store = client.store
    own = {one.kind: one for one in studies.all_studies(store)}
    found = {f"page {path}": page(path, own[MIXTURE], monkeypatch) for path in pages_for(MIXTURE)}
    found["passages"] = page("explore", own[MIXTURE], monkeypatch, look="Passages")
    found["passages of merges"] = page("explore", own[MERGE], monkeypatch, **{"merge-look": "Passages"})
    query = {"compare": ",".join(ids), "against": ids[1]}
    found["windows that got worse"] = page("candidates", own[MERGE], monkeypatch, query)
    found["a candidate"] = page("candidates", own[MERGE], monkeypatch, {"candidate": ids[0]})
    told = dossier(store, ids[0])
    desk = desk_of(store, own[MERGE], told["frozen"]["surrogate"]["name"])
    found |= {"report": report.html(told, desk), "desk": desk_file.html(desk), "export": exported(own, store)}
    found["webhook"] = "\n".join(one.text for one in notices.since(store, 0.0))
    for name in READ_ONLY - NOT_TOLD:
        given = arguments(name, own[MIXTURE], ids)
        found[f"command {name}"] = client.post(f"/api/v1/{name}", json=given).text
    found["comments"] = json.dumps([one.body for one in reviews.history(store, own[MERGE].id)])
    return found


def arguments(name: str, study: studies.Study, ids: list[str]) -> dict:
    """What a command that only looks needs."""
    known = {
        "name": study.id,
        "candidate": ids[0],
        "candidates": ids,
        "reference": ids[1],
        "job_id": f"{study.id}-train-1",
        "weights": [dict.fromkeys(study.domains, 1 / len(study.domains))],
        "corpus": "small",
    }
    needed = [one for one in inspect.signature(COMMANDS[name]).parameters.values() if one.default is one.empty]
    return {one.name: known[one.name] for one in needed if one.name in known}


def exported(own: dict[str, studies.Study], store) -> str:
    """Every format of every point, as the page packs them."""
    texts = []
    for study in own.values():
        recipe = export_page.recipe_chosen(study, "best", None, None)
        packed = zipfile.ZipFile(io.BytesIO(export_page.archive({"": recipe})))
        texts += [packed.read(name).decode("utf-8", "replace") for name in packed.namelist()]
    return "\n".join(texts)


def page(path: str, study: studies.Study, monkeypatch, query=None, **state_of) -> str:
    """All that a page sends to the browser: texts, tables, figures, and what its own components get."""

    def draw(path: str, kind: str, study: str) -> None:
        import streamlit as st

        from dashboard.views import pages_for

        st.session_state["pages"] = {}
        pages_for(kind)[path].function()(study)

    drawn: list[str] = []
    real = plot.draw
    with monkeypatch.context() as patched:
        patched.setattr(plot, "draw", lambda figure, *more: [drawn.append(figure.to_json()), real(figure, *more)][1])
        patched.setattr(passages, "passage", lambda words, *more, **named: drawn.append("".join(words)))
        shown = AppTest.from_function(draw, args=(path, study.kind, study.id), default_timeout=120)
        shown.query_params.update({"study": study.id, **(query or {})})
        for key, value in state_of.items():
            shown.session_state[key] = value
        shown.run()
    assert not shown.exception, (path, shown.exception)
    return "\n".join([*drawn, *texts_in(shown)])


def texts_in(shown: AppTest) -> list[str]:
    """The text of every element that was drawn, whatever its kind: as its message holds it."""
    return [str(one.value.to_csv()) for one in shown.dataframe] + [
        json.dumps(str(element.proto), ensure_ascii=False) for element in elements(shown._tree)
    ]


def elements(node):
    """Every element under a node of the tree of a page."""
    for child in getattr(node, "children", {}).values():
        yield from elements(child)
        if hasattr(child, "proto") and not getattr(child, "children", None):
            yield child
