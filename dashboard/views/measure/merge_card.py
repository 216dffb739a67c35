"""The card of a merge study: what it is, what is going on, its result."""

import numpy as np

from dashboard.charts import review as review_charts
from dashboard.models.progress import Progress
from dashboard.server import state
from dashboard.views.shared.merge_headline import show_merge_headline
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of
from engine.spec.merge_catalogue import card_of
from engine.studies.moments import moment_of
from engine.studies.points import best_measured
from store import studies


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
    show_moment(moment, "card")
    if (one := show_merge_headline(moment, "card")) is None:
        return
    shown = {best_measured(moment): one.point}
    if one.baseline.any() and not one.itself:  # the base: a row of zeros says nothing
        shown[one.against[0]] = one.baseline
    names, points = named_of(study), np.array(list(shown.values()))
    figure = review_charts.points("merge", list(shown), names, points)
    plot(figure, key=f"answer-{study.id}")
