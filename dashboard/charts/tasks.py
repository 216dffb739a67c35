"""Figures of tasks: what each run scored, how metrics move together, scores over a loss and over size."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, FAINT, GOOD, INK, LEVELS, escape, faded, figure, short_labels
from engine.analysis.links import Link
from engine.analysis.readiness import Components
from engine.spec.statistics import ci_half_width
from engine.studies.score_forecasts import Forecast

NEAR = 0.5  # of an edge: beyond it a label stands on the inner side of its point


def scores(
    labels: list[str],
    values: np.ndarray,
    errors: np.ndarray,
    chance: float | None,
    title: str,
    unit: str,
    without: tuple[np.ndarray, np.ndarray] | None = None,
) -> go.Figure:
    """One point per run, from the lowest score to the highest: labels [R], values and standard errors (R,); without:
    the same without items that stand in training text."""
    order = np.argsort(values, kind="stable")
    fig = figure(320, xaxis={"title": {"text": "runs, sorted by score"}, "showticklabels": False}, meta={LEVELS: "y"})
    shown = [("all items", values, errors, "circle")]
    if without is not None:
        shown.append(("without items that stand in training text", *without, "circle-open"))
    for place, (name, own, own_errors, symbol) in enumerate(shown):
        fig.add_scatter(
            x=np.arange(1, len(values) + 1) + 0.25 * place,
            y=own[order],
            error_y={"type": "data", "array": ci_half_width(own_errors[order]), "thickness": 1, "width": 0},
            mode="markers",
            marker={"size": 6, "symbol": symbol},
            text=[escape(labels[run]) for run in order],
            hovertemplate="%{text}: %{y:.3f}<extra></extra>",
            name=name if without is not None else escape(title),
            showlegend=without is not None,
        )
    if chance is not None:
        fig.add_hline(y=chance, line_dash="dash", line_width=1, annotation_text=f"chance, {chance:.3g}")
    return fig.update_yaxes(title_text=escape(f"{title} [{unit}]"))


def components(names: list[str], are_tasks: list[bool], found: Components) -> go.Figure:
    """The metrics (M,) in the first two directions in which they move together, each a point and a line from the
    middle; diamonds are of domains."""
    parts = [f"{part:.0%} of the variance" for part in found.explained]
    fig = figure(
        380,
        xaxis={"title": {"text": f"first direction, {parts[0]}"}, "range": [-1.05, 1.05]},
        yaxis={"title": {"text": f"second direction, {parts[1]}"}, "range": [-1.05, 1.05]},
    )
    for name, label, task, (x, y) in zip(names, short_labels(names), are_tasks, found.loadings.T, strict=True):
        if x == y == 0:  # it never varies, and would hide what stands in the middle
            continue
        side = "left" if x > NEAR else "right" if x < -NEAR else "center"
        fig.add_scatter(
            x=[0, x],
            y=[0, y],
            mode="lines+markers+text",
            line={"width": 1, "color": FAINT},
            marker={"size": [0, 9], "symbol": "circle" if task else "diamond", "color": INK},
            text=["", label],
            textposition=f"{'bottom' if y > NEAR else 'top'} {side}",
            hovertemplate=f"{escape(name)}: %{{x:.2f}}, %{{y:.2f}}<extra></extra>",
        )
    return fig


def link(found: Link, losses: np.ndarray, scores: np.ndarray, errors: np.ndarray, axes: tuple[str, str]) -> go.Figure:
    """Scores of runs (R,) with the errors of their items over losses (R,), and the link with its 95% interval. axes:
    what the two are called, with their units."""
    fig = figure(360, xaxis_title=escape(axes[0]), yaxis_title=escape(axes[1]), meta={LEVELS: "xy"})
    fig.add_scatter(
        x=np.concatenate([found.losses, found.losses[::-1]]),
        y=np.concatenate([found.high, found.low[::-1]]),
        fill="toself",
        fillcolor=faded(GOOD),
        line={"width": 0},
        hoverinfo="skip",
        name="95% of the link",
    )
    fig.add_scatter(x=found.losses, y=found.mean, mode="lines", line={"color": GOOD, "width": 2}, name="link")
    fig.add_scatter(
        x=losses,
        y=scores,
        error_y={"type": "data", "array": ci_half_width(errors), "thickness": 1, "width": 0},
        mode="markers",
        marker={"size": 6, "color": INK},
        name=f"{found.runs} runs, 95% over items",
        hovertemplate="%{x:.3f}, %{y:.3f}<extra></extra>",
    )
    return fig.update_layout(showlegend=True)


def over_size(found: Forecast, title: str) -> go.Figure:
    """Scores of runs over compute; at the largest size what was told without its runs, at the target what is told."""
    compute = {"title": {"text": "compute of a run, FLOPs"}, "type": "log", "dtick": 1, "exponentformat": "power"}
    fig = figure(360, xaxis=compute, yaxis_title=escape(title), meta={LEVELS: "y"})
    fig.add_scatter(
        x=found.compute,
        y=found.scores,
        mode="markers",
        marker={"size": 6, "color": INK},
        name=f"{len(found.scores)} runs, measured",
        hovertemplate="%{x:.3g} FLOPs: %{y:.3f}<extra></extra>",
    )
    told = [
        ("told without the largest, 95%", 1.04 * found.compute[found.held], found.predicted, found.std, "diamond-open"),
        ("told at the target, 95%", *np.array([[found.target], [found.mean], [found.target_std]]), "star"),
    ]
    for name, x, y, std, symbol in told:
        fig.add_scatter(
            x=x,
            y=y,
            error_y={"type": "data", "array": ci_half_width(std), "thickness": 1, "width": 0},
            mode="markers",
            marker={"size": 8, "symbol": symbol, "color": BAD},
            name=name,
            hovertemplate="%{x:.3g} FLOPs: %{y:.3f}<extra></extra>",
        )
    return fig.update_layout(showlegend=True)
