"""Data-driven merging in a merge study: methods that learn from text, and their results beside reference merges."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.live import live
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import beside, told_apart
from engine.spec.merge import USUAL
from engine.spec.merge_learners import LEARNERS, Learner
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.measured import reference_runs
from engine.studies.merges.learning import queue_learning
from engine.studies.moments import Moment, moment_of
from engine.studies.points import best_measured
from store import jobs, results, runs, studies

COLUMNS = 4


def render(study: studies.Study) -> None:
    """A form for a new merge, and the results of the others."""
    ask(study)
    live(lambda: results_so_far(study.id))


def ask(study: studies.Study) -> None:
    """A method, its knobs, and the button."""
    titles = told_apart({one: learner.title for one, learner in LEARNERS.items()})
    name = st.selectbox(
        "Method",
        list(titles),
        format_func=titles.get,
        key="learn-method",
        help="They read training text only; the result is measured on validation text, like any merge.",
    )
    learner = LEARNERS[name]
    st.caption(f"Needs {plain(learner.needs)}. Gives {plain(learner.gives)}. {learner.paper}")
    knobs, coefficients = numbers_of(name, learner), weights_of(study, name, learner)
    large = large_of(study, learner)
    if st.button("Learn", type="primary", icon=":material/school:", **needs_role("operator")):
        try:
            asked = queue_learning(state.store(), study, name, knobs, coefficients, large)
        except Problem as problem:
            refusal(problem)
            return
        say_if_there(asked.already_there)
        st.rerun()


def numbers_of(name: str, learner: Learner) -> dict[str, float]:
    """The method's knobs as they are set."""
    found = {}
    for place, (key, knob) in enumerate(learner.knobs.items()):
        if place % COLUMNS == 0:
            row = st.columns(COLUMNS)
        kind, integer = type(knob.default), isinstance(knob.default, int)
        found[key] = row[place % COLUMNS].number_input(
            key,
            kind(knob.low),
            kind(knob.high),
            knob.default,
            step=1 if integer else None,
            format="%d" if integer else "%g",
            help=knob.text,
            key=f"learn-{name}-{key}",
        )
    return found


def weights_of(study: studies.Study, name: str, learner: Learner) -> dict[str, float]:
    """Coefficients of the experts, for methods that need them."""
    if not learner.weighs:
        return {}
    experts = study.corpus["experts"]
    usual, least = learner.usual_weight(len(experts)), -2.0 if learner.signed else 0.0
    with st.expander("Coefficients of the experts"):
        row = st.columns(COLUMNS)
        return {
            expert: row[place % COLUMNS].number_input(
                plain(expert), least, 2.0, usual, 0.1, key=f"learn-{study.id}-{name}-{expert}"
            )
            for place, expert in enumerate(experts)
        }


def large_of(study: studies.Study, learner: Learner) -> str:
    """The checkpoint that a fusion method steers; by default the base itself."""
    if not learner.large or not study.spec["merge"]["base"]:
        return ""
    folder = state.store().workspace.root / "checkpoints"
    names = sorted(path.name for path in folder.iterdir() if (path / "config.json").exists())
    titles = told_apart({"": "the base itself", **{name: name for name in names}})
    return st.selectbox(
        "Large model",
        list(titles),
        format_func=titles.get,
        key="learn-large",
        help="It must share the base's tokenizer.",
    )


def results_so_far(name: str) -> None:
    """Running and finished merges, against task arithmetic at 0.3 and the best measured merge."""
    store = state.store()
    study = studies.get(store, name)
    under_way(jobs.of_study(store, name), "merge_learn", "learning")
    found = results.learned_merges(store, name)
    if not found:
        st.info(
            "No data-driven merges yet. **LM-Cocktail** takes a moment and learns one coefficient per expert; "
            "**aTLAS** learns one per tensor; **RegMean** matches the experts' outputs layer by layer."
        )
        return
    moment = moment_of(store, study)
    aggregate = moment.aggregate
    rows = reference_rows(moment) + [learned_row(one) for one in found]
    usual = next((row for row in rows if row["merge"] == USUAL), None)
    read, own = reading(aggregate.unit), [reading(one.unit) for one in study.objectives]
    vs, table = f"vs. {USUAL}", []
    titles = beside(("merge", aggregate.title, vs, "seconds", "saved as", "note"), study.metrics, "metric")
    for row in rows:
        value, half = aggregate.sign * aggregate.of(row["losses"]), ci_half_width(aggregate.error_of([row["errors"]]))
        columns = zip(titles, own, row["losses"], ci_half_width(row["errors"]), strict=True)
        table.append(
            {
                "merge": row["merge"],
                aggregate.title: read.words(value, half),
                vs: "–" if usual is None or usual is row else against(aggregate, row, usual),
                **{name: by.words(x, half) for name, by, x, half in columns},
                "seconds": row["seconds"],
                "saved as": row["saved"],
                "note": row["note"],
            }
        )
    formats = {"seconds": st.column_config.NumberColumn(format="%.1f")}
    st.dataframe(table, hide_index=True, column_config=formats, key="learned-merges")
    st.caption(
        f"Unit: {plain(read.unit)}, with the study's own priorities.{read.note} ± is 95% over "
        "validation windows; all merges share these, so differences between them are more certain. Runs can be set on "
        "the faders; files are in the workspace's exports folder."
    )


def against(aggregate: Aggregate, row: dict, usual: dict) -> str:
    """How much a merge's aggregate differs from another's, with the interval as if they were of different text."""
    gap = aggregate.sign * (aggregate.of(row["losses"]) - aggregate.of(usual["losses"]))
    return reading(aggregate.unit).gap_words(gap, ci_half_width(aggregate.error_of([row["errors"], usual["errors"]])))


def reference_rows(moment: Moment) -> list[dict]:
    """Task arithmetic at 0.3 and the best measured merge, if they are measured."""
    study, aggregate, merges, best = moment.study, moment.aggregate, moment.measured, moment.best
    measured = runs.measured(state.store(), study.id)
    if not len(measured.ids):
        return []
    errors = runs.standard_errors(state.store(), study.id, len(study.metrics))
    table = runs.table(state.store(), study.id)
    seconds = dict(zip(table.column("id").to_pylist(), table.column("seconds").to_pylist(), strict=True))

    def row(merge: str, rows: runs.Measured, i: int, note: str = "") -> dict:
        run = rows.ids[i]
        return {
            "merge": merge,
            "losses": rows.losses[i],
            "errors": errors[run],
            "seconds": seconds[run],
            "saved": run,
            "note": note,
        }

    usual = reference_runs(measured, aggregate)
    found = [row(USUAL, measured, usual[USUAL])] if USUAL in usual else []
    if best is not None:
        words = merges.labels[best] or merges.roles[best]
        note = f"{words}, the best of {len(merges.ids)} merges, so a little lucky on these windows"
        found.append(row(best_measured(moment), merges, best, note))
    return found


def learned_row(one: dict) -> dict:
    """A learned merge as a row of the table."""
    result = one["found"]
    losses, errors = (np.array(result[key], float) for key in ("losses", "losses_se"))
    return {
        "merge": LEARNERS[result["method"]].title,
        "losses": losses,
        "errors": errors,
        "seconds": result["seconds"],
        "saved": result["run"] or result["file"] or "",
        "note": result["note"],
    }
