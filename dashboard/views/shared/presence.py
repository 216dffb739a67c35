"""Who else is here and where, following somebody, and the link to a room: in the sidebar and in Review.

Following leads to the page, study, candidate and faders of somebody, whenever these change, until whoever follows goes
elsewhere or stops. A link with `follow=<name>` begins to follow at once.
"""

from urllib.parse import urlencode

import numpy as np
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.components import tab
from dashboard.server import state
from dashboard.server.presence import ROOM, Place, Visitor
from dashboard.views.shared.faders import in_link, set_desk
from dashboard.views.shared.links import parameters
from dashboard.views.shared.refused import refusing
from dashboard.views.shared.text import named_as, plain
from engine.core.errors import Problem
from engine.core.people import acting
from engine.review.acts import NAME

SIDEBAR = "sidebar"
COMPANY, ALONE = 2.0, 30.0  # seconds between signs: until others see a move, and until one who was alone sees others
NEAR = 0.005  # of a fader: what a desk rounds
NAME_KEY, HERE, FOLLOWING, LED_TO, LEFT = "visitor-name", "visitor-page", "following", "led-to", "left-following"
SAME = ("study", "candidate", "vote", "compare")  # parameters that say where one is


def arrive() -> None:
    """To be said before a page is drawn: a link to a room begins to follow."""
    if name := st.query_params.get("follow"):
        del st.query_params["follow"]
        st.session_state[FOLLOWING] = name[:NAME]
        st.session_state.pop(LED_TO, None)


def remembered() -> None:
    """A tab that was reloaded, or whose server was started again, is who it was and follows whom it followed; a link to
    another room comes first."""
    kept = (st.session_state.get(tab.KEY) or {}).get("kept") or {}
    name, following = (str(kept.get(one) or "")[:NAME] for one in ("name", "following"))
    if name and state.access() is None:  # it is no other's: a second tab of that name is the same person's
        st.session_state[NAME_KEY] = name
        ROOM.rename(session(), name)
    if following and FOLLOWING not in st.session_state:
        st.session_state[FOLLOWING] = following


def session() -> str:
    """Streamlit's id of the session."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def my_name() -> str:
    """Who has signed in; where nobody does, the chosen name."""
    if state.access() is not None:
        return acting().name
    if NAME_KEY not in st.session_state:
        st.session_state[NAME_KEY] = ROOM.free_name(session(), acting().name)
    return st.session_state[NAME_KEY]


def sign() -> Place:
    """Tell the room where this tab is."""
    here = Place(st.session_state.get(HERE, ""), parameters())
    ROOM.sign(session(), my_name(), here)
    return here


def settle(page: str) -> None:
    """To be said once a page is drawn: where one is now, which ends following where one went there by oneself."""
    st.session_state[HERE] = page
    st.session_state.pop(LEFT, None)
    here, led = sign(), st.session_state.get(LED_TO)
    if st.session_state.get(FOLLOWING) and led is not None and strayed(here, led):
        stop(f"You left that page, so you no longer follow {st.session_state[FOLLOWING]}.")


def strayed(here: Place, led: Place) -> bool:
    """Whether a place is another than the one that one was led to."""
    if here.page != led.page or any(led.first(one) and here.first(one) != led.first(one) for one in SAME):
        return True
    mixes = [in_link(one.first("mix"), one.first("mix").count(",") + 1) for one in (here, led)]
    if None in mixes or len(mixes[0]) != len(mixes[1]):
        return False
    return bool(np.abs(np.subtract(*mixes)).max() > NEAR)


def stop(why: str = "") -> None:
    """Follow nobody from now on."""
    st.session_state.pop(FOLLOWING, None), st.session_state.pop(LED_TO, None)
    if why:
        st.session_state[LEFT] = why


def sidebar() -> None:
    """Who else is here, in small, and whom one follows."""
    with st.sidebar:
        others(SIDEBAR)
        tab.keep(session(), my_name(), st.session_state.get(FOLLOWING), remembered)


def others(where: str) -> None:
    """Initials of everybody else, with their page in the tooltip; a click follows them. The page of somebody who is
    alone asks for news twice a minute, so that an idle one costs next to nothing."""

    @st.fragment(run_every=COMPANY if in_company() else ALONE)
    @refusing
    def part() -> None:
        try:
            sign()
        except Problem:  # the sign-in has ended, which the next click says
            return
        show(where, ROOM.others(session(), my_name()))

    part()


def in_company() -> bool:
    """Whether somebody else is here, or was, whom one follows."""
    return FOLLOWING in st.session_state or bool(ROOM.others(session(), my_name()))


def show(where: str, there: list[Visitor]) -> None:
    """Who is here, and in the sidebar whom one follows."""
    if where == SIDEBAR:
        lead(there)
    if not there:
        return
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.caption("Here", width="content")
    for one in there:
        if row.button(initials(one.name), key=f"{where}-follow-{one.name}", help=plain(looks_at(one))):
            st.session_state.pop(LEFT, None), st.session_state.pop(LED_TO, None)
            st.session_state[FOLLOWING] = one.name
            go(one.place)


def lead(there: list[Visitor]) -> None:
    """Say whom one follows, and go where they went."""
    if why := st.session_state.get(LEFT):
        st.caption(plain(why))
    if (name := st.session_state.get(FOLLOWING)) is None:
        return
    leader = next((one for one in there if one.name == name), None)
    said = f"Following {named_as(name)}" if leader else f"{named_as(name)} is not here"
    st.caption(f":material/co_present: {said}")
    if st.button("Stop following", key="stop-following", icon=":material/close:"):
        stop()
        st.rerun()
    if leader and leader.place.page and leader.place != st.session_state.get(LED_TO):
        go(leader.place)


def go(place: Place) -> None:
    """To where somebody else is: their page, study, and faders, with every choice in their link."""
    st.session_state[LED_TO] = place
    pages, study = st.session_state["pages"], place.first("study")
    if place.page not in pages:
        return
    if study:
        st.session_state["next_study"] = study
    mix = place.first("mix")
    key = f"mix-{study}"
    if mix and key in st.session_state and (point := in_link(mix, len(st.session_state[key]))):
        set_desk(key, np.array(point))
    st.switch_page(pages[place.page], query_params=place.query)


def initials(name: str) -> str:
    """Up to two letters of a name or an e-mail's."""
    words = [word for word in name.partition("@")[0].replace(".", " ").replace("-", " ").split() if word[:1].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def looks_at(one: Visitor) -> str:
    """Where somebody is, in words."""
    page = st.session_state["pages"].get(one.place.page)
    return f"{one.name} is viewing {page.title if page else 'a page'}. Click to follow."


def room() -> None:
    """For Review: who is here, one's own name where nobody signs in, and the link by which others follow."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="room-link"):
        with st.popover("Copy link to this room", icon=":material/link:"):
            st.markdown("Whoever opens it sees what you see, and follows you until they go elsewhere.")
            query = {**parameters(), "follow": my_name()}
            st.code(f"{st.context.url}?{urlencode(query, doseq=True)}", language=None, wrap_lines=True)
        if state.access() is None:
            with st.popover(plain(f"Here as {my_name()}"), icon=":material/badge:"):
                st.text_input("Your name", value=my_name(), max_chars=NAME, key="new-name", on_change=rename)
                st.caption("For who else is here. Votes and comments are those of this machine's user.")
    others("review")


def rename() -> None:
    """Take the typed name, if any."""
    if name := " ".join(st.session_state["new-name"].split()):
        st.session_state[NAME_KEY] = ROOM.free_name(session(), name)
        ROOM.rename(session(), st.session_state[NAME_KEY])
