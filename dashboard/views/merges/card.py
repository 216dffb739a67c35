"""What the card of a merge study says: what it is, what is going on, its answer."""

import numpy as np
import streamlit as st

from dashboard import components
from dashboard.charts import merges as merge_charts
from dashboard.models import progress as queries
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.spec.merge_catalogue import card_of
from engine.studies.measured import aggregate_of, points_measured, reference_runs
from store import runs, studies


def happening(progress: queries.Progress) -> str:
    """What is going on in a merge study."""
    running = next((stage.name for stage in progress.stages if stage.state != "done"), None)
    return {
        "Corpus": "Waits for its text, and for the mixture study that it is held against.",
        "Experts": "Training a base, and from it one expert a domain, side by side in one stack.",
        "Merges": "Building merges in memory and measuring every domain: baselines, mixtures' shares, first points.",
        "Surrogates": "Learning from the merges how coefficients move losses, and which method to trust on them.",
        "Search": "Predicting the losses of a million merges.",
        None: "Turn the faders on Explore: losses are predicted at once and measured a moment later.",
    }[running]


def describe(study: studies.Study) -> str:
    """A merge study's settings in one line."""
    merge = study.spec["merge"]
    count = len(study.corpus["experts"]) if study.corpus else len(merge["experts"]) or "one a domain"
    made = "brought" if merge["base"] else "trained here from one base"
    by = "a coefficient an expert" if merge["by"] == "model" else "a coefficient an expert and layer"
    title = card_of(merge["method"]).title
    return f"Merges by {title} · experts: {count}, {made} · {by} · corpus {study.spec['corpus']}"


def answer(study: studies.Study) -> None:
    """The best merge measured, against the best baseline."""
    measured, whole = runs.measured(state.store(), study.id), aggregate_of(state.store(), study)
    usual, merges = reference_runs(measured, whole), points_measured(state.store(), study.id)
    if not usual or not merges.ids or (best := whole.best(merges.losses)) is None:
        return
    name, row = next(iter(usual.items()))
    gap = whole.of(merges.losses[best]) - whole.of(measured.losses[row])  # below 0: the merge is better
    errors = runs.standard_errors(state.store(), study.id, len(study.metrics))
    half = 1.96 * whole.error_of([errors[merges.ids[best]], errors[measured.ids[row]]])
    size = f"{parts.number(abs(gap))} ± {parts.number(half)} {parts.plain(whole.unit)}"
    said = f"the best beats {parts.the(name)} by {size}" if gap < 0 else f"none beats {parts.the(name)}: {size} worse"
    said += ", which is inside the noise of that text" if abs(gap) <= half else ""
    said = f"{parts.the(name)} is itself the best" if abs(gap) < 1e-9 else said
    st.markdown(
        f"Of {len(merges.ids)} merges measured on the same text, {said}. ± is 95% over windows that both share: the "
        "gap is surer than that; but the lowest of many measures a little better than it is."
    )
    points = np.array([merges.weights[best], measured.weights[row]])
    names = parts.named_of(study)
    figure = merge_charts.coefficients(["best measured", name], names.domains, names.colours, points)
    components.plot(figure, key=f"answer-{study.id}")
