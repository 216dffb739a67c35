"""What the draws of a search can be asked: trade-offs between metrics, and wishes for limits. Part of Search."""

import numpy as np
import streamlit as st

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.charts import rounds as round_charts
from dashboard.server import state
from dashboard.views.shared import study as parts
from dashboard.views.shared.put_forward import put_forward
from engine.search.job import draws_file
from engine.search.pool import Pool, front, meet_targets
from engine.studies.fits import load
from store import runs, studies


def pool_of(search: dict) -> Pool:
    """The draws that a search kept. Raises Problem where they are gone."""
    return Pool.load(state.store().workspace.root / draws_file(search["job"]))


def surrogate_of(study: studies.Study, search: dict):
    """The surrogate that a search asked."""
    settings = search["settings"]
    folder = state.store().workspace.surrogates(study.id, settings["fingerprint"])
    return load(folder / f"{settings['surrogate']}.npz")


def signs_of(study: studies.Study) -> np.ndarray:
    return np.array([-1.0 if one.higher_is_better else 1.0 for one in study.objectives])


def trade_off(study: studies.Study, search: dict) -> None:
    """A fader along the mixtures that nothing beats in two or three metrics."""
    if len(study.metrics) < 2:
        st.info("A trade-off takes two metrics, and this study has one.")
        return
    names, pool = parts.named_of(study), pool_of(search)
    first = sorted(range(len(study.metrics)), key=lambda m: -study.objectives[m].priority)[:2]
    chosen = st.multiselect(
        "Between",
        range(len(study.metrics)),
        default=sorted(first),
        max_selections=3,
        format_func=lambda m: names.metrics[m],
        key=f"front-{study.id}",
    )
    rows = front(pool, chosen, signs_of(study))
    place = 0
    if len(rows) > 1:
        place = st.slider("Along the front", 1, len(rows), (len(rows) + 1) // 2, key=f"place-{study.id}-{chosen}") - 1
    shares = pool.points[rows]
    mean, std = surrogate_of(study, search).predict(shares[place][None])
    measured = runs.measured(state.store(), study.id)
    left, right = st.columns(2)
    pair = [chosen[0], chosen[1]]
    with left:
        figure = round_charts.front(
            tuple(names.metrics[m] for m in pair),
            tuple(names.units[m] for m in pair),
            pool.mean[rows][:, pair],
            measured.losses[:, pair],
            place,
            std[0, pair],
        )
        components.plot(figure, key="front")
    with right:
        components.plot(round_charts.along_front(names.domains, names.colours, shares, place), key="along-front")
    values = ", ".join(
        f"{parts.plain(names.metrics[m])} {mean[0, m]:.3f} ± {1.96 * std[0, m]:.3f} {names.units[m]}" for m in chosen
    )
    st.markdown(f"Here: {values}.")
    st.caption(
        f"{len(rows)} of {len(pool.points):,} kept draws: none is predicted better in all of the chosen metrics. "
        f"Members that lie within each other's intervals cannot be told apart. {len(measured.ids)} runs behind it."
    )
    with st.container(horizontal=True):
        if st.button("Set the faders to this", icon=":material/instant_mix:", key="front-to-faders"):
            parts.set_faders(study, shares[place])
        put_forward(study, {"this place on the front": shares[place]}, "front", search["settings"]["surrogate"])


def wishes(study: studies.Study, search: dict) -> None:
    """Limits in, mixtures out, with the chance that a run there keeps all of them."""
    names, pool = parts.named_of(study), pool_of(search)
    signs, best = signs_of(study), search["found"]["found"]["mean"]
    rows = [
        {"metric": name, "unit": unit, "wanted": None, "": "at least" if sign < 0 else "at most", "the answer's": value}
        for name, unit, sign, value in zip(names.metrics, names.units, signs, best, strict=True)
    ]
    st.caption("Write a limit beside the metrics that you care about. Losses at most, scores at least.")
    edited = st.data_editor(
        rows,
        hide_index=True,
        key=f"wish-{study.id}",
        disabled=["metric", "unit", "", "the answer's"],
        column_config={
            "wanted": st.column_config.NumberColumn("limit", format="%.3f"),
            "the answer's": st.column_config.NumberColumn("predicted at the answer", format="%.3f"),
        },
        column_order=["metric", "", "wanted", "unit", "the answer's"],
    )
    limits = np.array([np.nan if row["wanted"] is None else row["wanted"] for row in edited], float)
    if not np.isfinite(limits).any():
        return
    found = meet_targets(pool, surrogate_of(study, search), limits, signs)
    chance = found.chance[0]
    st.markdown(
        f"**{found.expected:,} of {len(pool.points):,}** kept draws are predicted to keep every limit. The likeliest "
        f"keeps them all with a chance of **{chance:.0%}** when it is trained."
    )
    if chance < 0.5:
        st.warning(f"Most in the way: {parts.plain(names.metrics[found.binding])}. Relax that limit first.")
    top = pool.points[found.rows[:6]]
    labels = [f"{share:.0%} likely" for share in found.chance[:6]]
    labels = [f"{label} ({place})" for place, label in enumerate(labels, 1)]
    left, right = st.columns(2)
    with left:
        components.plot(charts.shares_bar(labels, names.domains, names.colours, top), key="wish-mixtures")
        if st.button("Set the faders to the likeliest", icon=":material/instant_mix:", key="wish-to-faders"):
            parts.set_faders(study, top[0])
        put_forward(study, dict(zip(labels, top, strict=True)), "wish", search["settings"]["surrogate"])
    if found.lowest is not None:
        with right:
            marks = {"likeliest": top[0]}
            figure = charts.ranges(names.domains, names.colours, found.lowest, found.highest, marks)
            components.plot(figure, key="wish-ranges")
            st.caption("The range of each share among the draws that are predicted to keep every limit.")
