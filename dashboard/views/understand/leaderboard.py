"""Leaderboard: which surrogate to trust on these runs, how far, and whether more runs are worth it."""

import numpy as np
import streamlit as st

from dashboard.charts import leaderboard as leaderboard_charts
from dashboard.models.units import digits, with_ends
from dashboard.server import state
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.plot import cells, plot
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import plain
from engine.league import BASELINE, Standing
from engine.league.curve import GAIN, Curve
from engine.league.notes import WORDS, notes
from engine.studies import sizes
from engine.studies.fits import Fit
from engine.surrogates import title_of
from store import studies


def render(name: str | None) -> None:
    st.title("Leaderboard")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study, priorities=False)
    if (fit := moment.fit) is None:
        return
    show_moment(moment, "leaderboard")
    names = named_of(study)
    here = notes(fit.measured.weights, fit.measured.losses, names.coordinates, names.metrics, study.kind)
    for note in [*sizes.notes(state.store(), study), *here]:
        st.info(plain(note), icon=":material/info:")
    baseline = one_alone(study)
    verdicts(fit, baseline)
    table(fit)
    left, right = st.columns(2)
    with left:
        ranking(fit)
    with right:
        margins(fit, baseline)
    per_metric(fit, names.metrics)
    left, right = st.columns(2)
    with left:
        calibration(fit)
    with right:
        learning_curve(fit)
    stability(fit, WORDS[study.kind].point)


def one_alone(study: studies.Study) -> str:
    """The trivial surrogate that others must beat, as people call it."""
    return f"one-{WORDS[study.kind].value} baseline"


def verdicts(fit: Fit, baseline: str) -> None:
    """The conclusions, in a few sentences."""
    league, best = fit.league, fit.league[fit.league.default]
    tied = [title_of(one.name) for one in league.fitted if one.tied and one.name != league.default]
    text = f"**{title_of(league.default)}** is the default"
    text += f": {league.why}" if league.why else ""
    text += f". Equally good within noise: {'; '.join(tied)}. " if tied else ". "
    text += f"Its held-out rank correlation is {digits(best.mean_spearman, '.3f')} (mean over metrics, 95%: "
    text += " to ".join(digits(end, ".3f") for end in best.interval) + ")"
    if best.margin:
        sure = "" if best.margin[1] > 0 else ": **this may be noise**"
        text += f", a gain of {with_ends(best.margin[0], best.margin[1:], '+.3f')} over the {baseline}{sure}"
    st.markdown(text + ".")
    if league.curve:
        st.markdown(plain(Curve(**league.curve).verdict))


def table(fit: Fit) -> None:
    """All surrogates; those that could not be fitted, with the reason."""
    league = fit.league
    rows = [row_of(one, one.name == league.default, league.folds) for one in league.standings]
    number = st.column_config.NumberColumn
    st.dataframe(
        rows,
        hide_index=True,
        height=38 + 35 * len(rows),
        column_config={
            "tied": st.column_config.CheckboxColumn(help="As good as the best, within noise or .002."),
            "regret, 95%": st.column_config.TextColumn(
                help="How much worse the run it would have chosen is than the best one."
            ),
            "coverage 50 / 80 / 95%": st.column_config.TextColumn(
                help="Measured losses inside the intervals, before calibration."
            ),
            "CPU s per fit": number(format="%.2f"),
        },
    )
    quick, slow = league.repeats, [title_of(one.name) for one in league.fitted if one.repeats < league.repeats]
    st.caption(
        f"{quick} x {league.folds}-fold cross-validation on {league.runs} runs"
        + (f"; run only once, being slow: {'; '.join(slow)}" if slow else "")
        + ". Sorted by the mean of the two rank correlations. Regret, aggregate and stability use the study's own "
        "priorities. Choose a surrogate in the sidebar; the link keeps it."
    )


def row_of(one: Standing, default: bool, folds: int) -> dict:
    """A row of the table."""
    row = {"surrogate": title_of(one.name) + (" · default" if default else "")}
    if one.problem:
        return {**row, "note": one.problem}
    members = [f"{weight:.0%} {title_of(name)}" for name, weight in (one.members or {}).items()]
    return {
        **row,
        "tied": one.tied,
        "Spearman, 95%": with_ends(one.mean_spearman, one.interval),
        "aggregate, 95%": with_ends(one.aggregate_spearman, one.aggregate_interval),
        "gain, 95%": "" if one.margin is None else with_ends(one.margin[0], one.margin[1:], "+.3f"),
        "regret, 95%": with_ends(one.regret, one.regret_interval, ".4f"),
        "coverage 50 / 80 / 95%": " / ".join(f"{inside:.0%}" for inside in one.coverage.values()),
        "stability": "" if one.stability is None else f"{one.stability:.3f}",
        "CPU s per fit": one.seconds / (one.fits or one.repeats * folds),
        "note": one.raced or "; ".join(members),
    }


def ranking(fit: Fit) -> None:
    """Held-out rank correlation of every surrogate, with its interval."""
    st.markdown("**Held-out rank correlation**")
    rows = [
        {
            "title": title_of(one.name),
            "value": one.mean_spearman,
            "low": one.interval[0],
            "high": one.interval[1],
            "chosen": one.name == fit.name,
        }
        for one in fit.league.fitted
    ]
    plot(leaderboard_charts.ranking(rows, "Spearman, mean over metrics"), key="league")
    st.caption(f"95% intervals, bootstrapped over {fit.league.runs} runs. The coloured one is in use.")


def margins(fit: Fit, baseline: str) -> None:
    """How much better every surrogate ranks than the baseline, by its name."""
    st.markdown(f"**Gain over the {baseline}**")
    rows = [
        {
            "title": title_of(one.name),
            "value": one.margin[0],
            "low": one.margin[1],
            "high": one.margin[2],
            "chosen": one.name == fit.name,
        }
        for one in fit.league.fitted
        if one.margin
    ]
    if not rows:
        st.info(f"{title_of(BASELINE)}, the baseline, could not be fitted on these runs.")
        return
    figure = leaderboard_charts.ranking(rows, f"score minus the {baseline}'s")
    plot(figure.add_vline(x=0, line={"width": 1, "dash": "dot"}), key="margin")
    st.caption("Paired over the same runs, 95%. Left of the line or across it: no evidence that anything was learned.")


def per_metric(fit: Fit, metrics: list[str]) -> None:
    """Rank correlation of every surrogate and metric."""
    st.markdown("**Per metric**")
    spearman = np.array([one.spearman for one in fit.league.fitted], float)
    titles = [title_of(one.name) for one in fit.league.fitted]
    words = [told_per_metric(one) for one in fit.league.fitted]
    cells(leaderboard_charts.per_metric(titles, metrics, spearman, words), "per-metric", len(metrics))
    empty = " Empty: the metric is constant over the runs, so there is nothing to rank." * bool(
        np.isnan(spearman).any()
    )
    st.caption(
        f"Spearman's over {fit.league.runs} held-out runs. Point at a cell for its 95% interval, bootstrapped over the "
        f"runs.{empty}"
    )


def told_per_metric(one: Standing) -> list[str]:
    """The rank correlation of each metric (M,) with its interval."""
    ends = one.spearman_intervals or [None] * len(one.spearman)  # a fit of an earlier version has none
    return [with_ends(*pair) for pair in zip(one.spearman, ends, strict=True)]


def calibration(fit: Fit) -> None:
    """How many measured values lie in the intervals of every surrogate."""
    st.markdown("**Interval coverage**")
    rows = [
        {
            "title": title_of(one.name),
            "raw": one.coverage,
            "calibrated": one.calibrated_coverage,
            "chosen": one.name == fit.name,
        }
        for one in fit.league.fitted
    ]
    plot(leaderboard_charts.calibration(rows), key="calibration")
    st.caption(
        "Below the dotted line, intervals are too narrow. All pages show calibrated ones: each metric's standard "
        "deviations are scaled by one factor, estimated on these same held-out runs."
    )


def learning_curve(fit: Fit) -> None:
    """Rank correlation against the number of runs, and whether more are worth it."""
    st.markdown("**Are more runs worth it?**")
    if not fit.league.curve:
        st.info("This fit has no learning curve. Fit the runs again.")
        return
    curve = Curve(**fit.league.curve)
    lines = [
        {"title": title_of(name), "scores": scores, "main": name == curve.of} for name, scores in curve.scores.items()
    ]
    plot(leaderboard_charts.learning_curve(curve.sizes, lines, curve.runs, curve.enough), key="curve")
    st.caption(
        f"Learning curve: fits to subsets of the {curve.runs} runs, tested on the others; bands are 95%. Enough: "
        f"beyond this, doubling the runs gains less than {GAIN}, by a power law through the points."
    )


def stability(fit: Fit, point: str) -> None:
    """How far apart the mixtures are that refits recommend. point: what the study has, a mixture or a merge."""
    st.markdown("**Stability of the recommendation**")
    found = sorted((one for one in fit.league.fitted if one.stability is not None), key=lambda one: one.stability)
    if not found:
        st.info("This fit has no stability estimate. Fit the runs again.")
        return
    names = [one.name for one in found]
    chosen = names.index(fit.name) if fit.name in names else None
    titles = [title_of(name) for name in names]
    plot(leaderboard_charts.stability(titles, np.array([one.stability for one in found]), chosen), key="stability")
    st.caption(
        f"Each refit on 80% of the runs recommends the mean of its best 20 of 2,000 {point}s drawn at random. "
        "Shown: how far these are apart (0: identical; 2: nothing in common). Stable does not mean right."
    )
