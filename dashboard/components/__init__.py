"""The two parts of the page that Streamlit does not have: a chart that keeps its zoom, and a desk of faders.

Both are trusted scripts of our own that get plain data, never markup: names of domains and studies are set as text.
"""

from functools import cache
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from dashboard.server.paths import under

MANY = 8  # faders from which on their tracks are square-root scales (desk.js)
HERE = Path(__file__).parent
PLOTLY = under("/assets/plotly.min.js")


@cache
def _component(name: str):
    html, css = f'<div class="mixdesk-{name}"></div>', (HERE / f"{name}.css").read_text()
    script = (HERE / f"{name}.js").read_text()
    return st.components.v2.component(f"mixdesk_{name}", html=html, css=css, js=script, isolate_styles=False)


def plot(figure: go.Figure, key: str, on_pick=None):
    """Draw a figure in place (`Plotly.react`): zoom, hidden traces and brushes survive new data.

    Returns the component's state: `brush` is {dimension label: [[low, high], ...]} of parallel coordinates,
    `picked` the customdata of the point clicked last (also passed on as a change to `on_pick`).
    """
    return _component("plot")(
        key=key,
        data={"figure": figure.to_json(), "height": figure.layout.height or 400, "plotly": PLOTLY},
        on_brush_change=lambda: None,
        on_picked_change=on_pick or (lambda: None),
        height=figure.layout.height or 400,
    )


def desk(faders: list[dict], key: str, reset: str, giver: int | None = None):
    """A mixing desk: one fader a domain; moving one renormalises the unlocked others in proportion, or the fader
    at the place `giver` alone gives way.

    faders: {"name", "colour", "value", "upper", "mark" (share in the prior), "mark_name", "low", "high"
    (near-optimal range, or None)} each. reset: whenever this text changes, the faders jump to the values given.
    Returns the component's state: `weights` is the list of shares, in the order of the faders, or None.
    """
    data = {"faders": faders, "reset": reset, "giver": giver, "free": False}
    return _component("desk")(key=key, data=data, on_weights_change=lambda: None)


def free_desk(faders: list[dict], key: str, reset: str):
    """A desk on which every fader moves alone, between its own "lower" and "upper"; otherwise as `desk`."""
    data = {"faders": faders, "reset": reset, "giver": None, "free": True}
    return _component("desk")(key=key, data=data, on_weights_change=lambda: None)
