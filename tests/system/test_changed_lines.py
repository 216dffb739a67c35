"""A real line of any kind with a value changed, in its writer's journal: it is applied, or set aside with a reason; and
whatever reads answers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views import pages_for
from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import only_reads
from engine.core.workspace import Workspace
from engine.jobs.kinds import event_kinds
from engine.service.owner import Owner
from engine.studies import advance
from store import jobs, reviews, studies
from store.database import Store
from tests.conftest import built_once
from tests.support import every_kind, nasty
from tests.support.mutations import FUZZ
from tests.support.nasty import MERGE, MIXTURE
from tests.support.running import copied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Path:
    """A workspace with a line of every kind of event, without its database."""

    def build(folder: Path) -> None:
        made = built_once(tmp_path_factory, "nasty", lambda inner: nasty.build(inner / "w"))
        every_kind.complete(copied(made / "w", folder / "w"))

    root = built_once(tmp_path_factory, "every-kind", build) / "w"
    (root / "mixdesk.duckdb").unlink()
    return root


def test_there_is_a_line_of_every_kind(told):
    assert {kind for kind, _ in every_kind.lines_of(told)} == set(event_kinds())


# What reads, and what it is asked: of every study, of every candidate and job, or of the workspace.
OF_A_STUDY: dict[str, dict] = {
    "export": {"format": "csv"},
    "export_design": {"format": "csv"},
    "rehearse": {"format": "megatron", "context": 128},
    "plan_runs": {"parameters": 1e6, "tokens": 1e8, "flops": 1e15},
}
PLAIN = ("show", "list_runs", "list_searches", "list_proposals", "list_candidates", "history", "ballot", "list_jobs")
PLAIN += ("repetition", "desk", "trust", "scale", "fitted", "list_sizes", "ledger", "formats", "merge_searches")
PLAIN += ("learned_merges", "merge_ablations", "merge_as_proxy", "plan_confirmation", "task_overlap", "task_readiness")
PLAIN += (
    "influence",
    "influence_check",
    "phases",
    "list_rivals",
    "plan_fidelity_lab",
    "fidelity_lab",
    "curves",
    "since_start",
)
OF_A_STUDY |= {name: {} for name in PLAIN}
OF_ONE = ("dossier", "job", "job_log")
OF_ALL = (
    "list_studies",
    "list_set_aside",
    "list_corpora",
    "list_tasks",
    "harness_results",
    "list_jobs",
    "list_tokens",
    "inbox",
    "ledger",
)
WITH_NAMES = ("trade_off", "targets", "predict", "compare_candidates", "preview_import", "extrapolate_score")
WITH_NAMES += ("metric_row", "domain_row")


def test_every_command_that_reads_is_asked():
    reading = {name for name, command in COMMANDS.items() if only_reads(command)}
    assert (
        reading - {*OF_A_STUDY, *OF_ONE, *OF_ALL, *WITH_NAMES, "show_task"} == set()
    )  # a task is no line of a journal


def asked(store: Store):
    """Every question, as a name and arguments."""
    for name in OF_ALL:
        yield name, {}
    for one in studies.all_studies(store):
        for name, more in OF_A_STUDY.items():
            yield name, {"name": one.id, **more}
        if one.coordinates:
            yield "trade_off", {"name": one.id, "metrics": one.metrics[:2]}
            yield "targets", {"name": one.id, "limits": {one.metrics[0]: 1.0}}
            yield "extrapolate_score", {"name": one.id, "metric": one.metrics[0]}
            yield "metric_row", {"name": one.id, "metric": one.metrics[0]}
            yield "domain_row", {"name": one.id, "domain": one.domains[0] if one.domains else "web"}
            yield "predict", {"name": one.id, "weights": [dict.fromkeys(one.coordinates, 1 / len(one.coordinates))]}
        found = reviews.of_study(store, one.id)
        for candidate in found:
            yield "dossier", {"candidate": candidate.id}
        if len(found) > 1:
            ids = [candidate.id for candidate in found[:2]]
            yield "compare_candidates", {"candidates": ids, "reference": ids[0]}
        for job in jobs.of_study(store, one.id):
            yield "job", {"job_id": job.id}


def answers(store: Store) -> None:
    """Every question is answered in JSON, or refused in a sentence."""
    for name, arguments in asked(store):
        try:
            json.dumps(COMMANDS[name](store, **arguments))
        except Problem as problem:
            assert str(problem).strip(), (name, arguments)


def page(path: str, kind: str, study: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for
    from dashboard.views.shared.refused import refusing

    st.session_state["pages"] = {}
    refusing(pages_for(kind)[path].function())(study)


def pages_answer(root: Path) -> None:
    """Every page of both studies is drawn without a fault."""
    owner = Owner(Workspace.open(root))
    state.use(owner)
    try:
        for study in {MIXTURE, MERGE} & {one.id for one in studies.all_studies(owner.store)}:
            for path in pages_for(study):
                found = AppTest.from_function(page, args=(path, study, study), default_timeout=120)
                found.query_params["study"] = study
                assert not found.run().exception, (path, study, found.exception)
    finally:
        state.use(None)
        owner.close()


def stands(told: Path, root: Path, line: tuple, path: tuple, change: str, pages: bool = False) -> str | None:
    """Apply a change, and ask everything; the reason why the line was set aside, None where it was applied."""
    journal, place, event = line
    if (new := every_kind.changed(event, path, change)) is None:
        return None
    shutil.copytree(told, root)
    every_kind.write(root, journal, place, new)
    store = Store(Workspace.open(root))
    try:
        with np.errstate(all="ignore"):
            store.ingest()
            store.take_sealed()
            assert {MIXTURE, MERGE} <= {one.id for one in studies.all_studies(store)} or event[
                "kind"
            ] == "study.created"
            answers(store)
            told_at = store.version
            advance.advance(store)
            if store.version != told_at:  # of the same lines the same is told
                answers(store)
        reason = next((reason for (reason,) in store.rows("SELECT reason FROM corrupt_lines")), None)
    finally:
        store.close()
    if pages:
        pages_answer(root)
    shutil.rmtree(root)
    return reason


@st.composite
def one_change(draw, lines: dict) -> tuple[tuple, tuple, str]:
    line = lines[draw(st.sampled_from(sorted(lines)))]
    where = every_kind.places(line[2])
    return line, draw(st.sampled_from(where)) if where else (), draw(st.sampled_from(every_kind.CHANGES))


FEW = 20


def changes_at_random(told, tmp_path_factory, count: int, pages: bool = False) -> None:
    lines = every_kind.lines_of(told)

    # One change is small as it is; a few in every run of the tests are the same ones.
    @settings(FUZZ, max_examples=count, phases=[Phase.generate], derandomize=count < FEW)
    @given(one_change(lines))
    def check(drawn):
        line, path, change = drawn
        if path:
            stands(told, tmp_path_factory.mktemp("changed") / "w", line, path, change, pages)

    check()


def test_a_changed_line_stops_nothing(told, tmp_path_factory):
    changes_at_random(told, tmp_path_factory, 8)


@pytest.mark.soak
def test_a_changed_line_stops_nothing_long(told, tmp_path_factory):
    changes_at_random(told, tmp_path_factory, 400)


@pytest.mark.soak
def test_pages_of_a_changed_line_are_drawn(told, tmp_path_factory):
    changes_at_random(told, tmp_path_factory, 60, pages=True)


KNOWN = {  # what was applied once, and stopped pages and commands: a line, its change, what is said
    "a search with a share too few": (
        "search.finished",
        MIXTURE,
        ("found", "found", "shares"),
        "one less",
        "2 numbers",
    ),
    "a run of odd shares": ("runs.added", MIXTURE, ("runs", 0, "weights", 0), "below 0", "shares are at least 0"),
    "a run at a fidelity of no width": (
        "runs.added",
        MIXTURE,
        ("runs", 0, "fidelity", "width"),
        "an object",
        "width",
    ),
    "a plan with a domain too few": ("study.planned", MIXTURE, ("domains",), "one less", "2 coordinates"),
    "a proposal of other points": ("proposal.finished", MIXTURE, ("found", "points", 0), "one more", "4 numbers"),
    "a fit of a metric too few": (
        "league.finished",
        MIXTURE,
        ("league", "standings", 0, "rmse"),
        "one less",
        "3 numbers",
    ),
    "a merge with a coefficient too many": (
        "merge_search.finished",
        MERGE,
        ("found", "weights"),
        "one more",
        "4 numbers",
    ),
    "a candidate of another length": ("candidate.put", MIXTURE, ("frozen", "point"), "one less", "2 numbers"),
    "a corpus without its tokens": ("corpus.built", "", ("manifest", "tokenizer", "vocabulary"), "null", "vocabulary"),
}


@pytest.mark.parametrize("case", KNOWN)
def test_what_does_not_fit_its_study_is_set_aside_with_the_reason(told, tmp_path, case):
    kind, study, path, change, said = KNOWN[case]
    line = every_kind.lines_of(told)[kind, study]
    assert said in (stands(told, tmp_path / "w", line, path, change) or "nothing")
