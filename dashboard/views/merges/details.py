"""The details on Explore of a merge study: slices, lines, trade-offs, layers, and merges against mixtures."""

import json

import numpy as np
import streamlit as st

from dashboard.charts import merges as merge_charts
from dashboard.charts.style import BAD, GOOD, INK
from dashboard.models.names import Named
from dashboard.models.units import digits
from dashboard.models.wording import without
from dashboard.server import state
from dashboard.views.merges.ablation import ablation
from dashboard.views.merges.desk import Setting
from dashboard.views.merges.measuring import Live, passages
from dashboard.views.shared.diagnostics import diagnostics as fit_diagnostics
from dashboard.views.shared.metrics import ask_metric, chosen_metric, metrics_of_one_unit
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.analysis import slices
from engine.core.errors import Problem
from engine.spec.merge import EXPERT, PAIRED, REFERENCE, anatomy_file, block_of
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study, points_measured
from engine.studies.merges.paired_comparison import PairedComparison, paired_comparison
from store import runs, studies

ROLES = {
    "baseline": "baselines",
    PAIRED: "at shares of mixtures",
    "design": "initial design",
    "search": "searches",
    "proposed": "chosen by hand",
    "learned": "data-driven merging",
    EXPERT: "base and experts",
    REFERENCE: "baselines by task arithmetic",
}
CLOSE = 0.02  # of the line's length: runs this near are drawn on it


def plane(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """Two coefficients, the others as on the faders."""
    if len(study.coordinates) < 2:
        st.info("A slice needs two coordinates, and this study has one. *Line* shows all there is.")
        return
    a, b, c = st.columns(3)
    across = a.selectbox("Horizontal axis", study.coordinates, index=0, key="slice-x")
    up = b.selectbox("Vertical axis", [name for name in study.coordinates if name != across], index=0, key="slice-y")
    metric = ask_metric(c, study, aggregate, "slice-metric")
    i, j = study.coordinates.index(across), study.coordinates.index(up)
    found = slices.slice_at(fit.surrogate, frame_of_study(study).space, at, i, j)
    title, value, std, unit, better = chosen_metric(study, fit, aggregate, metric, found.mean, found.std)
    measured, weights = fit.measured.losses, fit.measured.weights
    _, there, _, _, _ = chosen_metric(study, fit, aggregate, metric, measured, np.zeros_like(measured))
    off = slices.off_plane(weights, at, i, j)
    read = reading(unit)
    dots = (weights[:, i], weights[:, j], off, read.level(there), fit.measured.ids)
    values, title = (read.level(value), read.ends(value, ci_half_width(std))), f"{title}, {read.unit}"
    figure = merge_charts.slice_of(found, (across, up), (at[i], at[j]), dots, *values, title, better)
    plot(figure, key="slice")
    st.caption(
        f"Predicted by {fit.title}; the other coefficients are those of the faders. Dots: {len(off)} measured merges, "
        "paler and smaller the farther they are from this plane. The cross marks the faders."
    )


def interpolation_path(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """The straight line from one merge to another: is there a loss barrier?"""
    ends = {"the faders": at, **points}
    a, b = st.columns(2)
    one = a.selectbox("From", list(ends), index=len(ends) - 1, key="line-from")
    other = b.selectbox("To", list(ends), index=0, key="line-to")
    metrics, unit = metrics_of_one_unit(study, aggregate, "line", most=6)
    start, end = (np.asarray(ends[name], float) for name in (one, other))
    length = np.abs(end - start).sum()
    if length == 0:
        st.info("Both ends are the same merge. Choose two different ones.")
        return
    part, _, mean, std = slices.line_between(fit.surrogate, start, end)
    names = named_of(study)
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
    plot(figure, key="line")
    st.caption(
        f"Predicted by {fit.title}; bands are 95%. Dots: the {near.sum()} of {len(near)} measured merges that lie on "
        "this line. A bump between two good ends is a loss barrier: their average is worse than both."
    )


def trade_off(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """Measured merges by two metrics, and their Pareto front."""
    names = named_of(study)
    if len(names.metrics) < 2:
        st.info("A trade-off needs two metrics, and this study has one.")
        return
    a, b = st.columns(2)
    first = a.selectbox("Horizontal axis", names.metrics, index=0, key="front-x")
    second = b.selectbox("Vertical axis", [one for one in names.metrics if one != first], index=0, key="front-y")
    columns = [names.metrics.index(first), names.metrics.index(second)]
    measured = runs.measured(state.store(), study.id)
    values = measured.losses[:, columns]
    known = np.isfinite(values).all(axis=1)
    signs = np.array([-1.0 if study.objectives[c].higher_is_better else 1.0 for c in columns])
    front = slices.front_of(values[known], signs)
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
    plot(figure, key="front")
    st.caption(
        f"{known.sum()} models measured{without(known)}, {front.sum()} of them on the Pareto front. A search with "
        "*Cover the Pareto front* looks for more; single experts are at the ends."
    )


def layers(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """How far each expert moved each layer, and how similarly."""
    path = state.store().workspace.root / anatomy_file(study.id)
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Problem(
            "Cannot show how experts differ from the base: no merge has been measured yet. Wait for the first."
        ) from error
    experts, tensors, moved = found["experts"], found["tensors"], np.array(found["moved"])
    if len(tensors) > 60:
        places = np.array([block_of(tensor) for tensor in tensors])
        blocks = list(dict.fromkeys(places))
        moved = np.sqrt(np.stack([(moved[:, places == block] ** 2).mean(axis=1) for block in blocks], axis=1))
        plot(merge_charts.moved(experts, blocks, moved), key="moved")
    else:
        plot(merge_charts.moved(experts, tensors, moved), key="moved")
    st.caption("How far each expert's tensor is from the base's, relative to its norm (blocks: root mean square).")
    where = st.selectbox("Cosines between task vectors in", ["all tensors (mean)", *tensors], key="cosines-in")
    values = np.array(found["cosines"])
    chosen = values.mean(axis=0) if where not in tensors else values[tensors.index(where)]
    plot(merge_charts.cosines(experts, chosen), key="cosines")
    st.caption(
        "Near 1: two experts moved it the same way, so adding both moves it twice. Near 0: they do not interact. Below "
        "0: they oppose each other, and raising one fader costs the other."
    )


def mixtures(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """The best mixture, the best merge and the experts on one chart; and whether merges can replace proxy runs."""
    store = state.store()
    other = studies.get(store, study.spec["merge"]["of"] or study.id)
    own, theirs = runs.measured(store, study.id), runs.measured(store, other.id)
    found = compared_once(study, (study.id, own.ids, own.losses, theirs.ids, theirs.losses))
    merges = points_measured(store, study.id)
    columns = [other.metrics.index(metric) for metric in study.metrics]
    trained = theirs.losses[:, columns]
    names, unit = named_of(study), study.objectives[0].unit
    best_mixture, best_merge = aggregate.best(trained), aggregate.best(merges.losses)
    errors = runs.standard_errors(store, study.id, len(study.metrics))
    of_mixture = runs.standard_errors(store, other.id, len(other.metrics))[theirs.ids[best_mixture]][columns]
    of_merge = errors[merges.ids[best_merge]]
    series = {
        f"best mixture ({theirs.ids[best_mixture]})": (
            trained[best_mixture],
            ci_half_width(of_mixture),
            "diamond",
            BAD,
        ),
        f"best measured ({merges.ids[best_merge]})": (
            merges.losses[best_merge],
            ci_half_width(of_merge),
            "diamond",
            GOOD,
        ),
    }
    series |= base_and_experts(own, errors, names.colours)
    plot(merge_charts.against_mixtures(names.metrics, series, unit), key="against")
    gap = aggregate.sign * (aggregate.of(merges.losses[best_merge]) - aggregate.of(trained[best_mixture]))
    half = ci_half_width(aggregate.error_of([of_merge, of_mixture]))
    read = reading(aggregate.unit)
    noise = f"{'within' if abs(gap) <= half else 'beyond'} the noise of the validation text"
    st.caption(
        f"The best of {len(merges.ids)} merges and of {len(trained)} proxies by the sidebar's priorities; "
        f"{aggregate.title} of the merge minus the mixture: {read.gap_words(gap, half)} {plain(read.gap_unit)}, "
        f"{noise}. Intervals are 95% over validation windows; both share these, so the difference is more certain. "
        "Each is the best of many, so both look slightly better than they are. Experts have seen more tokens than a "
        "proxy (the base's and their own)."
    )
    paired(found, names, aggregate.title, unit)


@st.cache_data(max_entries=8, show_spinner=False)
def compared_once(_study: studies.Study, measured: tuple) -> PairedComparison:
    """`paired_comparison`, once for the same measurements: its resamples take seconds, and a fader does not move it."""
    return paired_comparison(state.store(), _study)


def base_and_experts(own: runs.Measured, errors: dict, colours: dict[str, str]) -> dict[str, tuple]:
    """The series of the base and of each expert on the chart against mixtures (charts.merges.against_mixtures)."""
    series = {}
    for row, (role, label) in enumerate(zip(own.roles, own.labels, strict=True)):
        if role == EXPERT:
            name, symbol = ("base", "circle") if label == "base" else (f"expert {label}", "line-ns")
            series[name] = (own.losses[row], ci_half_width(errors[own.ids[row]]), symbol, colours.get(label, INK))
    return series


def paired(found, names: Named, aggregate_title: str, unit: str) -> None:
    """How well merges rank mixtures, against proxies trained on them."""
    table = {
        "metric": [*names.metrics, aggregate_title],
        "Spearman": found.rank,
        "from (95%)": found.low,
        "to (95%)": found.high,
    }
    left, right = st.columns([1, 1])
    left.markdown("**Can merges replace proxy runs here?**")
    left.dataframe(signed(table, dict.fromkeys(list(table)[1:], ".2f")), hide_index=True)
    left.markdown(verdict(found, len(found.runs)))
    with right:
        figure = merge_charts.paired(names.metrics, names.colours, found.trained, found.merged, found.runs, unit)
        plot(figure, key="paired")


def verdict(found, count: int) -> str:
    """Whether merges can replace proxies, from the aggregate's interval."""
    low, high = found.low[-1], found.high[-1]
    interval = f"{digits(found.rank[-1], '.2f')} ({digits(low, '.2f')} to {digits(high, '.2f')})"
    text = f"Over {count} mixtures, the rank correlation of the aggregate is {interval}. "
    if low >= 0.8:
        return text + "Merges rank mixtures nearly as proxies do: they can replace most proxy runs."
    if low > 0:
        return (
            text + "Merges carry some signal about mixtures, but not enough to choose by: screen with them, then train."
        )
    return text + "Merges do not tell which mixture is better here: train proxies."


def diagnostics(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """Held-out predictions, as for mixtures."""
    fit_diagnostics(study, fit, aggregate, at, None)


PASSAGES = "Passages"  # as the faders' merge reads them
DETAILS = {
    "Slice": plane,
    "Line": interpolation_path,
    "Trade-off": trade_off,
    "Layers": layers,
    "Ablation": ablation,
    "Against mixtures": mixtures,
    "Fit diagnostics": diagnostics,
}


def details(study, fit: Fit, aggregate: Aggregate, setting: Setting, points: dict, live: Live | None) -> None:
    """One of the detailed charts, or why it cannot be drawn. live: the measurement of the faders' merge, once there."""
    looks = [*DETAILS, PASSAGES]
    chosen = st.segmented_control(
        "Details", looks, default="Slice", key="merge-look", bind="query-params", required=True
    )
    try:
        if chosen == PASSAGES:
            passages(study, setting, live)
        else:
            DETAILS[chosen](study, fit, aggregate, setting.point, points)
    except Problem as problem:
        st.info(plain(problem))
