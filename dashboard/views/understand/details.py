"""The details on Explore: effects of domains on metrics around the faders' mixture, and fit diagnostics."""

import numpy as np
import streamlit as st

from dashboard.charts import effects as effect_charts
from dashboard.models.names import Named
from dashboard.models.units import digits
from dashboard.models.wording import without
from dashboard.views.shared.diagnostics import diagnostics
from dashboard.views.shared.metrics import ask_metric, chosen_metric, metrics_of_one_unit
from dashboard.views.shared.plot import cells, plot
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading, scale_of
from dashboard.views.understand.passages import passages
from dashboard.views.understand.repetition import repetition
from dashboard.views.understand.rivals import experts
from engine.analysis import explain
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.space.simplex import Simplex
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width, ordered
from engine.studies.fits import Fit

TREES = "lightgbm"  # the surrogate whose predictions LightGBM explains


MOST = 20  # rows and columns of numbers: more cannot be read, and take a second to draw
FINE, COARSE = 25, 15  # steps along an edge of a triangle: at each point every metric is predicted


def influence(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """A heat map: what a little more of each domain does to each metric, at a mixture (D,). giver: the domain that
    gives way, None for all. Of many domains those that do most, on as many metrics."""
    found = explain.influence(fit.surrogate, at, Simplex(tuple(study.domains)), giver, MOST)
    step = float(found.step.max())
    names, scale = named_of(study), scale_of(study.objectives, fit.measured.losses)
    effect, std = scale.factor * found.effect, np.abs(scale.factor) * found.std
    rows, columns = [names.coordinates[place] for place in found.domains], ask_columns(study, names, found.domains)
    metrics = [names.metrics[m] for m in columns]
    figure = effect_charts.influence(rows, metrics, effect[:, columns], std[:, columns], step, scale.unit, scale.better)
    cells(figure, "influence", len(metrics))
    left_out = len(names.coordinates) - len(rows)
    st.caption(
        f"Effect on each column's metric of giving {step:.0%} more of the tokens to a row's domain, taken from "
        f"{givers(names, giver)}, at the faders' mixture. **?**: even the sign is uncertain (95%)."
        + (f" Only the {len(rows)} domains that do most to all metrics; {left_out} are omitted." if left_out else "")
        + f" {fit.title} on {len(fit.measured.ids)} runs."
    )


def ask_columns(study, names: Named, domains: np.ndarray) -> list[int]:
    """The places of the metrics that a table of numbers has room for: all, or as chosen, at first those of the domains
    at the places (K,)."""
    places = list(range(len(names.metrics)))
    if len(places) <= MOST:
        return places
    own = {study.domains[place] for place in domains}
    first = [m for m in places if study.objectives[m].domain in own] or places[:MOST]
    titles = told_apart(dict(enumerate(names.metrics)))
    with st.expander(f"Metrics, of {len(places)}", icon=":material/tune:", key="influence-columns"):
        chosen = st.multiselect("Metrics", places, format_func=titles.get, max_selections=MOST, key="influence-metrics")
    return sorted(chosen) or first


def givers(names: Named, giver: int | None) -> str:
    """Whose tokens are taken, in words."""
    return "the others proportionally" if giver is None else plain(names.coordinates[giver])


def response(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """One metric along the share of one domain, from a mixture (D,), with 95% bands."""
    names = named_of(study)
    domain = st.pills(
        "Along the share of",
        names.coordinates,
        default=names.coordinates[0],
        format_func=plain,
        key="along",
        bind="query-params",
        required=True,
    )
    place = names.coordinates.index(domain)
    metrics, unit = metrics_of_one_unit(study, aggregate, "response", most=6)
    giver = None if giver == place else giver
    grid = np.linspace(0, 1 if giver is None else at[place] + at[giver], 41)
    mean, std = explain.response(fit.surrogate, at, place, grid, giver)
    labels = [names.metrics[m] for m in metrics]
    figure = effect_charts.response(
        domain, grid, mean[:, metrics], std[:, metrics], labels, names.colours, at[place], unit
    )
    plot(figure, key="response")
    st.caption(f"Tokens come from {givers(names, giver)}. Bands are 95%. {fit.title} on {len(fit.measured.ids)} runs.")


def interactions(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """A heat map: what two domains do together beyond the sum of both, at a mixture (D,)."""
    names = named_of(study)
    metric = ask_metric(st, study, aggregate, "pairs-metric")
    found = explain.interactions(fit.surrogate, at)
    title, effect, std, unit, better = chosen_metric(study, fit, aggregate, metric, found.effect, found.std)
    domains = [names.coordinates[place] for place in found.domains]
    read = reading(unit)
    figure = effect_charts.interactions(domains, read.gap(effect), read.gap(std), found.step, read.gap_unit, better)
    cells(figure, "interactions", len(domains))
    left_out = len(names.coordinates) - len(domains)
    st.caption(
        f"Effect on {plain(title)} of {found.step:.0%} more of two domains, beyond the sum of both alone: for losses, "
        "negative pairs help each other. **?**: even the sign is uncertain (95%)."
        + (f" Only the {len(domains)} largest domains; {left_out} are omitted." if left_out else "")
        + f" {fit.title} on {len(fit.measured.ids)} runs."
    )


def ternary(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """One metric over the shares of three domains; the others stay as in a mixture (D,)."""
    if len(study.domains) < 3:
        st.info("A triangle needs three domains, and this study has fewer. *Response* shows all there is.")
        return
    left, right = st.columns(2)
    names = named_of(study)
    largest = [names.coordinates[i] for i in np.sort(ordered(-at)[:3])]
    three = left.multiselect("Three domains", names.coordinates, default=largest, max_selections=3, key="corners")
    metric = ask_metric(right, study, aggregate, "ternary-loss")
    if len(three) != 3:
        st.info("Choose three domains.")
        return
    places = tuple(names.coordinates.index(name) for name in three)
    surface = explain.ternary(fit.surrogate, at, places, FINE if len(names.metrics) <= MOST else COARSE)
    title, mean, std, unit, better = chosen_metric(study, fit, aggregate, metric, surface.mean, surface.std)
    held = fit.measured.weights[:, places]
    shown = held[held.sum(axis=1) > 0.5]
    dots = shown / shown.sum(axis=1, keepdims=True)
    here = at[list(places)] / at[list(places)].sum()
    read = reading(unit)
    values = read.level(mean), read.ends(mean, ci_half_width(std))
    figure = effect_charts.ternary(three, surface.corners, *values, dots, here, f"{title}, {read.unit}", better)
    plot(figure, key="ternary")
    st.caption(
        f"The three share the {at[list(places)].sum():.0%} of the tokens that they have at the faders; others stay "
        f"fixed. The diamond: the faders; circles: the {len(dots)} of {len(held)} runs that gave them more than "
        f"half. {fit.title}."
    )


def contributions(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """SHAP values, by LightGBM's own; whichever surrogate is in use, only its trees have them."""
    trees = fit if fit.name == TREES else fit.other(TREES)
    values = trees.surrogate.contributions(at)[0]  # (M, D + 1)
    names, scale = named_of(study), scale_of(study.objectives, fit.measured.losses)
    shown = (scale.factor[:, None] * values[:, :-1]).T
    figure = effect_charts.contributions(names.coordinates, names.metrics, shown, scale.unit, scale.better)
    cells(figure, "shap", len(names.metrics))
    standing = trees.standing
    other = "" if fit.name == TREES else f" The predictions above come from {fit.title} instead."
    st.caption(
        f"SHAP values of {trees.title}: how far each domain's share at the faders moves its prediction from the mean "
        f"over the runs; each column sums to the difference. They have no intervals and explain the model, not the "
        f"world; its held-out Spearman correlation is {digits(standing.mean_spearman, '.3f')}.{other}"
    )


def residuals(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """Errors on held-out runs, one metric at a time."""
    names = named_of(study)
    metric = st.selectbox("Metric", names.metrics, key="residual-metric")
    column = names.metrics.index(metric)
    mean, std = (values[:, column] for values in fit.held_out)
    measured = fit.measured.losses[:, column]
    known = np.isfinite(measured) & np.isfinite(mean)
    labels = [run for run, is_known in zip(fit.measured.ids, known, strict=True) if is_known]
    figure = effect_charts.residuals(
        metric, names.colours[metric], mean[known], std[known], measured[known], labels, names.units[column]
    )
    plot(figure, key="residuals")
    outside = (np.abs(measured - mean) > ci_half_width(std))[known]
    st.caption(
        f"Each run was predicted by fits that had not seen it{without(known)}. {outside.sum()} of {known.sum()} lie "
        f"outside their 95% interval ({outside.mean():.0%}; 5% are expected). A slope or a bend would mean that "
        f"{fit.title} underfits."
    )


REPETITION = "Repetition"
DETAILS = {
    "Influence": influence,
    "Response": response,
    "Interactions": interactions,
    "Ternary": ternary,
    "Contributions": contributions,
    "Passages": passages,
    "Experts": experts,
    "Residuals": residuals,
    "Fit diagnostics": diagnostics,
}


def details(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None, tokens: float) -> None:
    """One of the detailed charts, at the faders' mixture, or why it cannot be drawn. tokens: of the real run."""
    looks = [*DETAILS, REPETITION]
    chosen = st.segmented_control("Details", looks, default="Influence", key="look", bind="query-params", required=True)
    try:
        if chosen == REPETITION:
            repetition(study, fit, aggregate, at, tokens)
        else:
            DETAILS[chosen](study, fit, aggregate, at, giver)
    except Problem as problem:
        st.info(plain(problem))
