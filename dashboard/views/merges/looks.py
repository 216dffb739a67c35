"""The closer looks of a merge study's Explore: slices, lines, trade-offs, layers, and merges against mixtures."""

import json

import numpy as np
import streamlit as st

from dashboard import components
from dashboard.charts import merges as merge_charts
from dashboard.charts.mixtures import BAD, GOOD, INK
from dashboard.server import state
from dashboard.views.shared import study as parts
from dashboard.views.understand.looks import chosen_metric, trust
from engine.analysis import slices as looks
from engine.core.errors import Problem
from engine.spec.merge import EXPERT, REFERENCE, anatomy_file, block_of
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study, points_measured
from engine.studies.merges.paired_comparison import mirror
from store import runs, studies

ROLES = {
    "baseline": "baselines",
    "mirror": "at mixtures' shares",
    "design": "first points",
    "search": "searches",
    "proposed": "chosen by hand",
    "learned": "learned from text",
    EXPERT: "base and experts",
    REFERENCE: "baselines by task arithmetic",
}
CLOSE = 0.02  # of the way's length: a run so near to it is drawn on it


def plane(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict) -> None:
    """Two coefficients, the others as the faders have them."""
    if len(study.domains) < 2:
        st.info("A slice takes two coordinates, and this study has one. The line shows all there is.")
        return
    a, b, c = st.columns(3)
    across = a.selectbox("Across", study.domains, index=0, key="slice-x")
    up = b.selectbox("Up", [name for name in study.domains if name != across], index=0, key="slice-y")
    metric = c.selectbox("Metric", [whole.title, *parts.named_of(study).metrics], key="slice-metric")
    i, j = study.domains.index(across), study.domains.index(up)
    found = looks.slice_at(fit.surrogate, frame_of_study(study).space, at, i, j)
    value, std, unit, better = chosen_metric(study, fit, whole, metric, found.mean, found.std)
    measured, weights = fit.measured.losses, fit.measured.weights
    shown, _, _, _ = chosen_metric(study, fit, whole, metric, measured, np.zeros_like(measured))
    off = looks.off_plane(weights, at, i, j)
    dots = (weights[:, i], weights[:, j], off, shown, fit.measured.ids)
    figure = merge_charts.slice_of(found, (across, up), (at[i], at[j]), dots, value, std, f"{metric}, {unit}", better)
    components.plot(figure, key="slice")
    st.caption(
        f"Predicted by {fit.title}; the other coefficients stand as on the faders. Dots: {len(off)} merges measured, "
        "the paler and smaller the farther they lie off this plane. The cross is the faders."
    )


def way(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict) -> None:
    """The straight line from one merge to another: is there a barrier?"""
    ends = {"the faders": at, **points}
    a, b = st.columns(2)
    one = a.selectbox("From", list(ends), index=len(ends) - 1, key="line-from")
    other = b.selectbox("To", list(ends), index=0, key="line-to")
    metrics, unit = parts.metrics_of_one_unit(study, "line", most=6)
    start, end = (np.asarray(ends[name], float) for name in (one, other))
    length = np.abs(end - start).sum()
    if length == 0:
        st.info("Both ends are the same merge. Choose two different ones.")
        return
    part, _, mean, std = looks.line_between(fit.surrogate, start, end)
    names = parts.named_of(study)
    weights = fit.measured.weights
    along = np.clip((weights - start) @ (end - start) / ((end - start) ** 2).sum(), 0, 1)
    near = np.abs(weights - (start + along[:, None] * (end - start))).sum(axis=1) <= CLOSE * length
    figure = merge_charts.line_between(
        (one, other),
        part,
        mean[:, metrics],
        std[:, metrics],
        [names.metrics[m] for m in metrics],
        names.colours,
        unit,
        (along[near], fit.measured.losses[near][:, metrics]) if near.any() else None,
    )
    components.plot(figure, key="line")
    st.caption(
        f"Predicted by {fit.title}, bands are 95%. Dots: {near.sum()} of {len(near)} measured merges that lie on the "
        "way. A bump between two good ends is a barrier: their average is worse than both."
    )


def trade_off(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict) -> None:
    """Measured merges by two metrics, and those that none beats in both."""
    names = parts.named_of(study)
    if len(names.metrics) < 2:
        st.info("A trade-off takes two metrics, and this study has one.")
        return
    a, b = st.columns(2)
    first = a.selectbox("Across", names.metrics, index=0, key="front-x")
    second = b.selectbox("Up", [one for one in names.metrics if one != first], index=0, key="front-y")
    columns = [names.metrics.index(first), names.metrics.index(second)]
    measured = runs.measured(state.store(), study.id)
    values = measured.losses[:, columns]
    known = np.isfinite(values).all(axis=1)
    signs = np.array([-1.0 if study.objectives[c].higher_is_better else 1.0 for c in columns])
    front = looks.front_of(values[known], signs)
    mean, std = fit.surrogate.predict(at[None])
    rows = np.flatnonzero(known)
    figure = merge_charts.trade_off(
        (first, second),
        (names.units[columns[0]], names.units[columns[1]]),
        values[known],
        front,
        [ROLES.get(measured.roles[i], measured.roles[i]) for i in rows],
        [measured.labels[i] or measured.ids[i] for i in rows],
        (mean[0, columns], std[0, columns]),
    )
    components.plot(figure, key="front")
    st.caption(
        f"{known.sum()} models measured, {front.sum()} of them not beaten in both. A search with *spread* looks for "
        "more of these; single experts lie at the ends."
    )


def layers(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict) -> None:
    """Which expert moved which layer, and how alike they moved it."""
    path = state.store().workspace.root / anatomy_file(study.id)
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Problem("Cannot show what experts moved: no merge was measured yet. Wait for the first.") from error
    experts, tensors, moved = found["experts"], found["tensors"], np.array(found["moved"])
    if len(tensors) > 60:
        places = np.array([block_of(tensor) for tensor in tensors])
        blocks = list(dict.fromkeys(places))
        moved = np.sqrt(np.stack([(moved[:, places == block] ** 2).mean(axis=1) for block in blocks], axis=1))
        components.plot(merge_charts.moved(experts, blocks, moved), key="moved")
    else:
        components.plot(merge_charts.moved(experts, tensors, moved), key="moved")
    st.caption("How far each expert's tensor is from the base's, relative to it (of a block: root mean square).")
    where = st.selectbox("Cosines between task vectors in", ["all tensors (mean)", *tensors], key="cosines-in")
    values = np.array(found["cosines"])
    chosen = values.mean(axis=0) if where not in tensors else values[tensors.index(where)]
    components.plot(merge_charts.cosines(experts, chosen), key="cosines")
    st.caption(
        "Near 1: two experts moved it alike, adding both moves it twice. Near 0: they do not meet. Below 0: they pull "
        "against each other, and one fader costs the other."
    )


def mixtures(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict) -> None:
    """The best mixture, the best merge and the experts on one chart; and whether merges may stand for mixtures."""
    store = state.store()
    found, other = mirror(store, study), studies.get(store, study.spec["merge"]["of"])
    own, theirs = runs.measured(store, study.id), runs.measured(store, other.id)
    merges = points_measured(store, study.id)
    columns = [other.metrics.index(metric) for metric in study.metrics]
    trained = theirs.losses[:, columns]
    names, unit = parts.named_of(study), study.objectives[0].unit
    best_mixture, best_merge = whole.best(trained), whole.best(merges.losses)
    errors = runs.standard_errors(store, study.id, len(study.metrics))
    of_mixture = runs.standard_errors(store, other.id, len(other.metrics))[theirs.ids[best_mixture]][columns]
    of_merge = errors[merges.ids[best_merge]]
    series = {
        f"best mixture ({theirs.ids[best_mixture]})": (trained[best_mixture], 1.96 * of_mixture, "diamond", BAD),
        f"best merge ({merges.ids[best_merge]})": (merges.losses[best_merge], 1.96 * of_merge, "diamond", GOOD),
    }
    for row, (role, label) in enumerate(zip(own.roles, own.labels, strict=True)):
        if role == EXPERT:
            colour = INK if label == "base" else names.colours.get(label, INK)
            shown = "base" if label == "base" else f"expert {label}"
            error = 1.96 * errors[own.ids[row]]
            series[shown] = (own.losses[row], error, "circle" if label == "base" else "line-ns", colour)
    components.plot(merge_charts.against_mixtures(names.metrics, series, unit), key="against")
    gap = whole.sign * (whole.of(merges.losses[best_merge]) - whole.of(trained[best_mixture]))
    half = 1.96 * whole.error_of([of_merge, of_mixture])
    noise = f"{'inside' if abs(gap) <= half else 'outside'} the noise of the validation text"
    st.caption(
        f"The best of {len(merges.ids)} merges and of {len(trained)} proxies by the sidebar's priorities; "
        f"{whole.title} of the merge minus the mixture: {gap:+.3f} ± {half:.3f} {parts.plain(whole.unit)}, {noise}. "
        "Bars are 95% over validation windows, which both share, so the gap is surer than that. Both were chosen as "
        "the lowest of many, so both measure a little better than they are. The experts have seen more tokens than a "
        "proxy (the base's and their own)."
    )
    table = {
        "metric": [*names.metrics, whole.title],
        "Spearman": found.rank,
        "from (95%)": found.low,
        "to (95%)": found.high,
    }
    left, right = st.columns([1, 1])
    left.markdown("**May merges stand for proxy runs here?**")
    left.dataframe(
        table,
        hide_index=True,
        column_config={key: st.column_config.NumberColumn(format="%.2f") for key in list(table)[1:]},
    )
    left.markdown(verdict(found, len(found.runs)))
    with right:
        figure = merge_charts.mirrored(names.metrics, names.colours, found.trained, found.merged, found.runs, unit)
        components.plot(figure, key="mirrored")


def verdict(found, count: int) -> str:
    """Whether merges may replace proxies, from the aggregate's interval."""
    low, high = found.low[-1], found.high[-1]
    said = f"Over {count} mixtures, ranks of the aggregate agree with {found.rank[-1]:.2f} [{low:.2f}, {high:.2f}]. "
    if low >= 0.8:
        return said + "Merges rank mixtures nearly as proxies do: they may take the place of most proxy runs."
    if low > 0:
        return said + "Merges say something of mixtures, not enough to choose by: use them to screen, then train."
    return said + "Merges do not tell which mixture is better here: train proxies."


def how_far(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict) -> None:
    """Held-out predictions, as for mixtures."""
    trust(study, fit, whole, at, None)


LOOKS = {
    "Slice": plane,
    "Line": way,
    "Trade-off": trade_off,
    "Layers": layers,
    "Against mixtures": mixtures,
    "How far to trust it": how_far,
}


def closer_look(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict[str, np.ndarray]) -> None:
    """One of the deeper charts; what cannot be drawn says why."""
    chosen = st.segmented_control("Look closer", list(LOOKS), default="Slice", key="merge-look", bind="query-params")
    if chosen:
        try:
            LOOKS[chosen](study, fit, whole, at, points)
        except Problem as problem:
            st.info(parts.plain(problem))
