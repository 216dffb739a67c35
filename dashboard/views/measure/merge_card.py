"""The card of a merge study: what it is, what is going on, its result."""

import numpy as np
import streamlit as st

from dashboard.charts import merges as merge_charts
from dashboard.models import wording
from dashboard.models.progress import Progress
from dashboard.server import state
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import baseline_phrase, plain
from dashboard.views.shared.units import reading
from engine.spec.merge_catalogue import card_of
from engine.spec.statistics import ci_half_width
from engine.studies.measured import reference_runs
from engine.studies.moments import moment_of
from engine.studies.points import best_measured
from store import runs, studies


def status(progress: Progress) -> str:
    """What is going on in a merge study."""
    return {
        "Corpus": "Waiting for its corpus, and for the mixture study that it is compared with.",
        "Experts": "Training a base, and from it one expert per domain, in parallel.",
        "Merges": "Building merges and measuring every domain: baselines, initial design, shares of mixtures.",
        "Surrogates": "Fitting surrogates that predict losses from coefficients, and cross-validating them.",
        "Search": "Predicting the losses of a million merges.",
        None: "Move the faders on *Explore*: losses are predicted at once and measured a moment later.",
    }[progress.current]


def describe(study: studies.Study) -> str:
    """A merge study's settings in one line."""
    merge = study.spec["merge"]
    count = len(study.corpus["experts"]) if study.corpus else len(merge["experts"]) or "one per domain"
    made = "external checkpoints" if merge["base"] else "trained here from one base"
    by = "one coefficient per expert" if merge["by"] == "model" else "one coefficient per expert and layer"
    title = card_of(merge["method"]).title
    return f"Merges by {title} · experts: {count}, {made} · {by} · corpus {study.spec['corpus']}"


def answer(study: studies.Study) -> None:
    """The best merge measured, against the best baseline."""
    moment = moment_of(state.store(), study)
    aggregate, merges, best = moment.aggregate, moment.measured, moment.best
    measured = runs.measured(state.store(), study.id)
    usual = reference_runs(measured, aggregate)
    if not usual or best is None:
        return
    name, row = next(iter(usual.items()))
    gap = aggregate.of(merges.losses[best]) - aggregate.of(measured.losses[row])  # below 0: the merge is better
    errors = runs.standard_errors(state.store(), study.id, len(study.metrics))
    half = ci_half_width(aggregate.error_of([errors[merges.ids[best]], errors[measured.ids[row]]]))
    read = reading(aggregate.unit)
    known = np.isfinite(half)  # a run that was measured elsewhere has no interval
    size = wording.number(read.gap(abs(gap))) + (f" ± {wording.number(read.gap(half))}" if known else "")
    if abs(gap) < 1e-9:
        verdict = f"{plain(baseline_phrase(name))} is itself the best"
    else:
        against = plain(baseline_phrase(name))
        better = f"the best beats {against} by" if gap < 0 else f"none beats {against}: the best is worse by"
        verdict = f"{better} {size} {plain(read.gap_unit)}"
        if known and abs(gap) <= half:
            verdict = f"the best cannot be told apart from {against} ({size} {plain(read.gap_unit)}, within noise)"
    certain = "± is 95% over windows that both share, so the difference is more certain"
    st.markdown(
        f"Of {len(merges.ids)} merges measured on the same text, {verdict}. "
        f"{certain if known else 'The noise is unknown: one of the two has no interval'}; but the best of many looks "
        "slightly better than it is."
    )
    shown = {best_measured(moment): merges.weights[best], name: measured.weights[row]}
    if not measured.weights[row].any():  # the base: a row of zeros says nothing
        del shown[name]
    names, points = named_of(study), np.array(list(shown.values()))
    figure = merge_charts.coefficients(list(shown), names.coordinates, names.colours, points)
    plot(figure, key=f"answer-{study.id}")
