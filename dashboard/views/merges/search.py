"""Search in a merge study: strategies that measure merges until a budget is spent, and their results."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import merges as merge_charts
from dashboard.models.moments import behind_words
from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.merges import learning as merge_learning
from dashboard.views.merges import targets as merge_targets
from dashboard.views.merges import trade_off as merge_trade_off
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.faders import set_faders
from dashboard.views.shared.limits import kept_words, search_limits
from dashboard.views.shared.live import live
from dashboard.views.shared.moment import priorities_asked, show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.sidebar import priorities_of
from dashboard.views.shared.study import study_of
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import beside, told_apart
from engine.search.strategies import TITLES
from engine.spec.objectives import Aggregate
from engine.spec.statistics import SAME_POINT, ci_half_width
from engine.studies.measured import aggregate_of, points_measured, reference_runs
from engine.studies.merges.answer import worth_measuring
from engine.studies.merges.questions import measure_points, queue_merge_search
from engine.studies.moments import Moment, moment_of
from engine.studies.points import BEST_PREDICTED
from engine.studies.reach import places_in
from engine.surrogates import SURROGATES, title_of
from store import jobs, results, runs, studies


def render(name: str | None) -> None:
    st.title("Search")
    if (study := study_of(name)) is None:
        return
    views = ["Search", "Trade-off", "Targets", "Data-driven merging"]
    view = st.segmented_control(
        "View",
        views,
        default=views[0],
        label_visibility="collapsed",
        key="merge-search",
        bind="query-params",
        required=True,
    )
    if view == views[3]:
        merge_learning.render(study)
        return
    aggregate = priorities_of(study)
    if view == views[1]:
        live(lambda: merge_trade_off.show(moment_of(state.store(), study, aggregate)))
        return
    if view == views[2]:
        live(lambda: merge_targets.show(moment_of(state.store(), study, aggregate)))
        return
    ask(study, aggregate)
    live(lambda: results_so_far(study.id))
    live(lambda: predicted_so_far(study, aggregate))


def ask(study: studies.Study, aggregate: Aggregate) -> None:
    """Start a search by the sidebar's priorities."""
    a, b, c, d = st.columns([2, 1, 1, 1])
    strategy = a.selectbox("Strategy", list(TITLES), format_func=TITLES.get, key="merge-strategy")
    evaluations = b.number_input("Merges to measure", 1, 100_000, 128, key="merge-evaluations")
    minutes = c.number_input("Time limit, minutes", 0.0, 1e5, 0.0, help="0: no limit.", key="merge-minutes")
    seed = d.number_input("Seed", 0, 10**6, 0, help="Another seed gives another search.", key="merge-seed")
    surrogate, spread = ask_guide() if strategy == "guided" else ("gp", False)
    limits = search_limits(study)
    if st.button("Search", type="primary", icon=":material/travel_explore:", **needs_role("operator")):
        try:
            asked = queue_merge_search(
                state.store(),
                study,
                strategy,
                int(evaluations),
                float(minutes),
                surrogate,
                priorities_asked(study, aggregate),
                spread,
                int(seed),
                limits,
            )
        except Problem as problem:
            refusal(problem)
            return
        if jobs.find(state.store(), asked.id).state == "done":
            st.info("This search was already run; its result is below. Choose another seed for a different one.")
            return
        say_if_there(asked.already_there)
        st.rerun()


def ask_guide() -> tuple[str, bool]:
    """The surrogate that guides a search, and whether it covers a front."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    titles = told_apart({k: one.title for k, one in SURROGATES.items() if k not in ("own_share", "stack")})
    surrogate = left.selectbox(
        "Surrogate",
        list(titles),
        index=list(titles).index("gp"),
        format_func=titles.get,
        key="merge-surrogate",
    )
    spread = right.checkbox(
        "Cover the Pareto front", help="Reweighs the losses every round (ParEGO): many trade-offs, no single best."
    )
    return surrogate, spread


NONE_YET = (
    "No search has measured merges yet. **Guided by a surrogate** finds good merges with the fewest measurements; "
    "CMA-ES needs no surrogate; random and grid are baselines."
)


def results_so_far(name: str) -> None:
    """Running searches, and the best merge of the finished ones."""
    store = state.store()
    study = studies.get(store, name)
    waiting = under_way(jobs.of_study(store, name), "merge_search", "searching")
    found = results.merge_searches(store, name)
    if not found:
        if not waiting:
            st.info(NONE_YET)
        return
    measured, aggregate = runs.measured(store, name), aggregate_of(store, study)
    usual = reference_runs(measured, aggregate)
    table(study, found, aggregate, measured, next(iter(usual), None))
    kept_words(study, found[0])
    st.header("Best so far", anchor=False)
    lines = {}
    for number, search in enumerate(found):
        own = Aggregate.from_dict(search["settings"]["aggregate"])
        if np.allclose(own.weights, aggregate.weights):
            label = titled(search["settings"]["strategy"]) + (f" ({number + 1})" if number else "")
            known = search["found"].get("known", 0)  # merges of earlier searches
            label += f", starting from {known} merges" if known else ""
            lines[label] = aggregate.sign * np.array(search["found"]["trace"])
    levels = {key: aggregate.sign * float(aggregate.of(measured.losses[row])) for key, row in list(usual.items())[:3]}
    plot(merge_charts.traces(lines, levels, aggregate.unit, aggregate.better), key="traces")
    st.caption(
        f"{len(points_measured(store, name).ids)} merges measured in this study, all on the same validation windows, "
        "so differences contain no training noise. The best of many is still a little lucky on these windows. Pause "
        "and resume on *Jobs*."
    )


def titled(strategy: str) -> str:
    """What a strategy is called; its name where this version does not know it."""
    return TITLES.get(strategy, strategy)


def predicted_so_far(study: studies.Study, aggregate: Aggregate) -> None:
    """What the search after each fit predicts to be the best, beside the baselines."""
    moment = moment_of(state.store(), study, aggregate)
    if moment.fit is None or moment.search is None:
        return
    st.header("Best predicted", anchor=False)
    show_moment(moment, "search")
    found, settings = moment.search["found"], moment.search["settings"]
    st.caption(
        f"After each fit, the losses of {found['draws']:,} merges are predicted, without measuring any: by "
        f"{title_of(settings['surrogate'])}, {behind_words(moment, moment.behind(moment.search))}."
    )
    best = np.array(found["found"]["shares"])
    st.dataframe(predicted_table(moment, best), hide_index=True)
    with st.container(horizontal=True):
        if st.button("Set faders to the best predicted", icon=":material/tune:"):
            set_faders(study, best)
        if worth_measuring(moment) is not None:
            allowed = needs_role("operator")
            if st.button("Measure the best predicted", icon=":material/science:", **allowed):
                act("measure-predicted", lambda: measure_points(state.store(), study, best, BEST_PREDICTED))
        nominate(study, {BEST_PREDICTED: best}, "merge-search", settings["surrogate"], aggregate)
    show_refusal("measure-predicted")


def predicted_table(moment: Moment, best: np.ndarray) -> pd.DataFrame:
    """The best predicted merge (D,) and the baselines: the aggregate and how the best differs, each with its interval;
    where each stands; and its coefficients."""
    found, aggregate = moment.search["found"], moment.aggregate
    read, rows = reading(aggregate.unit), []
    there = [(BEST_PREDICTED, found["found"], None)]
    there += [(name, gap["baseline"], gap) for name, gap in found["differences"].items()]
    points = np.array([one["shares"] for _, one, _ in there])
    badges = places_in(state.store(), moment.study.id, points, moment.search["settings"]["fingerprint"])
    titles = beside(("merge", "place"), moment.study.coordinates, "coefficient")
    for (name, one, gap), place in zip(there, badges, strict=True):
        apart = "–"
        if gap is not None:
            apart = read.gap_words(aggregate.sign * gap["aggregate"], ci_half_width(gap["aggregate_std"]))
            apart += ": within noise" if gap["inside_noise"] else ""
        level = read.words(aggregate.sign * one["aggregate"], ci_half_width(one["aggregate_std"]))
        rows.append(
            {
                "merge": name,
                f"{aggregate.title}, predicted [{read.unit}]": level,
                f"the best minus this [{read.gap_unit}]": apart,
                "place": place,
                **{title: digits(x, ".3f") for title, x in zip(titles, one["shares"], strict=True)},
            }
        )
    return pd.DataFrame(rows)


def table(
    study: studies.Study, found: list[dict], aggregate: Aggregate, measured: runs.Measured, best: str | None
) -> None:
    """The best merge of each search against the best baseline (its label), and a button that sets the faders to it."""
    read = reading(aggregate.unit)
    errors = runs.standard_errors(state.store(), study.id, len(study.metrics))
    other = None if best is None else reference_runs(measured, aggregate)[best]
    rows, titles = [], beside(("strategy", "surrogate", "merges", "seconds"), study.coordinates, "coefficient")
    for search in found:
        point, losses = (np.array(search["found"][key], float) for key in ("weights", "losses"))
        settings, own = search["settings"], error_at(measured, errors, point)
        level = read.words(aggregate.sign * aggregate.of(losses), ci_half_width(aggregate.error_of([own])))
        gap = {}
        if other is not None:
            apart = aggregate.sign * (aggregate.of(losses) - aggregate.of(measured.losses[other]))
            half = ci_half_width(aggregate.error_of([own, errors[measured.ids[other]]]))
            gap = {f"vs. {best} [{read.gap_unit}]": read.gap_words(apart, half)}
        rows.append(
            {
                "strategy": titled(settings["strategy"])
                + (" · Pareto front" if settings["spread"] else "")
                + (" · limits" if settings.get("limits") else ""),
                "surrogate": title_of(settings["surrogate"]) if settings["strategy"] == "guided" else "",
                "merges": search["found"]["evaluations"],
                "seconds": search["found"]["seconds"],
                f"{aggregate.title} of its best [{read.unit}]": level,
                **gap,
                **dict(zip(titles, point.tolist(), strict=True)),
            }
        )
    shown = signed(rows, dict.fromkeys(titles, ".3f") | {"seconds": ".1f"})
    picked = st.dataframe(shown, hide_index=True, on_select="rerun", selection_mode="single-row", key="found-merges")
    if chosen := picked.selection.rows:
        if st.button("Set faders to this merge", icon=":material/tune:"):
            set_faders(study, np.array(found[chosen[0]]["found"]["weights"]))
        return
    st.caption(
        "By the study's own priorities. ± is 95% over windows of the text, which all merges share, so differences are "
        "more certain than it says. Select a row to set the faders to it."
    )


def error_at(measured: runs.Measured, errors: dict[str, np.ndarray], point: np.ndarray) -> np.ndarray:
    """The standard errors (M,) of the run at a point (D,); NaN where there is none."""
    there = np.flatnonzero(np.abs(measured.weights - point).max(axis=1) <= SAME_POINT)
    return errors[measured.ids[there[0]]] if len(there) else np.full(measured.losses.shape[1], np.nan)
