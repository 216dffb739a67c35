"""The closer looks of Explore: what domains do to metrics around the faders' mixture, and how far to trust it."""

import numpy as np
import streamlit as st

from dashboard import components, effect_charts
from dashboard.charts import league as league_charts
from dashboard.charts import mixtures as charts
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.analysis import explain
from engine.core.errors import Problem
from engine.space.simplex import Simplex
from engine.spec.objectives import Aggregate, common_scale
from engine.studies.fits import Fit
from engine.studies.fits import fit_of as fit_of_study
from engine.studies.measured import aggregate_of, noise_floor
from store import runs

TREES = "lightgbm"  # the surrogate whose predictions LightGBM explains


def influence(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    found = explain.influence(fit.surrogate, at, Simplex(tuple(study.domains)), giver)
    step = float(found.step.max())
    names, scale = parts.named_of(study), common_scale(study.objectives, fit.measured.losses)
    effect, std = scale.factor * found.effect, np.abs(scale.factor) * found.std
    components.plot(
        charts.influence(names.domains, names.metrics, effect, std, step, scale.unit, scale.better), key="influence"
    )
    st.caption(
        f"What {step:.0%} more of the tokens for a row's domain does to a column's metric, taken from "
        f"{givers(names, giver)}, at the faders' mixture. **?** where even the sign is uncertain (95%). "
        f"{fit.title} on {len(fit.measured.ids)} runs."
    )


def givers(names: Named, giver: int | None) -> str:
    """Who gives way, in words."""
    return "the others in proportion" if giver is None else parts.plain(names.domains[giver])


def response(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    names = parts.named_of(study)
    domain = st.pills(
        "Along the share of",
        names.domains,
        default=names.domains[0],
        format_func=parts.plain,
        key="along",
        required=True,
    )
    place = names.domains.index(domain)
    metrics, unit = parts.metrics_of_one_unit(study, "response", most=6)
    giver = None if giver == place else giver
    grid = np.linspace(0, 1 if giver is None else at[place] + at[giver], 41)
    mean, std = explain.response(fit.surrogate, at, place, grid, giver)
    labels = [names.metrics[m] for m in metrics]
    figure = charts.response(domain, grid, mean[:, metrics], std[:, metrics], labels, names.colours, at[place], unit)
    components.plot(figure, key="response")
    st.caption(
        f"What it gains or loses comes from {givers(names, giver)}. Bands are 95%. {fit.title} on "
        f"{len(fit.measured.ids)} runs."
    )


def interactions(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    names = parts.named_of(study)
    metric = st.selectbox("Metric", [whole.title, *names.metrics], key="pairs-metric")
    found = explain.interactions(fit.surrogate, at)
    effect, std, unit, better = chosen_metric(study, fit, whole, metric, found.effect, found.std)
    domains = [names.domains[place] for place in found.domains]
    components.plot(effect_charts.interactions(domains, effect, std, found.step, unit, better), key="interactions")
    left_out = len(names.domains) - len(domains)
    st.caption(
        f"What {found.step:.0%} more of two domains does to {parts.plain(metric)} beyond the two alone: with losses, "
        "negative pairs help each other. **?** where even the sign is uncertain (95%)."
        + (f" The {len(domains)} largest domains; {left_out} are left out." if left_out else "")
        + f" {fit.title} on {len(fit.measured.ids)} runs."
    )


def chosen_metric(study, fit: Fit, whole: Aggregate, metric: str, mean: np.ndarray, std: np.ndarray) -> tuple:
    """Values and std (...) of one metric, or of the aggregate, out of (..., M), as people read it; unit; better."""
    if metric != whole.title:
        column = parts.named_of(study).metrics.index(metric)
        one = study.objectives[column]
        return mean[..., column], std[..., column], one.unit, "higher" if one.higher_is_better else "lower"
    weighted = std * whole.weights
    together = np.einsum("...m,mk,...k->...", weighted, fit.surrogate.correlation, weighted)
    return whole.sign * (mean @ whole.weights), np.sqrt(np.maximum(together, 0)), whole.unit, whole.better


def ternary(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    if len(study.domains) < 3:
        st.info("A triangle takes three domains, and this study has fewer. The page's Response shows all there is.")
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
    mean, std, unit, better = chosen_metric(study, fit, whole, metric, surface.mean, surface.std)
    held = fit.measured.weights[:, places]
    shown = held[held.sum(axis=1) > 0.5]
    dots = shown / shown.sum(axis=1, keepdims=True)
    figure = charts.ternary(three, surface.corners, mean, std, dots, f"{metric}, {unit}", better)
    components.plot(figure, key="ternary")
    st.caption(
        f"The three divide the {at[list(places)].sum():.0%} of the tokens that they hold at the faders; others stay. "
        f"White circles: {len(dots)} of {len(held)} runs that gave these three more than half. {fit.title}."
    )


def contributions(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """SHAP values, by LightGBM's own; whichever surrogate is in use, only its trees have them."""
    trees = fit if fit.name == TREES else fit_of_study(state.store(), study, TREES)
    values = trees.surrogate.contributions(at)[0]  # (M, D + 1)
    names, scale = parts.named_of(study), common_scale(study.objectives, fit.measured.losses)
    shown = (scale.factor[:, None] * values[:, :-1]).T
    components.plot(
        effect_charts.contributions(names.domains, names.metrics, shown, scale.unit, scale.better), key="shap"
    )
    standing = trees.standing
    other = "" if fit.name == TREES else f" The predictions above are {fit.title}'s, and these are not."
    st.caption(
        f"SHAP values of {trees.title}: how far each domain's share at the faders moves its prediction from the mean "
        f"over the runs; each column sums to the difference. They have no interval, and explain the trees, not the "
        f"world: on held-out runs these rank with {standing.mean_spearman:.3f} (Spearman).{other}"
    )


def residuals(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """What the surrogate missed on runs it had not seen, one metric at a time."""
    names = parts.named_of(study)
    metric = st.selectbox("Metric", names.metrics, key="residual-metric")
    column = names.metrics.index(metric)
    mean, std = (values[:, column] for values in fit.held_out)
    measured = fit.measured.losses[:, column]
    known = np.isfinite(measured)
    labels = [run for run, is_known in zip(fit.measured.ids, known, strict=True) if is_known]
    figure = effect_charts.residuals(
        metric, names.colours[metric], mean[known], std[known], measured[known], labels, names.units[column]
    )
    components.plot(figure, key="residuals")
    outside = (np.abs(measured - mean) > 1.96 * std)[known]
    st.caption(
        f"Each run was predicted by fits that had not seen it. {outside.sum()} of {known.sum()} lie outside their 95% "
        f"interval ({outside.mean():.0%}; 5% are expected). A slope or a bend would mean that {fit.title} is too stiff."
    )


def trust(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """Held-out predictions, and the noise of measuring beside the error."""
    left, right = st.columns(2)
    names = parts.named_of(study)
    with left:
        st.markdown(f"**{fit.title}: predicted against measured**")
        metrics, unit = parts.metrics_of_one_unit(study, "held-out")
        figure = effect_charts.predicted_against_measured(
            [names.metrics[m] for m in metrics],
            names.colours,
            fit.measured.losses[:, metrics],
            fit.held_out[0][:, metrics],
            fit.measured.ids,
            unit,
        )
        components.plot(figure, key="held-out")
    with right:
        st.markdown("**Is what it misses noise?**")
        floor = noise_floor(runs.measured(state.store(), study.id))
        spread = np.nanstd(fit.measured.losses, axis=0)
        error = np.array(fit.standing.rmse)
        components.plot(league_charts.noise(names.metrics, error, floor, spread), key="noise")
        st.caption(
            "An error near the noise of repeated seeds cannot be made smaller by a better surrogate."
            if floor is not None
            else "No mixture was run with several seeds, so the noise is not known. Repeat a few runs to see it."
        )
    measures(study, fit, floor, spread)


def measures(study, fit: Fit, noise: np.ndarray | None, spread: np.ndarray) -> None:
    """Numbers of the surrogate in use, per metric, beside the noise."""
    standing, names = fit.standing, parts.named_of(study)
    table = {
        "metric": names.metrics,
        "unit": names.units,
        "Spearman, held out": standing.spearman,
        "RMSE": standing.rmse,
    }
    if noise is not None:
        table["noise over repeats"] = noise
    table["spread over mixtures"] = spread
    formats = {key: st.column_config.NumberColumn(format="%.4f") for key in list(table)[2:]}
    st.dataframe(table, hide_index=True, column_config=formats)
    cover = ", ".join(f"{level}%: {share:.0%}" for level, share in standing.calibrated_coverage.items())
    own = aggregate_of(state.store(), study)
    said = []
    if standing.aggregate_spearman is not None:
        said.append(f"By the study's own priorities ({own.title}): Spearman {standing.aggregate_spearman:.3f} held out")
    if standing.regret is not None:
        said.append(f"the run it would have picked is {standing.regret:.3f} {own.unit} worse than the best run")
    said.append(f"measured values inside its intervals: {cover}")
    st.caption(
        "; ".join(said) + ". A trained mixture that was chosen for its low prediction usually measures a little worse "
        "than predicted. The page League compares all surrogates."
    )


LOOKS = {
    "Influence": influence,
    "Response": response,
    "Interactions": interactions,
    "Ternary": ternary,
    "Contributions": contributions,
    "Residuals": residuals,
    "How far to trust it": trust,
}


def closer_look(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """One of the deeper charts, at the faders' mixture; what cannot be drawn says why."""
    chosen = st.segmented_control("Look closer", list(LOOKS), default="Influence", key="look", bind="query-params")
    if chosen:
        try:
            LOOKS[chosen](study, fit, whole, at, giver)
        except Problem as problem:
            st.info(parts.plain(problem))
