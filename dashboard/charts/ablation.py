"""Figures of a merge that was taken apart: losses of merges of fewer experts, and what each module's change does."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, FAINT, GOOD, GROUND, INK, LEVELS, escape, faded, figure

COLOURS = {"helps": GOOD, "harms": BAD, "cannot tell": FAINT}


def by_count(counts: np.ndarray, values: np.ndarray, names: list[str], law: tuple, title: str) -> go.Figure:
    """Measured merges of sets of experts: counts, values (S,) and which experts; law: (x, value, low, high), (N,) each,
    with its 95% band."""
    x, value, low, high = law
    axis = {"title": {"text": "experts in the merge"}, "dtick": 1}
    fig = figure(380, xaxis=axis, yaxis_title=escape(title), meta={LEVELS: "y"})
    band = {"color": INK, "width": 0}
    fig.add_scatter(x=x, y=high, mode="lines", line=band, hoverinfo="skip", showlegend=False)
    fig.add_scatter(
        x=x,
        y=low,
        mode="lines",
        line=band,
        fill="tonexty",
        fillcolor=faded(INK),
        hoverinfo="skip",
        showlegend=False,
    )
    fig.add_scatter(
        x=x,
        y=value,
        mode="lines",
        line={"color": INK, "width": 2.2},
        name="expected of so many, with its 95% interval",
        hovertemplate="%{x} experts: %{y:.3f} expected<extra></extra>",
    )
    fig.add_scatter(
        x=counts,
        y=values,
        mode="markers",
        name="measured",
        text=[escape(name) for name in names],
        marker={"size": 8, "color": GOOD, "opacity": 0.75, "line": {"color": GROUND, "width": 1}},
        hovertemplate="%{text}: %{y:.3f}<extra></extra>",
    )
    return fig.update_layout(showlegend=True)


def modules(names: list[str], rise: np.ndarray, half: np.ndarray, readings: list[str], unit: str) -> go.Figure:
    """What taking out each module's change does to the mean loss: rise (N,) and half of its interval (N,)."""
    height = 110 + 26 * len(names)
    fig = figure(height, xaxis_title=f"loss without it minus the merge's, {escape(unit)}", showlegend=True)
    fig.update_layout(yaxis={"autorange": "reversed", "automargin": True})
    for reading, colour in COLOURS.items():
        which = [place for place, one in enumerate(readings) if one == reading]
        if not which:
            continue
        fig.add_scatter(
            x=rise[which],
            y=[escape(names[place]) for place in which],
            mode="markers",
            name=reading,
            marker={"size": 9, "color": colour},
            error_x={"array": half[which], "color": colour, "thickness": 1.6, "width": 4},
            hovertemplate="%{y}: %{x:+.4f} ± %{error_x.array:.4f}<extra></extra>",
        )
    fig.update_yaxes(categoryorder="array", categoryarray=[escape(name) for name in names])
    fig.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dot"})
    return fig
