"""The figure of the ledger: how far measured runs lay from what was predicted of them."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, FAINT, GOOD, escape, figure
from engine.spec.statistics import Z95


def deviations(names: list[str], off: list[np.ndarray], labels: list[list[str]]) -> go.Figure:
    """Measured minus predicted in standard deviations, a row of points for each name; labels: of each point.

    The band is the 95% interval. Points to its right measured worse than predicted.
    """
    reach = max(2.4, 1.1 * max(np.abs(values).max() for values in off))  # the band's ends are always seen
    axis = {"title": {"text": "measured minus predicted, in standard deviations of the prediction"}}
    fig = figure(90 + 34 * len(names), xaxis={**axis, "range": [-reach, reach]})
    fig.add_vrect(x0=-Z95, x1=Z95, fillcolor=FAINT, opacity=0.4, line_width=0)
    for name, values, texts in zip(names, off, labels, strict=True):
        fig.add_scatter(
            x=values,
            y=[escape(name)] * len(values),
            mode="markers",
            marker={"size": 8, "opacity": 0.7, "color": [BAD if x > Z95 else GOOD for x in values]},
            text=[escape(one) for one in texts],
            hovertemplate="%{text}: %{x:+.2f}<extra></extra>",
        )
    return fig.update_yaxes(autorange="reversed", type="category")
