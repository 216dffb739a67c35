"""The house style of figures: colours of meaning, axes, empty figures, escaped labels.

Backgrounds are transparent and the text colour is set in the browser, so figures fit the light and the dark page.
"""

import html
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas  # noqa: F401 - plotly looks into it once any thread has begun to import it: it must be there in full
import plotly.graph_objects as go

LABEL = 20  # characters of a line of a name beside a chart
MANY = 10  # domains or metrics from which on charts are laid out for many
INK, FAINT, GRID = "#8a8279", "rgba(138,130,121,0.35)", "rgba(138,130,121,0.18)"
TEXT, GROUND, BEST = "var(--st-text-color)", "var(--st-background-color)", "var(--mixdesk-best)"  # plot.js has them
LEVELS = "levels"  # in a figure's `meta`: which of its axes have losses themselves, not differences (units.py)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of lines, so that none needs its colour
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "hexagon")  # of points, to the same end
GOOD, BAD = "#0c8599", "#d9480f"  # lower and higher loss
DIVERGING = [[0, GOOD], [0.5, "rgba(138,130,121,0.06)"], [1, BAD]]
LOSS_SCALE = [[0, "#0b3d4a"], [0.35, "#0c8599"], [0.7, "#e8c27a"], [1, "#d9480f"]]  # of areas
LINES_SCALE = [[0, BEST], *LOSS_SCALE[1:]]  # of lines: the best ones must stand out from either ground
AXIS = {
    "gridcolor": GRID,
    "zerolinecolor": FAINT,
    "linecolor": FAINT,
    "ticks": "",
    "ticklabelstandoff": 4,
    "automargin": True,
}

# The house style as a template: plotly checks it once, not for every figure.
HOUSE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13},
        "xaxis": AXIS,
        "yaxis": AXIS,
        "margin": {"l": 10, "r": 14, "t": 30, "b": 10},
        "hovermode": "closest",
        "showlegend": False,
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "maxheight": 0.9,
            "traceorder": "normal",  # bands would turn it round
        },
    }
)


def figure(height: int, **layout) -> go.Figure:
    """An empty figure in the house style."""
    return go.Figure(layout=go.Layout(template=HOUSE, height=height, **layout))


def triangle(names: Sequence[str]) -> dict:
    """The layout of a ternary plot with these corners: room for their names, of which half stands beyond each."""
    corner = {"gridcolor": GRID, "linecolor": FAINT, "tickformat": ".0%", "ticks": ""}
    corner["tickvals"] = [0.2, 0.4, 0.6, 0.8]  # at the corners those of two sides would lie upon each other
    titles = short_labels(names)
    axes = {f"{k}axis": {**corner, "title": {"text": title}} for k, title in zip("abc", titles, strict=True)}
    _, left, right = (30 + 4 * max(map(len, title.split("<br>"))) for title in titles)
    return {
        "ternary": {"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes},
        "margin": {"l": left, "r": right, "t": 50, "b": 50},
    }


def oriented(scale: list, better: str) -> list:
    """A colour scale for losses, reversed if higher is better."""
    return scale if better == "lower" else [[1 - at, colour] for at, colour in scale[::-1]]


def dash(place: int) -> str:
    """The dash of a chart's line by its place."""
    return DASHES[place % len(DASHES)]


def add_metrics(fig: go.Figure, metrics: list[str], colours, x: np.ndarray, y: np.ndarray, labels, axes) -> go.Figure:
    """Add one point per run and metric, x and y (R, M), to a figure. axes: the words for x and y in a point's text."""
    for m, metric in enumerate(metrics):
        fig.add_scattergl(
            x=x[:, m],
            y=y[:, m],
            mode="markers",
            name=escape(metric),
            text=labels,
            marker={"size": 7, "symbol": SYMBOLS[m % len(SYMBOLS)], "color": colours[metric], "opacity": 0.75},
            hovertemplate=f"%{{text}}, {escape(metric)}: {axes[0]} %{{x:.3f}}, {axes[1]} %{{y:.3f}}<extra></extra>",
        )
    return fig.update_layout(showlegend=True)


def unless(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values as cells are tinted: 0, the scale's faint middle, where even the sign is uncertain."""
    return np.where(known | np.isnan(values), values, 0.0)


def faded(colour: str, alpha: float = 0.14) -> str:
    """A hex colour with transparency."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def add_band(fig: go.Figure, x: object, low: object, high: object, colour: str) -> None:
    """The band of an interval along a line."""
    edge = {"mode": "lines", "line": {"color": colour, "width": 0}, "hoverinfo": "skip", "showlegend": False}
    fig.add_scatter(x=x, y=high, **edge)
    fig.add_scatter(x=x, y=low, fill="tonexty", fillcolor=faded(colour), **edge)


def escape(text: str) -> str:
    """Text as it was typed: Plotly would read it as HTML."""
    return html.escape(text, quote=False)


def short_labels(names: Sequence[str]) -> list[str]:
    """Names that people gave, as labels of an axis or a legend: escaped, on two short lines at most, and still told
    apart. A chart says them in full where the pointer is."""
    found: list[str] = []
    for name in names:
        lines = textwrap.wrap(name, LABEL) or [name]
        if len(lines) > 2:
            lines = [lines[0], lines[1][: LABEL - 1].rstrip() + "…"]
        label, number = "<br>".join(map(escape, lines)), 2
        while label in found:
            label, number = "<br>".join(map(escape, [*lines[:-1], f"{lines[-1][: LABEL - 4]}… {number}"])), number + 1
        found.append(label)
    return found
