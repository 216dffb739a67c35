"""The figure of the fidelity lab: rank correlation with the reference against cost."""

import plotly.graph_objects as go

from dashboard.charts.style import BAD, FAINT, GOOD, INK, escape, figure
from engine.analysis.fidelity_lab import ENOUGH, Judged


def against_cost(found: list[Judged], chosen: Judged | None) -> go.Figure:
    """Each fidelity's correlation with its interval, by its cost in the reference's; the recommended one is marked."""
    fig = figure(
        400,
        xaxis={"type": "log", "title": "cost, in that of the reference"},
        yaxis={"title": "rank correlation without noise"},
    )
    known = [one for one in found if one.rank is not None]
    fig.update_yaxes(range=[min([0.0, *(one.low for one in known)]) - 0.05, 1.05])
    for one in known:
        colour = GOOD if one is chosen else INK if one.enough else BAD
        fig.add_scatter(
            x=[one.cost],
            y=[one.rank],
            mode="markers+text" if one is chosen else "markers",
            text=[escape(one.name)],
            textposition="middle right",
            name=escape(one.name),
            marker={
                "size": 13 if one is chosen else 9,
                "color": colour,
                "symbol": "diamond" if one.enough else "circle",
            },
            error_y={"array": [one.high - one.rank], "arrayminus": [one.rank - one.low], "color": FAINT},
            hovertemplate=f"{escape(one.name)}<br>%{{y:.2f}} at %{{x:.2f}} of the cost<extra></extra>",
        )
    fig.add_hline(y=ENOUGH, line={"color": INK, "width": 1, "dash": "dot"})
    return fig
