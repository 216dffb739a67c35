"""A page, or a part of one, where nothing is yet: what will be there, and the button that leads on."""

import streamlit as st

from dashboard.views.shared.links import lead
from store import studies


def nothing_yet(
    words: str, study: studies.Study | None = None, icon: str | None = ":material/info:", **ways: str
) -> None:
    """The words, and a button for each way on, the first in colour. ways: path of a page (with _ for -) -> the button's
    label; study: that they are about."""
    st.info(words, icon=icon)
    with st.container(horizontal=True):
        for place, (page, label) in enumerate(ways.items()):
            style = {"type": "secondary" if place else "primary", "icon": ":material/arrow_forward:"}
            lead(label, page.replace("_", "-"), study, {**style, "key": f"way-on-{page}"})
