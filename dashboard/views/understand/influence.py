"""Influence: what each domain does to each metric, by leaving it out; pairs, rows of new metrics, and their trust."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import effects as effect_charts
from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.choice import choose
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.plot import cells
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import reading, scale_of
from engine.analysis.rows import FLOOR
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width, ordered
from engine.studies import influence
from engine.studies.fits import Fit
from engine.studies.influence import Influences
from engine.studies.measured import frame_of_study, points_measured
from store import studies

ACTS = "influence"
BY = {"predicted": "Predicted", "measured": "Measured by runs without"}
ROWS = (
    "Each known row is left out but for so many runs, and predicted as a combination of the others. Error: root mean "
    "square, in that of the true effects; 1 is as good as saying that nothing has an effect. True effects are those of "
    "the fit on all runs."
)


def render(name: str | None) -> None:
    st.title("Influence")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study)
    if moment.fit is None:
        return
    show_moment(moment, "influence")
    views = {
        "Domains": lambda: of_domains(study, moment.fit, False),
        "Pairs": lambda: of_domains(study, moment.fit, True),
        "New metric": lambda: new_metric(study),
        "New domain": lambda: new_domain(study),
        "Trust": lambda: trust(study, moment.aggregate),
    }
    view = st.segmented_control(
        "View", list(views), default="Domains", key="influence-look", bind="query-params", required=True
    )
    show_refusal(ACTS)
    try:
        views[view]()
    except Problem as problem:
        st.info(plain(problem))


def of_domains(study: studies.Study, fit: Fit, pairs: bool) -> None:
    """A heat map of effects, predicted or measured, and the button that measures them."""
    found = influence.influences(state.store(), study, pairs, fit.name)
    names, scale = named_of(study), scale_of(study.objectives, fit.measured.losses)
    how = st.segmented_control(
        "Effects", list(BY), default="predicted", format_func=BY.get, key="influence-by", required=True
    )
    told = getattr(found, how)
    effect, half = scale.factor * told.effect, np.abs(scale.factor) * told.half
    short = dict(zip(study.domains, names.coordinates, strict=True))
    rows = [" and ".join(short[one] for one in several) for several in found.names]
    title = "both" if pairs else "having"
    figure = effect_charts.matrix((title, rows), ("effect on", names.metrics), effect, half, scale.unit, scale.better)
    cells(figure, f"influence-{how}-{pairs}", len(names.metrics))
    st.caption(caption(study, fit, found, how, pairs))
    train(study, found, pairs)


def caption(study: studies.Study, fit: Fit, found: Influences, how: str, pairs: bool) -> str:
    """What the numbers are, and what they rest on."""
    prior = plain(frame_of_study(study).prior_name)
    what = (
        f"What two domains do together beyond the sum of both, at the {prior} mixture: for losses, negative pairs help "
        "each other."
        if pairs
        else f"Each metric at the {prior} mixture minus the metric without the row's domain, whose tokens the others "
        "take in proportion: for losses, negative is help."
    )
    trained = int((found.trained > 0).sum())
    rests = (
        f"± is 95%, of the prediction's mean: {fit.title} on {counted(len(fit.measured.ids), 'run')}."
        if how == "predicted"
        else f"{trained} of {len(found.names)} are trained; ± is 95%, of the noise between seeds, and nothing is told "
        "without repeats."
    )
    return f"{what} **?**: even the sign is uncertain (95%). {rests}"


def train(study: studies.Study, found: Influences, pairs: bool) -> None:
    """The button that trains the mixtures without each domain, or without one pair."""
    store, lacking = state.store(), [one for one, count in zip(found.names, found.trained, strict=True) if not count]
    if not lacking or study.elsewhere:
        return
    style = {"icon": ":material/play_arrow:", "key": f"train-without-{pairs}", **needs_role("operator")}
    if not pairs:
        if st.button(f"Train the {counted(len(lacking), 'mixture')} without one domain", **style):
            act(ACTS, lambda: say_if_there(influence.train_without(store, study).already_there))
        return
    titles = {one: " and ".join(map(str, one)) for one in lacking}
    chosen = choose(st, "Pair", {str(place): title for place, title in enumerate(titles.values())}, "pair-left-out")
    if st.button("Train the mixture without this pair", **style):
        pair = list(lacking[int(chosen)])
        act(ACTS, lambda: say_if_there(influence.train_without(store, study, [pair]).already_there))


def new_metric(study: studies.Study) -> None:
    """What domains do to a metric that few runs measured, by the other metrics."""
    counts = np.isfinite(points_measured(state.store(), study.id).losses).sum(axis=0)
    titles = {
        metric: f"{metric} ({counted(int(count), 'run')})" for metric, count in zip(study.metrics, counts, strict=True)
    }
    start = study.metrics[int(np.argmin(counts))]
    metric = choose(st, "Metric", titles, "row-metric", link="metric", start=start)
    try:
        found = influence.row_of_metric(state.store(), study, metric)
    except Problem as problem:
        refusal(problem)
        return
    read = reading(study.objectives[study.metrics.index(metric)].unit)
    effect, half = read.gap(found.row.effect), read.gap(ci_half_width(found.row.std))
    rows = [
        {
            "domain": found.names[place],
            "effect": digits(effect[place], "+.4f"),
            "± 95%": digits(half[place], ".4f"),
            "sure of the sign": "yes" if abs(effect[place]) > half[place] else "no",
        }
        for place in ordered(-np.abs(effect))
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    one = found.judged
    st.caption(
        f"Effect of having each domain on {plain(metric)}, {plain(read.gap_unit)}, as a combination of the other "
        f"metrics ({one.part:.0%} of what may explain it) and of the shares, fitted on {counted(found.few, 'run')}. "
        f"Judged by leaving each of {one.rows} other metrics out, but "
        f"for {one.runs} runs: predicted effects correlate with the true ones by {digits(one.rank, '.2f')} (rank), and "
        f"by {digits(one.direct_rank, '.2f')} from those runs alone. Intervals are as wide as those rows took."
    )


def new_domain(study: studies.Study) -> None:
    """What having a domain does that few runs have, and whether such rows tell anything."""
    shares = points_measured(state.store(), study.id).weights
    counts = (shares > FLOOR).sum(axis=0)
    titles = {
        domain: f"{domain} ({counted(int(count), 'run')} with it)"
        for domain, count in zip(study.domains, counts, strict=True)
    }
    start = study.domains[int(np.argmin(counts))]
    domain = choose(st, "Domain", titles, "row-domain", link="domain", start=start)
    try:
        found = influence.row_of_domain(state.store(), study, domain)
    except Problem as problem:
        refusal(problem)
        return
    if found.tells:
        st.success("These runs tell what this domain does to other metrics, as far as the intervals say.")
    else:
        st.warning(cannot_tell(found), icon=":material/casino:")
    st.dataframe(domain_table(study, found), hide_index=True)
    st.caption(domain_words(found))


def cannot_tell(found: influence.NewDomain) -> str:
    """Why the runs with a domain do not tell what it does, and what would help."""
    said = f"It is not known what this domain does to other metrics, by {counted(found.few, 'run')} with it."
    if found.judged is None:
        return f"{said} {plain(found.why)}"
    return f"{said} Rows of other domains that were left out are predicted no better than trivially: train more runs."


def domain_table(study: studies.Study, found: influence.NewDomain) -> pd.DataFrame:
    """The effects on each metric, each in its own unit, with the 95% intervals."""
    read = {one.metric: reading(one.unit) for one in study.objectives}
    rows = []
    for place, metric in enumerate(found.metrics):
        one = read[metric]
        effect, half, alone = (
            one.gap(x)
            for x in (found.row.effect[place], ci_half_width(found.row.std[place]), found.alone.effect[place])
        )
        rows.append(
            {
                "metric": metric,
                "effect": digits(effect, "+.4f"),
                "± 95%": digits(half, ".4f"),
                "by its runs alone": digits(alone, "+.4f"),
                "unit": one.gap_unit,
                "sure of the sign": "yes" if found.tells and abs(effect) > half else "no",
            }
        )
    return pd.DataFrame(rows)


def domain_words(found: influence.NewDomain) -> str:
    """What the numbers are, and how they were judged."""
    words = (
        f"Each metric with {found.share:.1%} of the domain minus the metric without it, from the runs that have it; "
        "its own loss is left out."
    )
    if (one := found.judged) is None:
        return f"{words} ± is how far these runs scatter alone."
    return (
        f"{words} Effects are drawn towards what other domains do. Judged by leaving each of {one.rows} other domains "
        f"out, but for {counted(one.runs, 'run')} with it: error {digits(one.error, '.2f')} (root mean square, in that "
        "of the true effects), where saying that nothing has an effect has 1 and the mean of the other domains "
        f"{digits(one.mean_error, '.2f')}; by those runs alone {digits(one.direct_error, '.2f')}. Better than both "
        f"trivial answers in {one.better:.0%} of resamples of the rows; 95% are asked for. Intervals are as wide as "
        "left-out rows took."
    )


def trust(study: studies.Study, aggregate: Aggregate) -> None:
    """How well rows that were left out are predicted, and combinations of domains that no run had."""
    found = influence.judgements(state.store(), study, aggregate)
    st.header("Rows from few runs", anchor=False)
    for title, several in (("metric", found.metrics), ("domain", found.domains)):
        rows = [
            {
                f"runs of a new {title}": one.runs,
                "rank correlation": digits(one.rank, ".2f"),
                "from those runs alone": digits(one.direct_rank, ".2f"),
                "error": digits(one.error, ".2f"),
                "alone": digits(one.direct_error, ".2f"),
                "by the mean of other rows": digits(one.mean_error, ".2f"),
                "rows left out": one.rows,
            }
            for one in several
        ]
        if rows:
            st.dataframe(pd.DataFrame(rows), hide_index=True)
    if not found.metrics and not found.domains:
        st.caption("Nothing can be judged yet.")
    else:
        st.caption(ROWS)
    if found.combined is not None:
        combinations(study, found.combined, aggregate)
    for why in found.why:
        st.caption(plain(why))


def combinations(study: studies.Study, found, aggregate: Aggregate) -> None:
    """How runs with much of two domains are predicted from runs without."""
    st.header("Combinations that no run had", anchor=False)
    rows = [
        {
            "much of both": " and ".join(study.domains[place] for place in pair),
            "runs": int(runs),
            "error": digits(error, ".2f"),
            "of as many at random": digits(usual, ".2f"),
        }
        for pair, runs, error, usual in zip(found.pairs, found.runs, found.error, found.usual, strict=True)
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    worse = found.error - found.usual
    average = digits(float(worse.mean()), "+.2f")
    if len(worse) > 1:
        half = ci_half_width(float(worse.std(ddof=1) / np.sqrt(len(worse))))
        average = f"{average} ± {digits(half, '.2f')} (95%)"
    st.caption(
        f"Runs with much of two domains are left out, and predicted from the others: {plain(aggregate.title)}, root "
        f"mean square in standard deviations over runs. On average {average} "
        f"against as many runs left out at random, over {counted(len(worse), 'pair')}."
    )
