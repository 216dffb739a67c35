"""Search, of a merge study: strategies that measure merges until a budget is spent, and what they found."""

import numpy as np
import streamlit as st

from dashboard import components
from dashboard.charts import merges as merge_charts
from dashboard.server import state
from dashboard.views.merges import learning as merge_learning
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.search.strategies import TITLES
from engine.spec.objectives import Aggregate
from engine.studies.measured import aggregate_of, points_measured, reference_runs
from engine.studies.merges.questions import queue_merge_search
from engine.surrogates import SURROGATES
from store import jobs, runs, searches, studies


def render(study: studies.Study) -> None:
    """The whole page, below its title."""
    ways = ["Search", "Learn from text"]
    way = st.segmented_control(
        "Way", ways, default=ways[0], label_visibility="collapsed", key="way", bind="query-params"
    )
    if way == ways[1]:
        merge_learning.render(study)
        return
    whole = parts.priorities_of(study)
    ask(study, whole)
    parts.live(lambda: results(study.id))


def ask(study: studies.Study, whole: Aggregate) -> None:
    """Start a search by the sidebar's priorities."""
    a, b, c, d = st.columns([2, 1, 1, 1])
    strategy = a.selectbox("Strategy", list(TITLES), format_func=TITLES.get, key="merge-strategy")
    evaluations = b.number_input("Merges to measure", 1, 100_000, 128, key="merge-evaluations")
    minutes = c.number_input("Minutes at most", 0.0, 1e5, 0.0, help="0: no limit.", key="merge-minutes")
    seed = d.number_input("Seed", 0, 10**6, 0, help="Another seed draws another search.", key="merge-seed")
    surrogate, spread = "gp", False
    if strategy == "guided":
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        names = [name for name in SURROGATES if name not in ("own_share", "stack")]
        surrogate = left.selectbox(
            "Led by",
            names,
            index=names.index("gp"),
            format_func=lambda name: SURROGATES[name].title,
            key="merge-surrogate",
        )
        spread = right.checkbox(
            "Spread over a front", help="Every round weighs the losses anew (ParEGO): many trade-offs, no single best."
        )
    if st.button("Search", type="primary", icon=":material/travel_explore:", **parts.takes("operator")):
        try:
            job = queue_merge_search(
                state.store(),
                study,
                strategy,
                int(evaluations),
                float(minutes),
                surrogate,
                parts.priorities_asked(whole),
                spread,
                int(seed),
            )
        except Problem as problem:
            parts.refusal(problem)
            return
        if jobs.find(state.store(), job).state == "done":
            st.info("That was searched already, and would find the same again: its result is below. Give another seed.")
            return
        st.rerun()


def results(name: str) -> None:
    """Searches under way, and what the others measured best."""
    store = state.store()
    study = studies.get(store, name)
    parts.under_way(jobs.of_study(store, name), "merge_search", "searching")
    found = searches.of_merges(store, name)
    if not found:
        st.info(
            "No search was asked for yet. **Guided by a surrogate** finds good merges with the fewest measurements; "
            "CMA-ES needs no surrogate; random and grid are there to be beaten."
        )
        return
    measured, whole = runs.measured(store, name), aggregate_of(store, study)
    levels = {label: float(whole.of(measured.losses[row])) for label, row in reference_runs(measured, whole).items()}
    table(study, found, whole, levels)
    st.subheader("How fast each came there", anchor=False)
    lines = {}
    for number, search in enumerate(found):
        own = Aggregate.from_dict(search["settings"]["aggregate"])
        if np.allclose(own.weights, whole.weights):
            label = TITLES[search["settings"]["strategy"]] + (f" ({number + 1})" if number else "")
            known = search["found"].get("known", 0)  # of searches before it was told
            label += f", which knew {known} merges" if known else ""
            lines[label] = whole.sign * np.array(search["found"]["trace"])
    shown = {key: whole.sign * value for key, value in list(levels.items())[:3]}
    components.plot(merge_charts.traces(lines, shown, whole.unit, whole.better), key="traces")
    st.caption(
        f"{len(points_measured(store, name).ids)} merges measured in this study, each on the same validation windows, "
        "so differences carry no noise of training. The lowest of many is still a little lucky on these windows. Pause "
        "and resume on *Jobs*."
    )


def table(study: studies.Study, found: list[dict], whole: Aggregate, levels: dict[str, float]) -> None:
    """The best of each search against the best baseline, and buttons that set the faders to it."""
    best = next(iter(levels), None)
    rows = []
    for search in found:
        own = whole.of(np.array(search["found"]["losses"], float))
        settings = search["settings"]
        rows.append(
            {
                "strategy": TITLES[settings["strategy"]] + (" · spread" if settings["spread"] else ""),
                "led by": SURROGATES[settings["surrogate"]].title if settings["strategy"] == "guided" else "",
                "merges": search["found"]["evaluations"],
                "seconds": search["found"]["seconds"],
                f"{whole.title}, best measured": whole.sign * own,
                f"against {best}": whole.sign * (own - levels[best]) if best else None,
                **dict(zip(study.domains, search["found"]["weights"], strict=True)),
            }
        )
    formats = {key: st.column_config.NumberColumn(format="%.3f") for key in list(rows[0])[4:]}
    formats["seconds"] = st.column_config.NumberColumn(format="%.1f")
    picked = st.dataframe(
        rows, hide_index=True, column_config=formats, on_select="rerun", selection_mode="single-row", key="found-merges"
    )
    if chosen := picked.selection.rows:
        point = np.array(found[chosen[0]]["found"]["weights"])
        if st.button("Set the faders to this merge", icon=":material/tune:"):
            parts.set_faders(study, point)
    else:
        unit = parts.plain(whole.unit)
        st.caption(f"Unit: {unit}; by the study's own priorities. Choose a row to set the faders to it.")
