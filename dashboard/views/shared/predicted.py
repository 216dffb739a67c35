"""The prediction at a point beside a chosen reference, for shares and coefficients alike."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from dashboard.components.meters import meters
from dashboard.views.shared.early import FEW
from dashboard.views.shared.levels import Values, metric_rows, ruler
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.analysis import explain
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.fits import Fit
from engine.studies.points import BEST_PREDICTED
from engine.studies.reach import places
from engine.surrogates.prediction import Difference, Prediction, predict_beside
from store import studies

SUPPORT = {
    "measured": ":green-badge[:material/verified: measured]",
    "interpolated": ":blue-badge[:material/conversion_path: interpolated]",
    "extrapolated": ":orange-badge[:material/explore: extrapolated]",
}


@dataclass(frozen=True)
class Compared:
    """reference: its name; here: the prediction at the point; gap: its difference to the reference; support: how far
    the point is from measured runs; place: what that makes the prediction, a key of SUPPORT; caveats: of the
    surrogate."""

    reference: str
    here: Prediction
    gap: Difference
    support: explain.Support
    place: str
    caveats: tuple[str, ...] = ()


def ask_reference(points: dict[str, np.ndarray]) -> str:
    """Which of the named points to compare with."""
    names = [name for name in points if name != BEST_PREDICTED] + [BEST_PREDICTED] * (BEST_PREDICTED in points)
    return st.selectbox("Compare with", names, key="reference", bind="query-params")


def compared(
    fit: Fit, aggregate: Aggregate, at: np.ndarray, reference: tuple[str, np.ndarray], elsewhere: bool = False
) -> Compared:
    """The prediction at a point (D,) against that at a reference, its name and point (D,); elsewhere: for another size
    or budget than any run had."""
    here, gap = predict_beside(fit.surrogate, at, reference[1], aggregate.weights)
    return Compared(
        reference[0],
        here,
        gap,
        explain.support(at[None], fit.measured.weights),
        places(at[None], fit.measured.weights, elsewhere)[0],
        tuple(fit.surrogate.caveats),
    )


def headline(one: Compared, aggregate: Aggregate, few: bool) -> None:
    """The aggregate with its interval, whether it differs from the reference, and whether runs support it; few: there
    are fewer runs than a fit needs."""
    gap, here = one.gap, one.here
    read = reading(aggregate.unit)
    change = read.gap_words(aggregate.sign * gap.aggregate, ci_half_width(gap.aggregate_std))
    unit = f" {read.gap_unit}" if read.exponential else ""
    st.metric(
        f"{aggregate.title.capitalize()}, predicted ({plain(read.unit)})",
        read.words(aggregate.sign * here.aggregate, ci_half_width(here.aggregate_std)),
        f"{change}{unit} vs. {plain(one.reference)}",
        delta_color="gray" if few or gap.inside_noise else "green" if gap.aggregate < 0 else "red",
        delta_arrow="down" if aggregate.sign * gap.aggregate < 0 else "up",
    )
    noise = (
        "**Within noise**: one run of each would not tell them apart." if gap.inside_noise else "Beyond noise (95%)."
    )
    if few:
        noise = "**Too few runs** to claim a difference."
    st.markdown(f"{noise} {SUPPORT[one.place]}" + f" {FEW}" * bool(one.caveats))
    for caveat in one.caveats:
        st.caption(plain(caveat))


def levels(
    study: studies.Study, fit: Fit, aggregate: Aggregate, one: Compared, tick: tuple[str, np.ndarray] | None
) -> None:
    """A meter per metric; tick: (what it is, values (M,)) of a measurement, or None."""
    by = ruler(named_of(study), aggregate, study.objectives, fit.measured.losses)
    here, gap = (Values.predicted(vars(found)) for found in (one.here, one.gap))
    ticks = None if tick is None else by.scale.factor * (tick[1] - one.gap.baseline.mean)
    tick_words = "" if tick is None else f" The tick: {tick[0]}."
    meters(metric_rows(by, here, gap, one.reference, ticks), by.caption(one.reference) + tick_words, key="levels")
