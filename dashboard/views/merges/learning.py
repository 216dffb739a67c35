"""Learn from text, of a merge study: methods that need data, and what came of them beside the usual merges."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.spec.merge import USUAL
from engine.spec.merge_learners import LEARNERS, Learner
from engine.studies.measured import aggregate_of, points_measured, reference_runs
from engine.studies.merges.learning import queue_learning
from store import jobs, runs, searches, studies

COLUMNS = 4


def render(study: studies.Study) -> None:
    """Ask for a merge, and see what the others measured."""
    ask(study)
    parts.live(lambda: results(study.id))


def ask(study: studies.Study) -> None:
    """A method, its knobs, and the button."""
    name = st.selectbox(
        "Method",
        list(LEARNERS),
        format_func=lambda one: LEARNERS[one].title,
        key="learn-method",
        help="They read training text only; what they find is measured on validation text, as all merges are.",
    )
    learner = LEARNERS[name]
    st.caption(f"Needs {parts.plain(learner.needs)}. Gives {parts.plain(learner.gives)}. {learner.paper}")
    knobs, coefficients = numbers_of(name, learner), weights_of(study, name, learner)
    large = large_of(study, learner)
    if st.button("Learn", type="primary", icon=":material/school:", **parts.takes("operator")):
        try:
            queue_learning(state.store(), study, name, knobs, coefficients, large)
        except Problem as problem:
            parts.refusal(problem)
            return
        st.rerun()


def numbers_of(name: str, learner: Learner) -> dict[str, float]:
    """The method's knobs as they are set."""
    found = {}
    for place, (key, knob) in enumerate(learner.knobs.items()):
        if place % COLUMNS == 0:
            row = st.columns(COLUMNS)
        kind, whole = type(knob.default), isinstance(knob.default, int)
        found[key] = row[place % COLUMNS].number_input(
            key,
            kind(knob.low),
            kind(knob.high),
            knob.default,
            step=1 if whole else None,
            format="%d" if whole else "%g",
            help=knob.text,
            key=f"learn-{name}-{key}",
        )
    return found


def weights_of(study: studies.Study, name: str, learner: Learner) -> dict[str, float]:
    """Coefficients of the experts, of methods that are given them."""
    if not learner.weighs:
        return {}
    experts = study.corpus["experts"]
    usual = 1 / len(experts) if learner.large else 1.0
    with st.expander("Coefficients of the experts"):
        row = st.columns(COLUMNS)
        return {
            expert: row[place % COLUMNS].number_input(
                parts.plain(expert), 0.0, 2.0, usual, 0.1, key=f"learn-{study.id}-{name}-{expert}"
            )
            for place, expert in enumerate(experts)
        }


def large_of(study: studies.Study, learner: Learner) -> str:
    """The checkpoint that a fusion steers; the base itself where none is chosen."""
    if not learner.large or not study.spec["merge"]["base"]:
        return ""
    folder = state.store().workspace.root / "checkpoints"
    names = sorted(path.name for path in folder.iterdir() if (path / "config.json").exists())
    return st.selectbox(
        "Large model",
        ["", *names],
        format_func=lambda one: one or "the base itself",
        key="learn-large",
        help="It must have the base's tokens.",
    )


def results(name: str) -> None:
    """What is being learned, and what was, against task arithmetic at 0.3 and the best run."""
    store = state.store()
    study = studies.get(store, name)
    parts.under_way(jobs.of_study(store, name), "merge_learn", "learning")
    found = searches.learned(store, name)
    if not found:
        st.info(
            "Nothing was learned from text yet. **LM-Cocktail** takes a moment and learns one coefficient an expert; "
            "**aTLAS** learns one for every tensor; **RegMean** matches the experts' outputs layer by layer."
        )
        return
    measured, whole = runs.measured(store, name), aggregate_of(store, study)
    rows = usual_rows(study, measured, whole) + [learned_row(one, whole) for one in found]
    usual = next((row["losses"] for row in rows if row["merge"] == USUAL), None)
    shown = []
    for row in rows:
        losses = row.pop("losses")
        aggregate = whole.sign * whole.of(losses)
        against = None if usual is None else aggregate - whole.sign * whole.of(usual)
        shown.append(
            {
                "merge": row["merge"],
                whole.title: aggregate,
                "±": row["error"],
                f"against {USUAL}": against,
                **dict(zip(study.metrics, losses, strict=True)),
                "seconds": row["seconds"],
                "kept as": row["kept"],
                "note": row["note"],
            }
        )
    formats = {key: st.column_config.NumberColumn(format="%.3f") for key in (whole.title, *study.metrics)}
    formats |= {key: st.column_config.NumberColumn(format="%+.3f") for key in list(shown[0])[3:4]}
    formats |= {"±": formats[whole.title], "seconds": st.column_config.NumberColumn(format="%.1f")}
    st.dataframe(shown, hide_index=True, column_config=formats, key="learned-merges")
    st.caption(
        f"Unit: {parts.plain(whole.unit)}; by the study's own priorities. ± is the standard error over validation "
        "windows; all merges share these windows, so differences between them are surer than that. A run can be "
        "turned on the faders; a file lies in the workspace's exports folder."
    )


def usual_rows(study: studies.Study, measured: runs.Measured, whole) -> list[dict]:
    """Task arithmetic at 0.3 and the best run, where they are measured."""
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
            "error": whole.error_of([errors[run]]),
            "seconds": seconds[run],
            "kept": run,
            "note": note,
        }

    usual, merges = reference_runs(measured, whole), points_measured(state.store(), study.id)
    found = [row(USUAL, measured, usual[USUAL])] if USUAL in usual else []
    if merges.ids and (best := whole.best(merges.losses)) is not None:
        words = merges.labels[best] or merges.roles[best]
        told = f"the lowest of {len(merges.ids)} merges: a little lucky on these windows"
        found.append(row(f"best run ({words})", merges, best, told))
    return found


def learned_row(one: dict, whole) -> dict:
    """A learned merge as the table has it."""
    told = one["found"]
    losses, errors = (np.array(told[key], float) for key in ("losses", "losses_se"))
    return {
        "merge": LEARNERS[told["method"]].title,
        "losses": losses,
        "error": whole.error_of([errors]),
        "seconds": told["seconds"],
        "kept": told["run"] or told["file"] or "",
        "note": told["note"],
    }
