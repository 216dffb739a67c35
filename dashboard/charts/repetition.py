"""The figure of repetition: what reading one domain more often is predicted to do, and the runs behind it."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, FAINT, GOOD, INK, add_band, escape, faded, figure
from engine.studies.repeating import UNSURE, Curve


def over_epochs(curve: Curve, title: str, colour: str, name: str, unit: str, sign: int) -> go.Figure:
    """The predicted change of an aggregate over one domain's epochs. title: of the domain; name, unit, sign: of the
    aggregate (engine.spec.objectives.Aggregate): changes of a curve are better when lower."""
    fig = figure(
        380,
        xaxis={"title": {"text": f"epochs of {escape(title)}"}, "rangemode": "tozero"},
        yaxis_title=f"change of {escape(name)}, {escape(unit)}",
    )
    _lines(fig, curve, colour, escape(unit), sign)
    _ticks(fig, curve, sign)
    last = curve.epochs[-1]
    fig.add_vline(x=curve.here, line={"color": INK, "width": 1, "dash": "dot"})
    if curve.worth.verdict != UNSURE:
        fig.add_vrect(x0=curve.worth.low, x1=curve.worth.high, fillcolor=faded(GOOD, 0.1), line_width=0)
        fig.add_vline(x=curve.worth.epochs, line={"color": GOOD, "width": 2})
    if curve.most < last:
        fig.add_vrect(x0=curve.most, x1=last, fillcolor=FAINT, opacity=0.25, line_width=0)
    return fig.update_layout(showlegend=True)


def _lines(fig: go.Figure, curve: Curve, colour: str, unit: str, sign: int) -> None:
    """The predicted change with its interval, and what it would be were repetition harmless."""
    grid = np.array(curve.epochs)
    add_band(fig, grid, sign * np.array(curve.low), sign * np.array(curve.high), colour)
    fig.add_scatter(
        x=grid,
        y=sign * np.array(curve.fresh),
        mode="lines",
        name="were repetition harmless",
        line={"color": INK, "width": 1.4, "dash": "dash"},
        hovertemplate=f"%{{x:.3g}} epochs, harmless: %{{y:+.4f}} {unit}<extra></extra>",
    )
    fig.add_scatter(
        x=grid,
        y=sign * np.array(curve.change),
        mode="lines",
        name="predicted, 95% interval",
        line={"color": colour, "width": 2.4},
        hovertemplate=f"%{{x:.3g}} epochs: %{{y:+.4f}} {unit}<extra></extra>",
    )


def _ticks(fig: go.Figure, curve: Curve, sign: int) -> None:
    """How often runs and dose runs read the domain, at the foot of the figure."""
    floor = float(np.min(sign * np.array([curve.low, curve.high, curve.fresh])))
    for read, words, mark in ((curve.read, "runs", INK), (curve.dosed, "dose runs", BAD)):
        shown = [one for one in read if one <= curve.epochs[-1]]
        fig.add_scatter(
            x=shown,
            y=[floor] * len(shown),
            mode="markers",
            name=f"{len(read)} {words}",
            marker={"symbol": "line-ns", "size": 12, "line": {"width": 1.6, "color": mark}},
            hovertemplate=f"%{{x:.3g}} epochs in one of the {words}<extra></extra>",
        )
