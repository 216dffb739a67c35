"""A chart that is drawn in place, so that zoom, hidden traces and brushes survive new data."""

import plotly.graph_objects as go

from dashboard.components import PLOTLY, component


def plot(figure: go.Figure, key: str, narrowest: int = 0):
    """Draw a figure in place (`Plotly.react`).

    narrowest: pixels below which the figure is not squeezed: a narrower window scrolls it sideways.

    Returns the component's state: `brush` is {dimension name: [[low, high], ...]} of parallel coordinates.
    """
    return component("plot")(
        key=key,
        data={
            "figure": figure.to_json(),
            "height": figure.layout.height or 400,
            "narrowest": narrowest,
            "plotly": PLOTLY,
        },
        on_brush_change=lambda: None,
    )
