"""The figure of a task: what each run scored, with its interval, beside what guessing scores."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import escape, figure
from engine.spec.statistics import ci_half_width


def scores(
    labels: list[str], values: np.ndarray, errors: np.ndarray, chance: float | None, title: str, unit: str
) -> go.Figure:
    """One point per run, from the lowest score to the highest: labels [R], values and standard errors (R,)."""
    order = np.argsort(values, kind="stable")
    fig = figure(320, xaxis={"title": {"text": "runs, sorted by score"}, "showticklabels": False})
    fig.add_scatter(
        x=np.arange(1, len(values) + 1),
        y=values[order],
        error_y={"type": "data", "array": ci_half_width(errors[order]), "thickness": 1, "width": 0},
        mode="markers",
        marker={"size": 6},
        text=[escape(labels[place]) for place in order],
        hovertemplate="%{text}: %{y:.3f}<extra></extra>",
        name=escape(title),
    )
    if chance is not None:
        fig.add_hline(y=chance, line_dash="dash", line_width=1, annotation_text=f"chance, {chance:.3g}")
    return fig.update_yaxes(title_text=escape(f"{title} [{unit}]"))
