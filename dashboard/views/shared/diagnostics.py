"""Fit diagnostics: held-out predictions of the surrogate in use, and its error beside the seed noise."""

import numpy as np
import streamlit as st

from dashboard.charts import effects as effect_charts
from dashboard.charts import leaderboard as leaderboard_charts
from dashboard.models.units import with_ends
from dashboard.server import state
from dashboard.views.shared.metrics import metrics_of_one_unit
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.league.notes import WORDS
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from engine.studies.measured import aggregate_of, noise_floor, points_measured


def diagnostics(study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """Held-out predictions, and the error beside the seed noise."""
    left, right = st.columns(2)
    names = named_of(study)
    with left:
        st.markdown(f"**{fit.title}: predicted against measured**")
        metrics, unit = metrics_of_one_unit(study, aggregate, "held-out", most=12)
        figure = effect_charts.predicted_against_measured(
            [names.metrics[m] for m in metrics],
            names.colours,
            fit.measured.losses[:, metrics],
            fit.held_out[0][:, metrics],
            fit.measured.ids,
            unit,
        )
        plot(figure, key="held-out")
    with right:
        st.markdown("**Error against seed noise**")
        floor = noise_floor(points_measured(state.store(), study.id))
        spread = np.nanstd(fit.measured.losses, axis=0)
        error = np.array(fit.standing.rmse)
        plot(leaderboard_charts.noise(names.metrics, error, floor, spread), key="noise")
        st.caption(
            "An error near the seed noise cannot be reduced by a better surrogate."
            if floor is not None
            else "Fewer than two runs repeat a mixture with another seed, so the seed noise is unknown."
        )
    measures(study, fit, floor, spread)


def measures(study, fit: Fit, noise: np.ndarray | None, spread: np.ndarray) -> None:
    """Numbers of the surrogate in use per metric, beside the seed noise."""
    standing, names = fit.standing, named_of(study)
    read = [reading(unit) for unit in names.units]

    def gaps(values) -> list[float]:
        return [one.gap(value) for one, value in zip(read, values, strict=True)]

    table = {
        "metric": names.metrics,
        "unit": [one.gap_unit for one in read],
        "Spearman, held out": standing.spearman,
        "RMSE": gaps(standing.rmse),
    }
    if noise is not None:
        table["seed noise"] = gaps(noise)
    table["standard deviation over runs"] = gaps(spread)
    formats = {key: st.column_config.NumberColumn(format="%.4f") for key in list(table)[2:]}
    st.dataframe(table, hide_index=True, column_config=formats)
    cover = ", ".join(f"{level}%: {inside:.0%}" for level, inside in standing.calibrated_coverage.items())
    own = aggregate_of(state.store(), study)
    facts = []
    if standing.aggregate_spearman is not None:
        rank = with_ends(standing.aggregate_spearman, standing.aggregate_interval)
        facts.append(f"With the study's own priorities ({own.title}): held-out Spearman {rank}")
    if standing.regret is not None:
        by = reading(own.unit)
        facts.append(
            f"the run it would have chosen is {by.gap(standing.regret):.3f} {plain(by.gap_unit)} worse than the best "
            "run"
        )
    facts.append(f"interval coverage: {cover}")
    st.caption(
        "; ".join(facts)
        + f". A {WORDS[study.kind].point} chosen for its low prediction usually measures slightly worse than "
        "predicted. *Leaderboard* compares all surrogates."
    )
