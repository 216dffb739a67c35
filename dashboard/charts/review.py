"""Figures of candidates: points of any space, strengths from votes."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts import style
from dashboard.charts.mixtures import shares_bar
from dashboard.charts.style import FAINT, GOOD, INK, escape, figure
from dashboard.models.names import Named
from dashboard.models.units import digits

# The bars of each point: colours are of domains and experts, and these are neither.
FILLS = ("", "/", ".", "x", "\\", "-", "+")


def reach(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis of coefficients that holds all of some points (N, D), and the numbers at their bars."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    room = 0.18 * (high - low or 1.0)
    return (low - room if low < 0 else 0.0, high + room)


def points(
    kind: str, labels: list[str], names: Named, values: np.ndarray, ends: tuple[float, float] | None = None
) -> go.Figure:
    """Points (N, D) of a study's space: stacked shares of mixtures, coefficients of merges side by side. ends: of the
    axis of coefficients, where another figure has the same."""
    if kind == "mixture":
        return shares_bar(labels, names, values)
    fig = figure(110 + len(names.coordinates) * (12 + 18 * len(labels)), xaxis_title="coefficient", barmode="group")
    own = {"color": [names.colours[name] for name in names.coordinates]}  # of one point, as its faders
    for k, (label, shown) in enumerate(zip(labels, style.short_labels(labels), strict=True)):
        pattern = {"shape": FILLS[k % len(FILLS)], "fillmode": "replace", "size": 6}
        fig.add_bar(
            x=values[k],
            y=style.short_labels(names.coordinates),
            orientation="h",
            name=shown,
            marker={"color": INK, "pattern": pattern, "line": {"color": INK, "width": 1}} if len(labels) > 1 else own,
            text=[digits(x, ".2f") for x in values[k]],
            textposition="outside",
            textangle=0,
            textfont={"size": 12},
            cliponaxis=False,
            hovertemplate=f"{escape(label)}, %{{y}}: %{{x:.3f}}<extra></extra>",
        )
    return fig.update_layout(
        showlegend=len(labels) > 1, xaxis_range=ends or reach(values), yaxis={"autorange": "reversed"}
    )


def strengths(labels: list[str], strength: np.ndarray, half: np.ndarray, group: np.ndarray, title: str) -> go.Figure:
    """Strengths (K,) from votes with 95% intervals; a colour for each group that votes connect."""
    fig = figure(110 + 34 * len(labels), xaxis_title=title)
    fig.add_vline(x=0, line={"color": FAINT, "width": 1})
    shades = [GOOD if g % 2 == 0 else INK for g in group]
    fig.add_scatter(
        x=strength,
        y=style.short_labels(labels),
        customdata=[escape(label) for label in labels],
        mode="markers",
        marker={"size": 12, "color": shades},
        error_x={"array": half, "color": INK, "thickness": 1.6, "width": 4},
        hovertemplate="%{customdata}: %{x:+.2f} ± %{error_x.array:.2f}<extra></extra>",
    )
    return fig.update_layout(yaxis={"autorange": "reversed"})
