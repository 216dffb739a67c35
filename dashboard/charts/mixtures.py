"""Figures of mixtures: shares side by side, near-optimal ranges."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, INK, MANY, escape, faded, figure, short_labels
from dashboard.models.names import Named

TOTALS = 26  # pixels of a row of totals
SHADES = (0.12, 0.28)  # of neighbouring parts of a level
ROOM = 0.06  # the least total whose name has room in its bar


def ranges(domains: list[str], colours, low: np.ndarray, high: np.ndarray, marks: dict[str, np.ndarray]) -> go.Figure:
    """The near-optimal range of each domain's share (D,), and named mixtures as marks."""
    most = max(high.max(), *(shares.max() for shares in marks.values()))
    shares = {"title": {"text": "share of tokens"}, "tickformat": ".0%", "range": [-0.03 * most, 1.05 * most]}
    fig = figure(120 + 42 * len(domains), xaxis=shares)
    rows = short_labels(domains)
    fig.add_bar(
        x=high - low,
        base=low,
        y=rows,
        orientation="h",
        width=0.55,
        name="near-optimal range",
        marker={
            "color": [faded(colours[d], 0.35) for d in domains],
            "line": {"color": [colours[d] for d in domains], "width": 1},
        },
        customdata=np.stack([low, high], 1),
        hovertemplate="%{y}: %{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>",
    )
    line = {"width": 2, "color": INK}
    symbols = ("diamond", "circle-open", "x-thin", "cross-thin", "triangle-up-open")
    for symbol, (name, shares) in zip(symbols, marks.items(), strict=False):
        fig.add_scatter(
            x=shares,
            y=rows,
            mode="markers",
            name=escape(name),
            marker={"symbol": symbol, "size": 11, "color": BAD if symbol == "diamond" else INK, "line": line},
            hovertemplate=f"{escape(name)}, %{{y}}: %{{x:.1%}}<extra></extra>",
        )
    return fig.update_layout(showlegend=True, yaxis={"range": [len(domains) - 0.4, -0.6]})


def shares_bar(labels: Sequence[str], names: Named, shares: np.ndarray) -> go.Figure:
    """Mixtures side by side as stacked bars: labels (N,), shares (N, D); under each its totals by level."""
    domains, colours, rows = names.coordinates, names.colours, 1 + len(names.levels)
    fig = figure(
        70 + 36 * len(labels) + TOTALS * (rows - 1) * len(labels),
        barmode="stack",
        xaxis={"tickformat": ".0%", "range": [0, 1]},
        margin_r=26,  # half of the last label
        yaxis={"autorange": "reversed"},
        uniformtext={"minsize": 10, "mode": "hide"},  # a number that has no room is read by pointing at its bar
    )
    places: list = short_labels(labels)
    whole = [escape(label) for label in labels]
    if names.levels:
        fig.update_yaxes(tickvals=np.arange(rows * len(labels)), range=[rows * len(labels) - 0.5, -0.5], autorange=None)
        fig.update_yaxes(
            ticktext=[one for place in places for one in (place, *(f"by {level.name}" for level in names.levels))]
        )
        places = [rows * place for place in range(len(labels))]
    for d, domain in enumerate(domains):
        fig.add_bar(
            x=shares[:, d],
            y=places,
            customdata=whole,
            orientation="h",
            name=escape(domain),
            marker={"color": colours[domain]},
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            text=[f"{s:.0%}" if s >= 0.05 else "" for s in shares[:, d]],
            hovertemplate=f"%{{customdata}}: {escape(domain)} %{{x:.1%}}<extra></extra>",
        )
    add_totals(fig, whole, names, shares)
    if len(domains) > MANY:  # the legend goes under the bars: above them it would scroll
        a_row = max(1, int(900 / (45 + 7 * max(map(len, domains)))))  # entries of a legend as wide as the page
        under = 20 * -(-len(domains) // a_row)
        fig.update_layout(height=fig.layout.height + under, margin_b=40 + under)
        fig.update_layout(legend={"yref": "container", "y": 0.01, "yanchor": "bottom"})
    return fig.update_layout(showlegend=True, legend_traceorder="normal")


def add_totals(fig: go.Figure, labels: list[str], names: Named, shares: np.ndarray) -> None:
    """A row for each level of every mixture (N, D) under its own: what each part takes, named inside its bar."""
    rows = 1 + len(names.levels)
    for deep, level in enumerate(names.levels, 1):
        for place, (part, totals) in enumerate(zip(level.parts, level.totals(shares).T, strict=True)):
            fig.add_bar(
                x=totals,
                y=[rows * row + deep for row in range(len(labels))],
                customdata=labels,
                orientation="h",
                width=0.7,
                showlegend=False,
                marker={"color": faded(INK, SHADES[place % len(SHADES)]), "line": {"color": INK, "width": 0.5}},
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                text=[f"{escape(part)} {total:.0%}" if total >= ROOM else "" for total in totals],
                hovertemplate=f"%{{customdata}}: {escape(level.name)} {escape(part)} %{{x:.1%}}<extra></extra>",
            )
