"""Parts that several pages share: live fragments, the strip of stages, sentences about what is missing."""

import contextlib
import re
from collections.abc import Callable

import numpy as np
import streamlit as st

from dashboard.models import progress as queries
from dashboard.models.names import Named, named
from dashboard.models.wording import number  # noqa: F401
from dashboard.server import state
from engine.core.errors import Problem
from engine.core.people import acting, allows
from engine.league import FEWEST_RUNS, League
from engine.spec.objectives import Aggregate
from engine.spec.study import StudySpec
from engine.studies import lifecycle
from engine.studies.fits import Fit
from engine.studies.fits import fit_of as fit_of_study
from engine.studies.measured import aggregate_of
from engine.surrogates import SURROGATES
from store import jobs, studies

LIVE_SECONDS, WATCH_SECONDS = 2.0, 1.0
SUPPORT = {
    "measured": ":green-badge[:material/verified: measured]",
    "interpolated": ":blue-badge[:material/conversion_path: interpolated]",
    "extrapolated": ":orange-badge[:material/explore: extrapolated]",
}
ICONS = {
    "done": ":material/check_circle:",
    "running": ":material/autorenew:",
    "waiting": ":material/schedule:",
    "failed": ":material/error:",
}
# Of the states of a candidate.
BADGES = {
    "open": ":blue-badge[:material/forum: open]",
    "approved": ":green-badge[:material/verified: approved]",
    "rejected": ":red-badge[:material/block: rejected]",
    "superseded": ":gray-badge[:material/history: superseded]",
}


def plain(text: object) -> str:
    """People's words and paths as they are written: Streamlit reads its texts as Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:<>-])", r"\\\1", str(text))


def named_as(text: str) -> str:
    """A name inside a sentence: as it is written, and marks that turn the direction of writing end with it."""
    return f"\u2068{plain(text)}\u2069"


def refusal(problem: object) -> None:
    """Show why something cannot be done."""
    st.error(plain(problem), icon=":material/error:")


def takes(role: str, disabled: bool = False) -> dict:
    """What a button gets that only a role may press: disabled, with the reason, for everybody else."""
    person = acting()
    if allows(person, role):
        return {"disabled": disabled}
    return {"disabled": True, "help": f"This takes the role {role}. You are signed in as a {person.role}."}


def start_button(spec: StudySpec) -> None:
    """The button that creates a study and opens it, or says why it cannot be."""
    if st.button("Start", type="primary", icon=":material/play_arrow:", **takes("operator")):
        try:
            st.session_state["next_study"] = lifecycle.create(state.store(), spec)
        except Problem as problem:
            refusal(problem)
            return
        st.rerun()


def live(draw: Callable[[], None]) -> None:
    """Draw a part of the page; redraw it every two seconds while jobs run, and the whole page once they have ended.

    Nothing polls while nothing runs.
    """
    busy = state.busy()

    @st.fragment(run_every=LIVE_SECONDS if busy else None)
    def part():
        if busy and not state.busy():
            st.rerun()
        draw()

    part()


def watch(look: Callable[[], object]) -> None:
    """Draw the page anew within about a second of a change in what `look` gives: somebody else acted."""
    seen = look()

    @st.fragment(run_every=WATCH_SECONDS)
    def part():
        if look() != seen:
            st.rerun()

    part()


def stages(progress: queries.Progress) -> None:
    """The strip corpus - proxies - surrogates - search."""
    for column, stage in zip(st.columns(len(progress.stages)), progress.stages, strict=True):
        with column:
            st.markdown(f"{ICONS[stage.state]} **{stage.name}**")
            st.progress(min(1.0, stage.share))
            st.caption(stage.note or " ")


def expected(progress: queries.Progress) -> str:
    """When answers are expected, in a few words; empty when there is nothing to wait for or no speed yet."""
    if progress.finished or progress.end is None:
        return ""
    first = f"first answers in about {duration(progress.first_answer)}, " if progress.first_answer else ""
    return f"{first}all done in about {duration(progress.end)}"


def duration(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5):.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def study_of(name: str | None) -> studies.Study | None:
    """The study a page is about; says so where there is none."""
    if name is None:
        st.info("There is no study yet. Start one on the page Studies.", icon=":material/info:")
        return None
    study = studies.get(state.store(), name)
    if too_few(study):
        st.warning(too_few(study))
    return study


def under_way(own: list[jobs.JobRow], kind: str, word: str) -> None:
    """How far the jobs of a kind are, and why those that failed did."""
    for job in own:
        if job.kind == kind and job.state in jobs.UNFINISHED:
            words = f"{word}: {job.note or 'waits for its turn'}" + (" (paused)" if job.state == "paused" else "")
            st.progress(min(1.0, (job.done or 0) / (job.total or 1)), text=plain(words))
        elif job.kind == kind and job.state == "failed":
            refusal(job.message)


def is_merge(study: studies.Study) -> bool:
    """Whether it is a study of merges; says where to go on with those."""
    if not study.spec.get("merge"):
        return False
    st.info(
        "This study turns merges, and measuring one takes a moment: searches on the page Search choose and measure the "
        "next merges by themselves, and a candidate is confirmed on its own page, on all validation text."
    )
    return True


def too_few(study: studies.Study) -> str:
    """A warning where the finished runs are fewer than the domains; empty otherwise, and before there are any."""
    domains = len(study.domains)
    if not 0 < study.done < domains or study.open:
        return ""
    return (
        f"Fewer runs ({study.done}) than domains ({domains}): what is predicted here is little better than a guess, "
        f"and no mixture can be called better. {3 * (domains + 1)} runs are enough for the smooth laws."
    )


def fit_of(study: studies.Study) -> Fit | None:
    """The surrogate chosen in the sidebar (default: the league's), kept in the link; says so before the first fit."""
    latest = studies.league(state.store(), study.id)
    if latest is None and study.imported and study.done < FEWEST_RUNS:
        st.info(f"Nothing can be fitted to so few runs ({study.done}): {FEWEST_RUNS} are the fewest. Import more.")
        return None
    if latest is None:
        st.info(
            "No surrogate is fitted yet: the first one needs a few finished runs. The page Studies says when the first "
            "answers are expected.",
            icon=":material/hourglass_top:",
        )
        live(lambda: stages(queries.progress(state.store(), studies.get(state.store(), study.id))))
        return None
    league = League.from_dict(latest["league"])
    names = [standing.name for standing in league.standings if not standing.problem]
    if st.session_state.get("surrogate") not in names:
        linked = st.query_params.get("surrogate")
        st.session_state["surrogate"] = linked if linked in names else league.default
    name = st.sidebar.selectbox(
        "Surrogate",
        names,
        key="surrogate",
        format_func=lambda n: SURROGATES[n].title + (" · default" if n == league.default else ""),
        help="Sorted by how well each ranks runs that it has not seen. The default is the plainest of the best.",
    )
    st.query_params["surrogate"] = name
    fit = fit_of_study(state.store(), study, name)
    left_out = f", {diverged} diverged and left out" if (diverged := study.counts.get("diverged")) else ""
    st.sidebar.caption(f"{SURROGATES[name].summary} Fitted on {len(fit.measured.ids)} runs{left_out}.")
    standing = fit.league[name]
    trivial = next((s for s in league.standings if s.name == "own_share" and not s.problem), None)
    if trivial and name != "own_share" and standing.score <= trivial.score:
        st.warning(
            f"{SURROGATES[name].title} ranks unseen runs no better than the domain's own share alone "
            f"({standing.score:.2f} against {trivial.score:.2f}): it has learned nothing yet. Train more runs."
        )
    return fit


def the(baseline: str) -> str:
    """A baseline as a sentence names it."""
    return f"the {baseline} mixture" if baseline in ("natural", "uniform", "unimax") else f"the {baseline}"


def named_of(study: studies.Study) -> Named:
    """What the study's domains and metrics are called on the page."""
    return named(study.domains, study.objectives)


def priorities_of(study: studies.Study) -> Aggregate:
    """How much each metric counts; turned in the sidebar, kept in the link. Nothing is fitted anew."""
    own = {one.metric: one.priority for one in study.objectives}
    start = own | parse_priorities(st.query_params.get("priorities", ""), study.metrics)
    labels = dict(zip(study.metrics, named_of(study).metrics, strict=True))
    left_out = [labels[name] for name, weight in start.items() if weight == 0]
    with st.sidebar.expander("Priorities" + (plain(f" · {', '.join(left_out)} not counted") if left_out else "")):
        st.caption("How much each metric counts. Nothing is fitted anew.")
        only = st.selectbox("Count only", ["all, as set below", *labels.values()], key=f"only-{study.id}")
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
    if only in labels.values():
        values = {name: float(label == only) for name, label in labels.items()}
    changed = {name: value for name, value in values.items() if value != own[name]}
    if changed:
        st.query_params["priorities"] = ",".join(f"{name}:{value:g}" for name, value in changed.items())
    elif "priorities" in st.query_params:
        del st.query_params["priorities"]
    if not any(values.values()):
        st.sidebar.warning("All priorities are zero: every metric counts the same.")
        values = dict.fromkeys(values, 1.0)
    whole = aggregate_of(state.store(), study, values)
    if whole.note:
        st.sidebar.caption(whole.note)
    return whole


def priorities_asked(whole: Aggregate) -> dict[str, float]:
    """Priorities as a search writes them down: relative to the largest, those that are it left out."""
    top = max(whole.priorities.values())
    return {name: round(value / top, 4) for name, value in whole.priorities.items() if value != top}


def set_faders(study: studies.Study, shares: np.ndarray) -> None:
    """Set the desk of Explore to a mixture (D,), and say so."""
    st.session_state[f"mix-{study.id}"] = np.asarray(shares, float).tolist()
    st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    st.toast("The faders on Explore stand at this mixture.")


def metrics_of_one_unit(study: studies.Study, key: str, most: int | None = None) -> tuple[list[int], str]:
    """The places of the metrics that a chart with one axis can show, and their unit; asked for where there are several.

    most: where there are more metrics than this, which ones is asked for as well.
    """
    units = list(dict.fromkeys(one.unit for one in study.objectives))
    unit = units[0]
    if len(units) > 1:
        unit = st.pills("Unit", units, default=unit, format_func=plain, key=f"unit-{key}", required=True)
    places = [place for place, one in enumerate(study.objectives) if one.unit == unit]
    if most is None or len(places) <= most:
        return places, unit
    names = named_of(study).metrics
    first = sorted(places, key=lambda place: -study.objectives[place].priority)[:most]
    chosen = st.multiselect(
        "Metrics", places, default=sorted(first), format_func=lambda place: names[place], key=f"metrics-{key}-{unit}"
    )
    return chosen or first[:1], unit


def parse_priorities(text: str, metrics: list[str]) -> dict[str, float]:
    """ "python:2,docs:0.5" -> {"python": 2.0, "docs": 0.5}; what does not fit is left out."""
    found = {}
    for part in text.split(","):
        metric, _, value = part.rpartition(":")
        with contextlib.suppress(ValueError):
            if metric in metrics and 0 <= float(value) <= 3:
                found[metric] = float(value)
    return found
