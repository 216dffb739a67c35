"""The sidebar's choices that several pages share: surrogate and priorities."""

import contextlib
from dataclasses import replace

import streamlit as st

from dashboard.models.moments import fitted_words
from dashboard.models.progress import progress_of
from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.shared.early import early
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import live
from dashboard.views.shared.moment import follow
from dashboard.views.shared.progress import expected, stages
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from engine.core.short_names import told_apart
from engine.league import FEWEST_RUNS, League
from engine.league.notes import WORDS
from engine.spec.objectives import Aggregate
from engine.studies.measured import aggregate_of
from engine.studies.moments import Moment, moment_of
from engine.surrogates import SURROGATES, title_of
from store import studies

ALL = ""  # no metric has this name


def ask_moment(study: studies.Study, priorities: bool = True) -> Moment:
    """The moment that the page is drawn from, by the surrogate and priorities of the sidebar, kept in the link; its fit
    is None, with the reason shown, before the first. priorities: False where the study's own are used."""
    follow(study)
    name, slot = ask_surrogate(study), st.sidebar.empty()
    moment = moment_of(state.store(), study, priorities_of(study) if priorities else None, name)
    if name is None:
        return replace(moment, fit=None)
    slot.caption(f"{SURROGATES[name].summary} {fitted_words(moment)}")
    warn_if_trivial(moment)
    return moment


def ask_surrogate(study: studies.Study) -> str | None:
    """The surrogate chosen in the sidebar; None, with the reason shown, before the first fit."""
    latest = studies.league(state.store(), study.id)
    if latest is None and study.imported and study.done < FEWEST_RUNS:
        few = f"Too few runs to fit a surrogate ({study.done}); at least {FEWEST_RUNS} are needed."
        nothing_yet(few, study, **{"import": "Import more"})
        early(study)
        return None
    if latest is None:
        nothing_yet(
            "No surrogate has been fitted yet: that takes some finished runs, and a while to fit them. Predictions "
            "appear here as soon as they can be made.",
            study,
            ":material/hourglass_top:",
            runs="Watch the runs",
            studies="To Studies",
        )
        live(lambda: waiting(studies.get(state.store(), study.id)))
        return None
    league = League.from_dict(latest["league"])
    names = [standing.name for standing in league.standings if not standing.problem]
    now = st.session_state.get("surrogate")
    if now == st.session_state.get("surrogate-default"):  # nobody chose another: it moves on with the leaderboard
        now = league.default
    st.session_state["surrogate-default"] = league.default
    if "surrogate" in st.session_state and now in names:
        st.session_state["surrogate"] = now
    else:
        linked = st.query_params.get("surrogate")
        st.session_state["surrogate"] = linked if linked in names else league.default
    titles = {one: title_of(one) + " · default" * (one == league.default) for one in names}
    name = st.sidebar.selectbox(
        "Surrogate",
        names,
        key="surrogate",
        format_func=titles.get,
        help="Sorted by held-out rank correlation. *Leaderboard* says why the default is chosen.",
    )
    st.query_params["surrogate"] = name
    return name


def waiting(study: studies.Study) -> None:
    """How far a study is that has no fit yet, and what its runs tell already."""
    stages(progress := progress_of(state.store(), study))
    if words := expected(progress):
        st.caption(f":material/hourglass_top: {words}")
    early(study)


def warn_if_trivial(moment: Moment) -> None:
    """Say so where the surrogate in use is no better than one share alone."""
    fit = moment.fit
    trivial = next((s for s in fit.league.standings if s.name == "own_share" and not s.problem), None)
    if trivial and fit.name != "own_share" and fit.standing.score <= trivial.score:
        own, other = (digits(one.score, ".2f") for one in (fit.standing, trivial))
        st.warning(
            f"{fit.title} ranks held-out runs no better than one {WORDS[moment.study.kind].value} alone does "
            f"({own} against {other}): it has learned nothing yet. Measure more runs."
        )


def priorities_of(study: studies.Study) -> Aggregate:
    """How much each metric counts: set in the sidebar, kept in the link."""
    own = {one.metric: one.priority for one in study.objectives}
    start = own | parse_priorities(st.query_params.get_all("priorities"), study.metrics)
    labels = dict(zip(study.metrics, named_of(study).metrics, strict=True))
    left_out = not_counted(study.id, labels, start)
    told = plain(f" · {', '.join(left_out)} not counted") if left_out else ""
    with st.sidebar.expander(f"Priorities{told}", key=f"priorities-{study.id}"):
        st.caption("How much each metric counts. No refit needed.")
        titles = told_apart({ALL: "all, weighted as below", **labels})
        only = st.selectbox("Count only", list(titles), format_func=titles.get, key=f"only-{study.id}")
        values = {
            one.metric: st.slider(
                plain(labels[one.metric]) + (" (higher is better)" if one.higher_is_better else ""),
                0.0,
                3.0,
                start[one.metric],
                0.25,
                key=f"priority-{study.id}-{one.metric}",
            )
            for one in study.objectives
        }
    if only != ALL:
        values = {name: float(name == only) for name in labels}
    changed = {name: value for name, value in values.items() if value != own[name]}
    if changed:
        st.query_params["priorities"] = [f"{name}:{value:.15g}" for name, value in changed.items()]
    elif "priorities" in st.query_params:
        del st.query_params["priorities"]
    if not any(values.values()):
        st.sidebar.warning("All priorities are zero, so every metric counts the same.")
        values = dict.fromkeys(values, 1.0)
    aggregate = aggregate_of(state.store(), study, values)
    if aggregate.note:
        st.sidebar.caption(plain(aggregate.note))
    return aggregate


def not_counted(study: str, labels: dict[str, str], start: dict[str, float]) -> list[str]:
    """The titles of the metrics that do not count, as the widgets below stand; labels, start: by metric."""
    if (alone := st.session_state.get(f"only-{study}", ALL)) in labels:
        return [title for name, title in labels.items() if name != alone]
    now = {name: st.session_state.get(f"priority-{study}-{name}", weight) for name, weight in start.items()}
    return [labels[name] for name, weight in now.items() if weight == 0]


def parse_priorities(texts: list[str], metrics: list[str]) -> dict[str, float]:
    """["python:2", "docs:0.5"] -> {"python": 2.0, "docs": 0.5}; anything else is ignored.

    Names may hold commas; links of before hold all in one text, with commas between.
    """
    whole = [text for text in texts if text.rpartition(":")[0] in metrics]
    found = {}
    for part in [*whole, *(part for text in texts if text not in whole for part in text.split(","))]:
        metric, _, value = part.rpartition(":")
        with contextlib.suppress(ValueError):
            if metric in metrics and 0 <= float(value) <= 3:
                found[metric] = float(value)
    return found
