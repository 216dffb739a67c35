"""Explore: faders with live predictions, what each domain does to each loss, a ternary surface, and what to believe."""

import numpy as np
import streamlit as st

from dashboard import charts, components, state
from dashboard.views import parts
from engine import explain
from engine.candidates import Fit, named_points
from engine.errors import Problem
from engine.objectives import Aggregate, common_scale
from engine.search.prediction import difference, predict
from engine.space import Simplex
from engine.steward import aggregate_of, frame_of_study, noise_floor
from engine.surrogates import SURROGATES
from store import runs, searches, studies

PRIORS = {
    "natural": "the natural share", "prior": "the share in the prior",
    "mean of the runs": "the mean of the runs, since neither a prior nor the tokens of each domain are known",
}  # fmt: skip
BADGES = {
    "measured": ":green-badge[:material/verified: measured]",
    "interpolated": ":blue-badge[:material/conversion_path: interpolated]",
    "extrapolated": ":orange-badge[:material/explore: extrapolated]",
}


def render(name: str | None) -> None:
    st.title("Explore")
    if (study := parts.study_of(name)) is None or (fit := parts.fit_of(study)) is None:
        return
    whole = parts.priorities_of(study)

    @st.fragment
    def turning():
        points = named_points(state.store(), study, whole)
        at = faders(study, points)
        predictions(study, fit, whole, at, points)
        closer_look(study, fit, whole, at)

    turning()


def faders(study: studies.Study, points: dict[str, np.ndarray]) -> np.ndarray:
    """The desk, and buttons that set it. Returns the mixture (D,)."""
    start = linked_mixture(study)
    chosen = st.session_state.setdefault(
        f"mix-{study.id}", (start if start is not None else next(iter(points.values()))).tolist()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Set the faders to**")
        for label, point in points.items():
            if st.button(label, key=f"set-{label}"):
                chosen = st.session_state[f"mix-{study.id}"] = point.tolist()
                st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    near = near_optimal(study)
    frame, names = frame_of_study(study), parts.named_of(study)
    rows = [
        {
            "name": domain, "colour": names.colours[domain], "value": chosen[i], "upper": 1.0,
            "mark": float(frame.prior[i]), "mark_name": frame.prior_name,
            "low": near and near["lowest"][i], "high": near and near["highest"][i],
        }
        for i, domain in enumerate(names.domains)
    ]  # fmt: skip
    reset = f"{study.id}-{st.session_state.get('desk-reset', 0)}"
    moved = components.desk(rows, key=f"desk-{reset}", reset=reset).weights
    if moved is not None:
        st.session_state[f"mix-{study.id}"] = chosen = moved
    st.query_params["mix"] = ",".join(f"{x:.4f}" for x in chosen)
    st.caption(
        "Drag a fader (or focus it and press the arrow keys): the others give or take in proportion. "
        f"The small tick is {PRIORS[frame.prior_name]}"
        + ("; the pale band holds every near-optimal mixture." if near else ".")
        + (" The tracks are square-root scales." if len(rows) > components.MANY else "")
    )
    at = np.array(chosen)
    return at / at.sum()


def linked_mixture(study: studies.Study) -> np.ndarray | None:
    """The mixture in the link, or None where there is none that fits the study."""
    try:
        values = np.array([float(x) for x in st.query_params.get("mix", "").split(",")])
    except ValueError:
        return None
    fits = (
        values.shape == (len(study.domains),) and np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0
    )
    return values / values.sum() if fits else None


def near_optimal(study: studies.Study) -> dict | None:
    """The near-optimal ranges of the latest search, or None before one."""
    found = searches.of_study(state.store(), study.id)
    return found[0]["found"]["near_optimal"] if found else None


def predictions(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict[str, np.ndarray]) -> None:
    """What would become of each metric, against a reference."""
    here = predict(fit.surrogate, at, whole.weights)
    support = explain.support(at[None], fit.measured.weights)
    left, right = st.columns([1, 2])
    with left:
        names = [name for name in points if name != "best"] + ["best"] * ("best" in points)
        reference = st.selectbox("Compare with", names, key="reference")
        gap = difference(fit.surrogate, at, points[reference], whole.weights)
        st.metric(
            f"{whole.title.capitalize()}, predicted ({parts.plain(whole.unit)})",
            f"{parts.number(whole.sign * here.aggregate)} ± {parts.number(1.96 * here.aggregate_std)}",
            f"{parts.number(whole.sign * gap.aggregate, '+')} ± {parts.number(1.96 * gap.aggregate_std)} against "
            f"{reference}",
            delta_color="off" if gap.inside_noise else "inverse" if whole.sign > 0 else "normal",
        )  # fmt: skip
        verdict = (
            "**Inside the noise**: no difference can be claimed." if gap.inside_noise else "Outside the noise (95%)."
        )
        st.markdown(f"{verdict} {BADGES[support.badge[0]]}")
        st.caption(
            f"{100 * support.distance[0]:.0f}% of the tokens differ from the nearest of {len(fit.measured.ids)} runs "
            f"(runs are up to {100 * support.reach:.0f}% apart from each other). Intervals are 95%, of one run."
        )
    with right:
        best = whole.best(fit.measured.losses)
        figure = charts.losses_with_intervals(
            parts.named_of(study), (reference, gap.baseline.mean), (here.mean, gap.std),
            None if best is None else (f"best run, {fit.measured.ids[best]}", fit.measured.losses[best]),
            common_scale(study.objectives, fit.measured.losses),
        )  # fmt: skip
        components.plot(figure, key="losses")


def closer_look(study, fit: Fit, whole: Aggregate, at: np.ndarray) -> None:
    """One of the deeper charts, at the faders' mixture."""
    looks = {"Influence": influence, "Response": response, "Ternary": ternary, "How far to trust it": trust}
    chosen = st.segmented_control("Look closer", list(looks), default="Influence", key="look", bind="query-params")
    if chosen:
        try:
            looks[chosen](study, fit, whole, at)
        except Problem as problem:
            st.info(parts.plain(problem))


def influence(study, fit: Fit, whole: Aggregate, at: np.ndarray) -> None:
    found = explain.influence(fit.surrogate, at, Simplex(tuple(study.domains)))
    step = float(found.step.max())
    names, scale = parts.named_of(study), common_scale(study.objectives, fit.measured.losses)
    effect, std = scale.factor * found.effect, np.abs(scale.factor) * found.std
    components.plot(
        charts.influence(names.domains, names.metrics, effect, std, step, scale.unit, scale.better), key="influence"
    )
    st.caption(
        f"What {step:.0%} more of the tokens for a row's domain does to a column's metric, taken from the others in "
        "proportion, at the faders' mixture. **?** where even the sign is uncertain (95%). "
        f"{fit.title} on {len(fit.measured.ids)} runs."
    )


def response(study, fit: Fit, whole: Aggregate, at: np.ndarray) -> None:
    names = parts.named_of(study)
    domain = st.pills(
        "Along the share of", names.domains, default=names.domains[0], format_func=parts.plain, key="along",
        required=True,
    )  # fmt: skip
    place = names.domains.index(domain)
    metrics, unit = parts.metrics_of_one_unit(study, "response", most=6)
    grid = np.linspace(0, 1, 41)
    mean, std = explain.response(fit.surrogate, at, place, grid)
    labels = [names.metrics[m] for m in metrics]
    figure = charts.response(
        domain, grid, mean[:, metrics], std[:, metrics], labels, names.colours, at[place], unit
    )
    components.plot(figure, key="response")
    st.caption(f"The other domains keep their proportions. Bands are 95%. {fit.title} on {len(fit.measured.ids)} runs.")


def ternary(study, fit: Fit, whole: Aggregate, at: np.ndarray) -> None:
    if len(study.domains) < 3:
        st.info("A triangle takes three domains, and this study has two. The page's Response shows all there is.")
        return
    left, right = st.columns(2)
    names = parts.named_of(study)
    largest = [names.domains[i] for i in np.sort(np.argsort(-at, kind="stable")[:3])]
    three = left.multiselect("Three domains", names.domains, default=largest, max_selections=3, key="corners")
    metric = right.selectbox("Metric", [whole.title, *names.metrics], key="ternary-loss")
    if len(three) != 3:
        st.info("Choose three domains.")
        return
    places = tuple(names.domains.index(name) for name in three)
    surface = explain.ternary(fit.surrogate, at, places)
    if metric == whole.title:
        weighted = surface.std * whole.weights
        mean = whole.sign * (surface.mean @ whole.weights)
        std = np.sqrt(np.einsum("nm,mk,nk->n", weighted, fit.surrogate.correlation, weighted))
        unit, better = whole.unit, whole.better
    else:
        column = names.metrics.index(metric)
        mean, std, unit = surface.mean[:, column], surface.std[:, column], names.units[column]
        better = "higher" if study.objectives[column].higher_is_better else "lower"
    held = fit.measured.weights[:, places]
    shown = held[held.sum(axis=1) > 0.5]
    dots = shown / shown.sum(axis=1, keepdims=True)
    figure = charts.ternary(three, surface.corners, mean, std, dots, f"{metric}, {unit}", better)
    components.plot(figure, key="ternary")
    st.caption(
        f"The three divide the {at[list(places)].sum():.0%} of the tokens that they hold at the faders; others stay. "
        f"White circles: {len(dots)} of {len(held)} runs that gave these three more than half. {fit.title}."
    )


def trust(study, fit: Fit, whole: Aggregate, at: np.ndarray) -> None:
    """The league, held-out predictions, and the noise of measuring."""
    standings = [s for s in fit.league.standings if not s.problem]
    left, right = st.columns(2)
    with left:
        st.markdown("**Which surrogate ranks runs that it has not seen?**")
        rows = [
            {
                "title": SURROGATES[s.name].title, "spearman": s.mean_spearman,
                "low": s.interval[0], "high": s.interval[1], "chosen": s.name == fit.name,
            }
            for s in standings
        ]  # fmt: skip
        components.plot(charts.league(rows), key="league")
        level = [SURROGATES[s.name].title for s in standings if s.level]
        st.caption(
            f"{fit.league.repeats} x {fit.league.folds}-fold cross-validation, {fit.league.runs} runs, 95% intervals. "
            f"The noise cannot tell apart: {', '.join(level)}; the plainest of these is the default."
        )
    with right:
        st.markdown(f"**{fit.title}: predicted against measured**")
        standing = fit.league[fit.name]
        predicted = np.array(standing.mean)
        names = parts.named_of(study)
        metrics, unit = parts.metrics_of_one_unit(study, "held-out")
        figure = charts.predicted_against_measured(
            [names.metrics[m] for m in metrics], names.colours, fit.measured.losses[:, metrics],
            predicted[:, metrics], fit.measured.ids, unit,
        )  # fmt: skip
        components.plot(figure, key="held-out")
    measures(study, fit)


def measures(study, fit: Fit) -> None:
    """Numbers of the surrogate in use, per metric, beside the noise."""
    standing = fit.league[fit.name]
    names = parts.named_of(study)
    noise = noise_floor(runs.measured(state.store(), study.id))
    table = {
        "metric": names.metrics,
        "unit": names.units,
        "Spearman, held out": standing.spearman,
        "RMSE": standing.rmse,
    }
    if noise is not None:
        table["noise over repeats"] = noise
    table["spread over mixtures"] = np.nanstd(fit.measured.losses, axis=0)
    formats = {key: st.column_config.NumberColumn(format="%.4f") for key in list(table)[2:]}
    st.dataframe(table, hide_index=True, column_config=formats)
    cover = ", ".join(f"{level}%: {share:.0%}" for level, share in standing.calibrated_coverage.items())
    own = aggregate_of(state.store(), study)
    picked = "" if standing.regret is None else f"{standing.regret:.3f} {own.unit} worse than the best run"
    st.caption(
        f"By the study's own priorities ({own.title}): Spearman {standing.aggregate_spearman:.3f} held out"
        + (f"; the run it would have picked is {picked}" if picked else "")
        + f". Measured values inside its intervals: {cover}. "
        "A trained mixture that was chosen for its low prediction usually measures a little worse than predicted."
    )
