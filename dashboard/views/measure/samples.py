"""On the page Tasks: samples of a harness, item by item, join the runs of an imported study."""

import streamlit as st

from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.importing.harness_samples import samples_in
from engine.studies.harness_samples import add_samples
from store import studies


def ask(study: studies.Study) -> None:
    """A folder of samples, and the button that adds them."""
    with st.expander("Add samples of a harness", icon=":material/upload_file:"):
        st.caption(
            "What lm-evaluation-harness (samples_….jsonl) or lighteval (details_….parquet) kept of single items: a "
            "folder that holds one folder for each run, called after it. The items then stand below, with the answers "
            "of two runs side by side."
        )
        files = st.file_uploader("Folder", accept_multiple_files="directory", type=["jsonl", "parquet"])
        private = st.checkbox("Private", key="samples-private", help="None of the items' text is shown.")
        if st.button("Add samples", icon=":material/add:", **needs_role("operator", not files)):
            try:
                found, left = samples_in(((one.name, one.getvalue()) for one in files), "these files")
                told = add_samples(state.store(), study, found, private)
            except Problem as problem:
                refusal(problem)
                return
            said = ", ".join(f"{name} of {counted(count, 'run')}" for name, count in told["tasks"].items())
            st.success(plain(" ".join([f"Added: {said}.", *told["notes"]])))
            for words in left:
                st.warning(plain(words), icon=":material/rule:")
