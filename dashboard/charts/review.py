"""Figures of candidates: differences with intervals side by side, points of any space, strengths from votes."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.mixtures import shares_bar
from dashboard.charts.style import FAINT, GOOD, INK, SYMBOLS, escape, figure
from dashboard.models.colours import nth_colour
from dashboard.models.names import Named


def intervals(
    rows: list[str],
    colours: list[str],
    series: list[tuple[str, np.ndarray, np.ndarray | None]],
    title: str,
    what: str,
) -> go.Figure:
    """Values with 95% intervals: one row per metric, one symbol per series (name, x (M,), half (M,) or None).

    Hollow where zero lies inside the interval. what: of the hover, with its unit.
    """
    fig = figure(100 + len(rows) * (26 + 15 * len(series)), xaxis_title=escape(title))
    fig.add_vline(x=0, line={"color": INK, "width": 1.2})
    places = np.arange(len(rows))
    for k, (name, x, half) in enumerate(series):
        offset = 0.0 if len(series) == 1 else 0.56 * (k / (len(series) - 1) - 0.5)
        unsure = np.zeros(len(x), bool) if half is None else np.abs(x) <= half
        fill = ["rgba(0,0,0,0)" if hollow else colour for hollow, colour in zip(unsure, colours, strict=True)]
        said = ["unknown" if half is None else f"{h:.3f}" for h in (x if half is None else half)]
        said = [f"{s}: within noise" if hollow else s for s, hollow in zip(said, unsure, strict=True)]
        fig.add_scatter(
            x=x,
            y=places + offset,
            mode="markers",
            name=escape(name),
            customdata=np.array(said, object),
            marker={
                "size": 11,
                "symbol": SYMBOLS[k % len(SYMBOLS)],
                "color": fill,
                "line": {"width": 2, "color": colours},
            },
            error_x=None if half is None else {"array": half, "thickness": 1.6, "width": 4, "color": INK},
            hovertemplate=f"{escape(name)}, %{{text}}: %{{x:+.3f}} ± %{{customdata}}<extra>{escape(what)}</extra>",
            text=[escape(row) for row in rows],
        )
    axis = {"tickvals": places, "ticktext": [escape(row) for row in rows], "range": [len(rows) - 0.4, -0.6]}
    return fig.update_layout(showlegend=len(series) > 1, yaxis={**axis, "showgrid": False, "zeroline": False})


def points(kind: str, labels: list[str], names: Named, values: np.ndarray) -> go.Figure:
    """Points (N, D) of a study's space: stacked shares of mixtures, coefficients of merges side by side."""
    if kind == "mixture":
        return shares_bar(labels, names.coordinates, names.colours, values)
    fig = figure(110 + len(names.coordinates) * (12 + 14 * len(labels)), xaxis_title="coefficient", barmode="group")
    for k, label in enumerate(labels):
        fig.add_bar(
            x=values[k],
            y=[escape(name) for name in names.coordinates],
            orientation="h",
            name=escape(label),
            marker={"color": nth_colour(k)},
            hovertemplate=f"{escape(label)}, %{{y}}: %{{x:.3f}}<extra></extra>",
        )
    return fig.update_layout(showlegend=True, yaxis={"autorange": "reversed"})


def strengths(labels: list[str], strength: np.ndarray, half: np.ndarray, group: np.ndarray, title: str) -> go.Figure:
    """Strengths (K,) from votes with 95% intervals; a colour for each group that votes connect."""
    fig = figure(110 + 34 * len(labels), xaxis_title=title)
    fig.add_vline(x=0, line={"color": FAINT, "width": 1})
    shades = [GOOD if g % 2 == 0 else INK for g in group]
    fig.add_scatter(
        x=strength,
        y=[escape(label) for label in labels],
        mode="markers",
        marker={"size": 12, "color": shades},
        error_x={"array": half, "color": INK, "thickness": 1.6, "width": 4},
        hovertemplate="%{y}: %{x:+.2f} ± %{error_x.array:.2f}<extra></extra>",
    )
    return fig.update_layout(yaxis={"autorange": "reversed"})
