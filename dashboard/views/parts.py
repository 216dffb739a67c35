"""Parts that several pages share: live fragments, the strip of stages, sentences about what is missing."""

import contextlib
import re
from collections.abc import Callable

import numpy as np
import streamlit as st

from dashboard import queries, state
from engine.candidates import Fit
from engine.candidates import fit_of as fit_of_study
from engine.league import League
from engine.surrogates import SURROGATES
from store import studies

LIVE_SECONDS = 2.0
ICONS = {
    "done": ":material/check_circle:", "running": ":material/autorenew:",
    "waiting": ":material/schedule:", "failed": ":material/error:",
}  # fmt: skip


def plain(text: object) -> str:
    """People's words and paths as they are written: Streamlit reads its texts as Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:<>-])", r"\\\1", str(text))


def refusal(problem: object) -> None:
    """Show why something cannot be done."""
    st.error(plain(problem), icon=":material/error:")


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
    return studies.get(state.store(), name)


def fit_of(study: studies.Study) -> Fit | None:
    """The surrogate chosen in the sidebar (default: the league's), kept in the link; says so before the first fit."""
    latest = studies.league(state.store(), study.id)
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
        "Surrogate", names, key="surrogate",
        format_func=lambda n: SURROGATES[n].title + (" · default" if n == league.default else ""),
        help="Sorted by how well each ranks runs that it has not seen. The default is the plainest of the best.",
    )  # fmt: skip
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


def priorities_of(study: studies.Study) -> np.ndarray:
    """(M,) how much each loss matters, summing to one; turned in the sidebar, kept in the link."""
    own = study.spec["priorities"]
    start = own | parse_priorities(st.query_params.get("priorities", ""), study.domains)
    left_out = [name for name, weight in start.items() if weight == 0]
    with st.sidebar.expander("Priorities" + (f" · {', '.join(left_out)} not counted" if left_out else "")):
        st.caption("How much each domain's loss counts in the mean. Nothing is fitted anew.")
        values = [
            st.slider(domain, 0.0, 3.0, start.get(domain, 1.0), 0.25, key=f"priority-{study.id}-{domain}")
            for domain in study.domains
        ]
    changed = {d: v for d, v in zip(study.domains, values, strict=True) if v != own.get(d, 1.0)}
    if changed:
        st.query_params["priorities"] = ",".join(f"{d}:{v:g}" for d, v in changed.items())
    elif "priorities" in st.query_params:
        del st.query_params["priorities"]
    if not any(values):
        st.sidebar.warning("All priorities are zero: every loss counts the same.")
        values = [1.0] * len(values)
    return np.array(values) / sum(values)


def parse_priorities(text: str, domains: list[str]) -> dict[str, float]:
    """ "python:2,docs:0.5" -> {"python": 2.0, "docs": 0.5}; what does not fit is left out."""
    found = {}
    for part in text.split(","):
        domain, _, value = part.rpartition(":")
        with contextlib.suppress(ValueError):
            if domain in domains and 0 <= float(value) <= 3:
                found[domain] = float(value)
    return found
