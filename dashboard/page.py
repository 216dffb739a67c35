"""The page's frame: title, navigation, the study that all pages are about. What is on a page is in views/."""

import streamlit as st

from dashboard.server import state
from dashboard.views.account import notices, sign_in, tokens
from dashboard.views.decide import candidates, export, review
from dashboard.views.measure import corpus, importing, jobs, runs, studies
from dashboard.views.shared import study as parts
from dashboard.views.understand import confirm, explore, league, next_runs, search
from engine.core.errors import Problem
from store import studies as studies_in

st.set_page_config(page_title="Mixdesk", layout="wide")
person = sign_in.gate()
# Images are served to those who have signed in.
st.set_page_config(page_icon="dashboard/icon.png")

SECTIONS = {
    "Measure": ("studies", "corpus", "import", "runs", "jobs"),
    "Understand": ("explore", "league", "search", "next-runs", "confirm"),
    "Decide": ("candidates", "review", "export", "tokens"),
}
PAGES = {
    "studies": ("Studies", ":material/experiment:", studies),
    "corpus": ("Corpus", ":material/library_books:", corpus),
    "import": ("Import", ":material/upload_file:", importing),
    "runs": ("Runs", ":material/timeline:", runs),
    "jobs": ("Jobs", ":material/memory:", jobs),
    "explore": ("Explore", ":material/instant_mix:", explore),
    "league": ("League", ":material/leaderboard:", league),
    "search": ("Search", ":material/travel_explore:", search),
    "next-runs": ("Next runs", ":material/next_plan:", next_runs),
    "confirm": ("Confirm", ":material/verified:", confirm),
    "candidates": ("Candidates", ":material/how_to_vote:", candidates),
    "review": ("Review", ":material/co_present:", review),
    "export": ("Export", ":material/ios_share:", export),
    "tokens": ("API tokens", ":material/key:", tokens),
}


def chosen_study() -> str | None:
    """The study in the link, or the newest of mixtures; chosen in the sidebar."""
    found = studies_in.all_studies(state.store())
    if not found:
        return None
    names = {study.id: study.name for study in found}
    if (
        "next_study" in st.session_state
    ):  # a page asked for another study; widgets can be set only before they are drawn
        st.session_state["study"] = st.session_state.pop("next_study")
    if st.session_state.get("study") not in names:
        linked = st.query_params.get("study")
        if linked is not None and linked not in names:
            st.sidebar.warning(f"The link names a study that is not here: {parts.plain(linked)}")
        newest = next((one for one in found if not one.spec.get("merge")), found[0])
        st.session_state["study"] = linked if linked in names else newest.id
    with st.sidebar:
        study = st.selectbox("Study", list(names), format_func=names.get, key="study")
    st.query_params["study"] = study
    return study


def shown(view):
    """A page's function: what people can mend is a sentence, not a traceback."""

    def run():
        try:
            view.render(study)
        except Problem as problem:
            parts.refusal(problem)

    return run


st.logo("dashboard/logo.svg", size="large")
study = chosen_study()
trouble = state.owner().trouble
if trouble:
    parts.refusal(
        f"What workers measure cannot be stored at the moment: {trouble}. Nothing is lost; it is tried again."
    )
parts.live(notices.toast)
pages = {
    path: st.Page(shown(view), title=title, icon=icon, url_path=path, default=path == "studies")
    for path, (title, icon, view) in PAGES.items()
}
st.session_state["pages"] = pages  # for views that lead on to another page
st.navigation({name: [pages[path] for path in paths] for name, paths in SECTIONS.items()}, expanded=True).run()
sign_in.badge(person)
