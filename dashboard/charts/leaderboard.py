"""Figures of the leaderboard: held-out ranks, interval coverage, learning curves, stability, noise."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, FAINT, GOOD, GRID, INK, escape, faded, figure
from dashboard.models.units import digits
from engine.league import LEVELS

SEQUENTIAL = [[0, "rgba(138,130,121,0.08)"], [0.5, faded(GOOD, 0.25)], [1, GOOD]]


def ranking(rows: list[dict], title: str) -> go.Figure:
    """One value with its interval per surrogate: rows of {"title", "value", "low", "high", "chosen"}, best first."""
    rows = rows[::-1]
    fig = figure(90 + 26 * len(rows), xaxis_title=title)
    fig.add_scatter(
        x=np.array([row["value"] for row in rows]),
        y=[row["title"] for row in rows],
        mode="markers",
        marker={"size": 10, "color": [BAD if row["chosen"] else INK for row in rows]},
        error_x={
            "array": [row["high"] - row["value"] for row in rows],
            "symmetric": False,
            "width": 4,
            "color": FAINT,
            "arrayminus": [row["value"] - row["low"] for row in rows],
        },
        customdata=[[row["low"], row["high"]] for row in rows],
        hovertemplate="%{y}: %{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})<extra></extra>",
    )
    return fig


def per_metric(titles: list[str], metrics: list[str], spearman: np.ndarray, words: list[list[str]]) -> go.Figure:
    """Held-out rank correlation (S, M) of each surrogate for each metric, NaN for a constant metric; words (S, M): the
    same with its interval."""
    fig = figure(110 + 26 * len(titles), xaxis={"side": "top"}, yaxis={"autorange": "reversed"})
    text = [["" if np.isnan(value) else digits(value, ".2f") for value in row] for row in spearman]
    low = float(np.nanquantile(spearman, 0.1))
    fig.add_heatmap(
        z=spearman,
        x=[escape(metric) for metric in metrics],
        y=titles,
        text=text,
        texttemplate="%{text}",
        colorscale=SEQUENTIAL,
        zmin=min(low, 0.98),
        zmax=1,
        xgap=2,
        ygap=2,
        colorbar={"title": {"text": "Spearman"}, "thickness": 10},
        customdata=words,
        hovertemplate="%{y}, %{x}: %{customdata}<extra></extra>",
    )
    return fig.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def calibration(rows: list[dict]) -> go.Figure:
    """Empirical against nominal coverage: rows of {"title", "raw", "calibrated", "chosen"}.

    raw, calibrated: nominal percent -> fraction inside. The chosen one stands out, before and after calibration.
    """
    nominal = np.array([float(level) / 100 for level in LEVELS])
    axis = {"tickformat": ".0%", "range": [0.3, 1.02]}
    fig = figure(
        380,
        xaxis={**axis, "title": {"text": "nominal coverage"}},
        yaxis={**axis, "title": {"text": "measured losses inside"}},
    )
    fig.add_scatter(
        x=[0.3, 1],
        y=[0.3, 1],
        mode="lines",
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )

    def add(row: dict, which: str, colour: str, width: float, shown: str | None, dash: str = "solid") -> None:
        inside = np.array([row[which][level] for level in LEVELS])
        fig.add_scatter(
            x=nominal,
            y=inside,
            mode="lines+markers",
            name=shown or "",
            showlegend=shown is not None,
            line={"color": colour, "width": width, "dash": dash},
            marker={"size": 3 + 2 * width},
            hovertemplate=f"{row['title']}, %{{x:.0%}} interval: %{{y:.1%}} inside<extra></extra>",
        )

    others = [row for row in rows if not row["chosen"]]
    for place, row in enumerate(others):
        add(row, "raw", FAINT, 1, "others, uncalibrated" if place == 0 else None)
    for row in rows:
        if row["chosen"]:
            add(row, "raw", BAD, 2, f"{row['title']}, uncalibrated", "dash")
            add(row, "calibrated", BAD, 2.5, "calibrated, as on all pages")
    return fig.update_layout(showlegend=True)


def learning_curve(sizes: list[int], lines: list[dict], runs: int, enough: int | None) -> go.Figure:
    """Held-out score over the number of runs: lines of {"title", "scores" [[score, low, high] or None], "main"}."""
    fig = figure(
        380,
        xaxis={"title": {"text": "runs fitted on"}, "type": "log", "tickvals": sizes, "ticktext": sizes},
        yaxis_title="held-out rank correlation",
    )
    for line in lines:
        known = [(size, *score) for size, score in zip(sizes, line["scores"], strict=True) if score is not None]
        if not known:
            continue
        size, score, low, high = np.array(known).T
        colour = BAD if line["main"] else INK
        fig.add_scatter(
            x=np.r_[size, size[::-1]],
            y=np.r_[high, low[::-1]],
            fill="toself",
            mode="lines",
            hoverinfo="skip",
            line={"width": 0},
            fillcolor=faded(colour, 0.12),
            showlegend=False,
        )
        fig.add_scatter(
            x=size,
            y=score,
            mode="lines+markers",
            name=line["title"],
            line={"color": colour, "width": 2},
            hovertemplate="%{x} runs: %{y:.3f}<extra></extra>",
        )
    if enough is not None and enough <= 1.5 * runs:
        fig.add_vline(x=enough, line={"color": GOOD, "dash": "dot"})
        place = {"x": np.log10(enough), "y": 0.02, "yref": "paper", "xanchor": "left", "showarrow": False}
        fig.add_annotation(text=f" enough: {enough}", font={"color": GOOD}, **place)  # on a log axis: its exponent
    return fig.update_layout(showlegend=True)


def stability(titles: list[str], distance: np.ndarray, chosen: int | None) -> go.Figure:
    """Mean L1 between the points recommended by refits (S,), the most stable first."""
    fig = figure(
        90 + 26 * len(titles),
        xaxis_title="mean L1 between recommendations (left is more stable)",
        yaxis={"autorange": "reversed"},
        xaxis={"rangemode": "tozero"},
    )
    colours = [BAD if place == chosen else "rgba(138,130,121,0.55)" for place in range(len(titles))]
    fig.add_bar(
        x=distance,
        y=titles,
        orientation="h",
        marker={"color": colours},
        width=0.6,
        hovertemplate="%{y}: refits differ by %{x:.3f}<extra></extra>",
    )
    return fig


def noise(metrics: list[str], error: np.ndarray, floor: np.ndarray | None, spread: np.ndarray) -> go.Figure:
    """Held-out error (M,), and the seed noise (M,) if known, as fractions of the standard deviation over runs (M,)."""
    fig = figure(
        90 + 30 * len(metrics),
        xaxis={"title": {"text": "of the standard deviation over runs"}, "tickformat": ".0%"},
        yaxis={"autorange": "reversed"},
    )
    labels, size = [escape(metric) for metric in metrics], np.where(spread > 0, spread, np.nan)
    if floor is not None:
        for label, left, right in zip(labels, floor / size, error / size, strict=True):
            fig.add_scatter(
                x=[left, right],
                y=[label, label],
                mode="lines",
                line={"color": GRID, "width": 3},
                hoverinfo="skip",
                showlegend=False,
            )
    for values, name, colour in ((floor, "seed noise", INK), (error, "held-out error", BAD)):
        if values is not None:
            fig.add_scatter(
                x=values / size,
                y=labels,
                mode="markers",
                name=name,
                marker={"size": 10, "color": colour},
                hovertemplate=f"%{{y}}: {name} %{{x:.1%}} of the standard deviation<extra></extra>",
            )
    return fig.update_xaxes(rangemode="tozero").update_layout(showlegend=True)
