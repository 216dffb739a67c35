"""The parts of the page that Streamlit lacks, one file each: a chart that keeps its zoom, a mixing desk, drafts.

All are trusted scripts of our own that get plain data, never markup: names of domains and studies are set as text.
"""

from functools import cache
from pathlib import Path

import streamlit as st

from dashboard.server.paths import under

HERE = Path(__file__).parent
PLOTLY = under("/assets/plotly.min.js")


@cache
def component(name: str, *parts: str):
    """The component of `name`.js, with other scripts before it that it needs; one with a `name`.css draws, in an
    element of the class mixdesk-`name`."""
    script = "\n".join((HERE / f"{one}.js").read_text() for one in (*parts, name))
    style = HERE / f"{name}.css"
    drawn = {"html": f'<div class="mixdesk-{name}"></div>', "css": style.read_text()} if style.exists() else {}
    return st.components.v2.component(f"mixdesk_{name}", js=script, isolate_styles=False, **drawn)
