"""The planned runs of an external trainer's study: their files in a loader's format, and how results come back."""

import io
import zipfile

import streamlit as st

from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.choice import choose
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.recipes import FORMATS
from engine.review.designs import export_design
from engine.review.recipe import lengths
from engine.studies.submissions import give_up
from store import reported, studies

ACTS = "design"


def section(study: studies.Study) -> None:
    """How many runs await results, their design to download, and the words that send results."""
    awaited = reported.awaited(state.store(), study.id)
    if not awaited:
        st.caption("No planned run awaits results. *Next runs* proposes more.")
        return
    title = f"{counted(len(awaited), 'run')} to train: files and results"
    with st.expander(title, icon=":material/outbox:", key="design"):
        titles = {name: one.title for name, one in FORMATS.items()}
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        format = choose(left, "Format", titles, "design-format", start="megatron")
        problem = why_not(study, format, awaited[0])
        if problem is not None:
            refusal(problem)
        else:
            right.download_button(
                "Design (zip)",
                lambda: packed(study, format),
                f"{study.id}-{format}.zip",
                "application/zip",
                icon=":material/folder_zip:",
                width="stretch",
            )
        st.caption(
            "A recipe for each run, a manifest with its id, mixture, seed and size, and a client that reports. Results "
            "fill the planned runs by their ids; surrogates are refitted as they come in."
        )
        st.code(
            f"python report/mixdesk_report.py --run {awaited[0]} --metrics loss.json --server {server()}",
            language="sh",
        )
        give_up_some(study, awaited)


def why_not(study: studies.Study, format: str, run: str) -> Problem | None:
    """Why a format cannot hold the design: what it says of the first run."""
    try:
        export_design(state.store(), study, format, [run], lengths=lengths(study, None))
    except Problem as problem:
        return problem
    return None


def packed(study: studies.Study, format: str) -> bytes:
    """The files of all runs that are awaited, as a zip."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in export_design(state.store(), study, format, lengths=lengths(study, None)).items():
            archive.writestr(path, content)
    return found.getvalue()


def server() -> str:
    """The address of this server, as the page was opened: its own without the page's name."""
    return (st.context.url or "http://127.0.0.1:8501/runs").rpartition("/")[0]


def give_up_some(study: studies.Study, awaited: list[str]) -> None:
    """Runs that nobody will train: without them the study is complete."""
    show_refusal(ACTS)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.multiselect("Runs that nobody will train", awaited, key="given-up")
    allowed = needs_role("operator", not chosen)
    if right.button("Give up", icon=":material/cancel:", width="stretch", key="give-up", **allowed):
        act(ACTS, lambda: give_up(state.store(), study.id, chosen))
