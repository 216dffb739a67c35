"""The prediction at a point beside a chosen reference, for shares and coefficients alike."""

import numpy as np
import streamlit as st

from dashboard.models import wording
from dashboard.views.shared.text import plain
from engine.analysis import explain
from engine.spec.objectives import Aggregate
from engine.studies.fits import BEST_PREDICTED, Fit
from engine.surrogates.prediction import Difference, Prediction, difference, predict

SUPPORT = {
    "measured": ":green-badge[:material/verified: measured]",
    "interpolated": ":blue-badge[:material/conversion_path: interpolated]",
    "extrapolated": ":orange-badge[:material/explore: extrapolated]",
}


def against_a_reference(
    fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict[str, np.ndarray], few: bool, elsewhere: bool = False
) -> tuple[str, Prediction, Difference, explain.Support]:
    """Show the prediction at a point (D,), whether it differs from a reference, and how far it is from measured runs.

    points: possible references, by name; few: there are fewer runs than a fit needs; elsewhere: the prediction is for
    another budget than all runs had. Returns the chosen one's name, the prediction, the difference to it, and the
    support of the point, for the text beside them.
    """
    names = [name for name in points if name != BEST_PREDICTED] + [BEST_PREDICTED] * (BEST_PREDICTED in points)
    reference = st.selectbox("Compare with", names, key="reference", bind="query-params")
    here = predict(fit.surrogate, at, aggregate.weights)
    gap = difference(fit.surrogate, at, points[reference], aggregate.weights)
    change = f"{wording.number(aggregate.sign * gap.aggregate, '+')} ± {wording.number(1.96 * gap.aggregate_std)}"
    st.metric(
        f"{aggregate.title.capitalize()}, predicted ({plain(aggregate.unit)})",
        f"{wording.number(aggregate.sign * here.aggregate)} ± {wording.number(1.96 * here.aggregate_std)}",
        f"{change} vs. {reference}",
        delta_color="off" if few or gap.inside_noise else "inverse" if aggregate.sign > 0 else "normal",
    )
    support = explain.support(at[None], fit.measured.weights)
    noise = "**Within noise**: no difference can be claimed." if gap.inside_noise else "Beyond noise (95%)."
    if few:
        noise = "**Too few runs** to claim a difference."
    st.markdown(f"{noise} {SUPPORT['extrapolated' if elsewhere else support.badge[0]]}")
    return reference, here, gap, support
