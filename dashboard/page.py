"""The page's frame: title, navigation, and the study that all pages are about. The pages are listed in views/."""

import streamlit as st

from dashboard.server import state
from dashboard.views import ANY, FORMER, MIXTURE, PAGES, Page, pages_for
from dashboard.views.account import notices, sign_in
from dashboard.views.shared.live import live
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from store import studies

st.set_page_config(page_title="Mixdesk", layout="wide")
person = sign_in.gate()
# Images are served to those who have signed in.
st.set_page_config(page_icon="dashboard/icon.png")


def chosen_study() -> studies.Study | None:
    """The study in the link, or the newest of mixtures; chosen in the sidebar."""
    found = {study.id: study for study in studies.all_studies(state.store())}
    if not found:
        return None
    if "next_study" in st.session_state:  # from another page: a widget is set only before it is drawn
        st.session_state["study"] = st.session_state.pop("next_study")
    if st.session_state.get("study") not in found:
        linked = st.query_params.get("study")
        if linked is not None and linked not in found:
            st.sidebar.warning(f"No study here has the id in this link: {plain(linked)}")
        newest = next((one for one in found.values() if one.kind == MIXTURE), next(iter(found.values())))
        st.session_state["study"] = linked if linked in found else newest.id
    with st.sidebar:
        titles = told_apart({one: study.name for one, study in found.items()})
        name = st.selectbox("Study", list(found), format_func=titles.get, key="study")
    st.query_params["study"] = name
    return found[name]


def shown(page: Page):
    """A page's function: what people can fix is a sentence, not a traceback."""

    def run():
        if page.kind not in (ANY, kind):
            st.title(page.title)
            st.info(OTHER_KIND)
            return
        try:
            page.function()(study and study.id)
        except Problem as problem:
            refusal(problem)

    return run


OTHER_KIND = (
    "This page is for mixture studies. Measuring a merge takes a moment, so *Search* picks and measures the next "
    "merges itself, and a candidate is confirmed on its own page, on all validation text."
)


def redirect(path: str):
    """The function of a page that has another path today."""
    return lambda: st.switch_page(pages[path], query_params=st.query_params.to_dict())


st.logo("dashboard/logo.svg", size="large")
study = chosen_study()
kind = study.kind if study else MIXTURE
if trouble := state.owner().trouble:
    refusal(f"New measurements cannot be stored right now: {trouble}. Nothing is lost: Mixdesk keeps trying.")
live(notices.toast)
pages, sections = {}, {}
for path, page in pages_for(kind).items():
    icon = f":material/{page.icon}:"
    first = not pages  # it is served at /; its own path leads there
    pages[path] = st.Page(shown(page), title=page.title, icon=icon, url_path="" if first else path, default=first)
    sections.setdefault(page.section, []).append(pages[path])
for path, today in {**FORMER, PAGES[0].path: PAGES[0].path}.items():
    sections[page.section].append(st.Page(redirect(today), title=path, url_path=path, visibility="hidden"))
st.session_state["pages"] = pages  # for views that lead on to another page
st.navigation(sections, expanded=True).run()
sign_in.badge(person)
