"""The closer looks of Explore: what domains do to metrics around the faders' mixture, and how far to trust it."""

import numpy as np
import streamlit as st

from dashboard.charts import effects as effect_charts
from dashboard.components.plot import plot
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.diagnostics import trust
from dashboard.views.shared.metrics import chosen_metric, metrics_of_one_unit
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from engine.analysis import explain
from engine.core.errors import Problem
from engine.space.simplex import Simplex
from engine.spec.objectives import Aggregate, common_scale
from engine.studies.fits import Fit
from engine.studies.fits import fit_of as fit_of_study

TREES = "lightgbm"  # the surrogate whose predictions LightGBM explains


def influence(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    found = explain.influence(fit.surrogate, at, Simplex(tuple(study.domains)), giver)
    step = float(found.step.max())
    names, scale = named_of(study), common_scale(study.objectives, fit.measured.losses)
    effect, std = scale.factor * found.effect, np.abs(scale.factor) * found.std
    plot(
        effect_charts.influence(names.domains, names.metrics, effect, std, step, scale.unit, scale.better),
        key="influence",
    )
    st.caption(
        f"What {step:.0%} more of the tokens for a row's domain does to a column's metric, taken from "
        f"{givers(names, giver)}, at the faders' mixture. **?** where even the sign is uncertain (95%). "
        f"{fit.title} on {len(fit.measured.ids)} runs."
    )


def givers(names: Named, giver: int | None) -> str:
    """Who gives way, in words."""
    return "the others in proportion" if giver is None else plain(names.domains[giver])


def response(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    names = named_of(study)
    domain = st.pills(
        "Along the share of",
        names.domains,
        default=names.domains[0],
        format_func=plain,
        key="along",
        required=True,
    )
    place = names.domains.index(domain)
    metrics, unit = metrics_of_one_unit(study, "response", most=6)
    giver = None if giver == place else giver
    grid = np.linspace(0, 1 if giver is None else at[place] + at[giver], 41)
    mean, std = explain.response(fit.surrogate, at, place, grid, giver)
    labels = [names.metrics[m] for m in metrics]
    figure = effect_charts.response(
        domain, grid, mean[:, metrics], std[:, metrics], labels, names.colours, at[place], unit
    )
    plot(figure, key="response")
    st.caption(
        f"What it gains or loses comes from {givers(names, giver)}. Bands are 95%. {fit.title} on "
        f"{len(fit.measured.ids)} runs."
    )


def interactions(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    names = named_of(study)
    metric = st.selectbox("Metric", [whole.title, *names.metrics], key="pairs-metric")
    found = explain.interactions(fit.surrogate, at)
    effect, std, unit, better = chosen_metric(study, fit, whole, metric, found.effect, found.std)
    domains = [names.domains[place] for place in found.domains]
    plot(effect_charts.interactions(domains, effect, std, found.step, unit, better), key="interactions")
    left_out = len(names.domains) - len(domains)
    st.caption(
        f"What {found.step:.0%} more of two domains does to {plain(metric)} beyond the two alone: with losses, "
        "negative pairs help each other. **?** where even the sign is uncertain (95%)."
        + (f" The {len(domains)} largest domains; {left_out} are left out." if left_out else "")
        + f" {fit.title} on {len(fit.measured.ids)} runs."
    )


def ternary(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    if len(study.domains) < 3:
        st.info("A triangle takes three domains, and this study has fewer. The page's Response shows all there is.")
        return
    left, right = st.columns(2)
    names = named_of(study)
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
    figure = effect_charts.ternary(three, surface.corners, mean, std, dots, f"{metric}, {unit}", better)
    plot(figure, key="ternary")
    st.caption(
        f"The three divide the {at[list(places)].sum():.0%} of the tokens that they hold at the faders; others stay. "
        f"White circles: {len(dots)} of {len(held)} runs that gave these three more than half. {fit.title}."
    )


def contributions(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """SHAP values, by LightGBM's own; whichever surrogate is in use, only its trees have them."""
    trees = fit if fit.name == TREES else fit_of_study(state.store(), study, TREES)
    values = trees.surrogate.contributions(at)[0]  # (M, D + 1)
    names, scale = named_of(study), common_scale(study.objectives, fit.measured.losses)
    shown = (scale.factor[:, None] * values[:, :-1]).T
    plot(effect_charts.contributions(names.domains, names.metrics, shown, scale.unit, scale.better), key="shap")
    standing = trees.standing
    other = "" if fit.name == TREES else f" The predictions above are {fit.title}'s, and these are not."
    st.caption(
        f"SHAP values of {trees.title}: how far each domain's share at the faders moves its prediction from the mean "
        f"over the runs; each column sums to the difference. They have no interval, and explain the trees, not the "
        f"world: on held-out runs these rank with {standing.mean_spearman:.3f} (Spearman).{other}"
    )


def residuals(study, fit: Fit, whole: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """What the surrogate missed on runs it had not seen, one metric at a time."""
    names = named_of(study)
    metric = st.selectbox("Metric", names.metrics, key="residual-metric")
    column = names.metrics.index(metric)
    mean, std = (values[:, column] for values in fit.held_out)
    measured = fit.measured.losses[:, column]
    known = np.isfinite(measured)
    labels = [run for run, is_known in zip(fit.measured.ids, known, strict=True) if is_known]
    figure = effect_charts.residuals(
        metric, names.colours[metric], mean[known], std[known], measured[known], labels, names.units[column]
    )
    plot(figure, key="residuals")
    outside = (np.abs(measured - mean) > 1.96 * std)[known]
    st.caption(
        f"Each run was predicted by fits that had not seen it. {outside.sum()} of {known.sum()} lie outside their 95% "
        f"interval ({outside.mean():.0%}; 5% are expected). A slope or a bend would mean that {fit.title} is too stiff."
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
            st.info(plain(problem))
