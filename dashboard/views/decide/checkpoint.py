"""The chosen merge as a checkpoint: written into the workspace by a job, and where it lies then."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.live import live
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import plain
from engine.studies.merges.questions import queue_write
from store import jobs, studies

WRITING = "merge_write"  # the kind of its job


def checkpoint(study: studies.Study, point: np.ndarray, stem: str) -> None:
    """Write the merge at a point (D,), under a name that is at first `stem`, and list what has been written."""
    st.header("Checkpoint", anchor=False)
    what = "a file of weights" if study.spec["fidelity"] else "a folder with weights, configuration and tokenizer"
    st.caption(f"The merged model itself: {what} (safetensors), in the folder exports of the workspace.")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    name = left.text_input("Name", stem[:64], key=f"checkpoint-{study.id}-{stem}")
    if right.button("Write checkpoint", icon=":material/save:", width="stretch", **needs_role("operator")):
        act("checkpoint", lambda: ask(study, point, name))
    show_refusal("checkpoint")
    live(lambda: written(study.id))


def ask(study: studies.Study, point: np.ndarray, name: str) -> None:
    """Queue the writing, unless this merge is there under this name."""
    say_if_there(queue_write(state.store(), study, point, name).already_there)


def written(study: str) -> None:
    """The checkpoints of a study that are being written, and those that are there, with what their jobs said."""
    own = [job for job in jobs.of_study(state.store(), study) if job.kind == WRITING]
    under_way(own, WRITING, "writing")
    for job in own:
        if job.state == "done":
            st.markdown(f":material/check_circle: {plain(job.message or 'Written.')}")
