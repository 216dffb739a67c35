"""The page's frame: title, navigation, and the study that all pages are about. The pages are listed in views/."""

from pathlib import Path

import streamlit as st

from dashboard.server import state
from dashboard.views import ANY, FORMER, MIXTURE, PAGES, Page, pages_for
from dashboard.views.account import notices, sign_in
from dashboard.views.shared import help, presence, tour
from dashboard.views.shared.dialogs import none_is_open
from dashboard.views.shared.links import parameters
from dashboard.views.shared.live import live
from dashboard.views.shared.refused import forget_refusals, refusing
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import ask_unit
from engine.core.short_names import told_apart
from store import studies

st.set_page_config(page_title="Mixdesk", layout="wide")
none_is_open()
st.html(Path(__file__).with_name("style.css"))
st.html(f"<script>{Path(__file__).with_name('page.js').read_text()}</script>", unsafe_allow_javascript=True)
person = sign_in.gate()
presence.arrive()
# Images are served to those who have signed in.
st.set_page_config(page_icon="dashboard/icon.png")


def chosen_study() -> studies.Study | None:
    """The study in the link, or the newest of mixtures; chosen in the sidebar, which lists no archived ones."""
    everything = studies.all_studies(state.store())
    opened = {st.session_state.get("next_study"), st.session_state.get("study"), st.query_params.get("study")}
    listed = sorted(everything, key=lambda one: not one.pinned)
    found = {one.id: one for one in listed if not one.archived or one.id in opened}
    if not found:
        return None
    if "next_study" in st.session_state:  # from another page: a widget is set only before it is drawn
        st.session_state["study"] = st.session_state.pop("next_study")
    if st.session_state.get("study") not in found:
        linked = st.query_params.get("study")
        if linked is not None and linked not in found:
            st.warning(f"No study here has the id in this link: {plain(linked)}")
        newest = next((one for one in found.values() if one.kind == MIXTURE), next(iter(found.values())))
        st.session_state["study"] = linked if linked in found else newest.id
    with st.sidebar:
        titles = told_apart({one: study.name for one, study in found.items()})
        name = st.selectbox("Study", list(found), format_func=titles.get, key="study")
        ask_unit(found[name])
    st.query_params["study"] = name
    return found[name]


def shown(page: Page):
    """A page's function: what people can fix is a sentence, not a traceback."""

    def run():
        if page.kind not in (ANY, kind):
            st.title(page.title)
            st.info(OTHER_KIND)
            if st.button("Search for merges", type="primary", icon=":material/travel_explore:"):
                st.switch_page(pages["search"], query_params={"study": study.id})
            return
        refusing(page.function())(study and study.id)

    return run


OTHER_KIND = (
    "This page is for mixture studies. Measuring a merge takes a moment, so *Search* picks and measures the next "
    "merges itself, and a candidate is confirmed on its own page, on all validation text."
)


def redirect(path: str):
    """The function of a page that has another path today."""
    return lambda: st.switch_page(pages[path], query_params=parameters())


st.logo("dashboard/logo.svg", size="large")
study = chosen_study()
kind = study.kind if study else MIXTURE
if trouble := state.owner().trouble:
    refusal(f"New measurements cannot be stored right now: {trouble}. Nothing is lost: Mixdesk keeps trying.")
live(notices.show)
pages, sections = {}, {}
for path, page in pages_for(kind).items():
    icon = f":material/{page.icon}:"
    first = not pages  # it is served at /; its own path leads there
    place = {"url_path": "" if first else path, "default": first}
    place["visibility"] = "visible" if page.kind in (ANY, kind) else "hidden"  # links to it still say why
    pages[path] = st.Page(shown(page), title=page.title, icon=icon, **place)
    sections.setdefault(page.section, []).append(pages[path])
for path, today in {**FORMER, PAGES[0].path: PAGES[0].path}.items():
    sections[page.section].append(st.Page(redirect(today), title=path, url_path=path, visibility="hidden"))
st.session_state["pages"] = pages  # for views that lead on to another page
opened = st.navigation(sections, expanded=True)
forget_refusals(opened.url_path)
tour.show(kind, pages, opened.url_path or PAGES[0].path)
opened.run()
help.listen({path: page.title for path, page in pages_for(kind).items()}, study)
sign_in.badge(person)
presence.settle(opened.url_path or PAGES[0].path)
presence.sidebar()
