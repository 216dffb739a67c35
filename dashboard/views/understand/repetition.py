"""Benefit and harm of repeating each domain, at the target's faders, with the runs behind them. Part of Explore."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts.repetition import over_epochs
from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from engine.core.short_names import short_count
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study
from engine.studies.repeating import curves
from store import studies

EPOCHS = st.column_config.NumberColumn(format="%.3g")


def repetition(study: studies.Study, fit: Fit, aggregate: Aggregate, at: np.ndarray, tokens: float) -> None:
    """The chart of one domain and a table of all. fit: for a real run of `tokens`. Raises Problem if nobody knows."""
    names = named_of(study)
    titles = dict(zip(study.domains, names.coordinates, strict=True))
    found = curves(state.store(), study, frame_of_study(study), fit, aggregate, at, tokens)
    if not found:
        st.info("The amount of text in each domain is unknown here.")
        return
    by_title = {titles[one.domain]: one for one in found}
    most_read = max(by_title, key=lambda title: by_title[title].here)
    chosen = st.pills(
        "Epochs of",
        list(by_title),
        default=most_read,
        format_func=plain,
        key="epochs-of",
        bind="query-params",
        required=True,
    )
    curve = by_title[chosen]
    unit, sign = aggregate.unit, aggregate.sign
    plot(over_epochs(curve, chosen, names.colours[chosen], aggregate.title, unit, sign), key="repetition")
    st.caption(
        f"A real run of {short_count(tokens)} tokens at the faders' mixture, which reads {plain(chosen)} "
        f"{wording.two_digits(curve.here)} times (dotted); as its share grows, the others shrink proportionally. The "
        f"{plain(aggregate.title)} is better when {aggregate.better}. Ticks: how often runs read it; grey: more often "
        f"than any of them. **Worth repeating up to: {wording.worth_words(curve)}.** {plain(fit.title)}."
    )
    rows = {
        "domain": list(by_title),
        "epochs here": [one.here for one in found],
        "worth repeating up to": [wording.worth_words(one) for one in found],
        "most epochs of a run": [one.most for one in found],
        "runs": [len(one.read) for one in found],
        "dose runs": [len(one.dosed) for one in found],
    }
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, column_config={"epochs here": EPOCHS, "most epochs of a run": EPOCHS}
    )
