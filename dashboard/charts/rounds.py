"""Figures of rounds: trade-offs, expected gains, relevance of domains, small models against large ones."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import BAD, DIVERGING, FAINT, GOOD, INK, LEVELS, escape, faded, figure, short_labels, unless
from dashboard.models.units import digits
from engine.spec.statistics import ci_half_width


def front(
    labels: tuple[str, str],
    units: tuple[str, str],
    along: np.ndarray,
    runs: np.ndarray,
    chosen: int,
    std: np.ndarray,
) -> go.Figure:
    """Predicted metrics (F, 2) of the points on a front, measured runs (R, 2); one is marked, with its std (2,)."""
    one, other = (f"{escape(label)}, {escape(unit)}" for label, unit in zip(labels, units, strict=True))
    fig = figure(380, xaxis_title=one, yaxis_title=other, meta={LEVELS: "xy"})
    fig.add_scattergl(
        x=runs[:, 0],
        y=runs[:, 1],
        mode="markers",
        name=f"{len(runs)} measured",
        marker={"size": 5, "color": FAINT},
        hovertemplate="measured: %{x:.3f}, %{y:.3f}<extra></extra>",
    )
    fig.add_scatter(
        x=along[:, 0],
        y=along[:, 1],
        mode="lines+markers",
        name="Pareto front (sampled), predicted",
        line={"color": GOOD, "width": 2},
        marker={"size": 6},
        hovertemplate="%{x:.3f}, %{y:.3f}<extra></extra>",
    )
    fig.add_scatter(
        x=along[[chosen], 0],
        y=along[[chosen], 1],
        mode="markers",
        name="this point, 95% interval",
        marker={"size": 14, "symbol": "diamond", "color": BAD},
        error_x={"array": ci_half_width(std[[0]]), "color": INK},
        error_y={"array": ci_half_width(std[[1]]), "color": INK},
        hovertemplate="this point: %{x:.3f}, %{y:.3f}<extra></extra>",
    )
    padding = np.ptp(along, axis=0) * 0.6 + 1e-9
    low, high = along.min(axis=0) - padding, along.max(axis=0) + padding
    fig.update_xaxes(range=[low[0], high[0]])
    fig.update_yaxes(range=[low[1], high[1]])
    return fig.update_layout(showlegend=True)


def along_front(domains: list[str], colours, shares: np.ndarray, chosen: int) -> go.Figure:
    """Shares (F, D) of the mixtures on a front, as areas from its first to its last member."""
    fig = figure(380, yaxis={"tickformat": ".0%", "range": [0, 1]}, xaxis_title="position on the front")
    place = np.arange(1, len(shares) + 1)
    for d, domain in enumerate(domains):
        fig.add_scatter(
            x=place,
            y=shares[:, d],
            stackgroup="one",
            mode="lines",
            name=escape(domain),
            line={"width": 0.5, "color": colours[domain]},
            fillcolor=faded(colours[domain], 0.75),
            hovertemplate=f"{escape(domain)}: %{{y:.1%}}<extra></extra>",
        )
    fig.add_vline(x=chosen + 1, line={"color": INK, "width": 2})
    return fig.update_layout(showlegend=True, legend_traceorder="normal")


def gains(gain: np.ndarray, noise: float, unit: str) -> go.Figure:
    """Expected gain (B,) after the first b runs of a batch, beside the noise of one measurement."""
    fig = figure(300, xaxis_title="runs of the batch", yaxis_title=f"expected gain, {escape(unit)}")
    fig.add_scatter(
        x=np.arange(len(gain) + 1),
        y=np.append(0, gain),
        mode="lines+markers",
        line={"color": GOOD, "width": 2},
        name="expected gain of the best",
        hovertemplate="%{x} runs: %{y:.4f}<extra></extra>",
    )
    fig.add_hline(
        y=noise,
        line={"color": INK, "dash": "dot", "width": 1},
        annotation={"text": "standard deviation of one measurement", "font": {"size": 11}},
    )
    return fig


def relevance(domains: list[str], metrics: list[str], strength: np.ndarray, support: np.ndarray) -> go.Figure:
    """Lasso relevance (D, M) of domains (rows) to metrics; a question mark, untinted, where that is uncertain."""
    fig = figure(
        90 + 36 * len(domains), xaxis={"side": "top", "title": {"text": "matters for"}}, yaxis={"autorange": "reversed"}
    )
    text = [
        [digits(s, ".2f") if sure >= 0.9 else "" if sure < 0.5 else "?" for s, sure in zip(*row, strict=True)]
        for row in zip(strength, support, strict=True)
    ]
    fig.add_heatmap(
        z=unless(support >= 0.9, strength),
        x=[escape(m) for m in metrics],
        y=[escape(d) for d in domains],
        text=text,
        texttemplate="%{text}",
        customdata=np.stack([strength, support], -1),
        colorscale=[DIVERGING[1], [1, GOOD]],
        xgap=3,
        ygap=3,
        colorbar={"title": {"text": "standardised<br>effect"}, "thickness": 10},
        zmin=0,
        hovertemplate="%{y} for %{x}: %{customdata[0]:.3f}, kept in %{customdata[1]:.0%} of resamples<extra></extra>",
    )
    fig.data[0].colorscale = [[0, "rgba(138,130,121,0.06)"], [1, GOOD]]
    fig.update_xaxes(showgrid=False)
    fig.update_yaxes(showgrid=False)
    return fig


def small_against_large(
    names: list[str],
    predicted: np.ndarray,
    predicted_std: np.ndarray,
    measured: np.ndarray,
    measured_std: np.ndarray,
    rivals: list[int],
    unit: str,
) -> go.Figure:
    """Mixtures (P,): predicted at proxy size against measured at a larger size, both relative to their mean."""
    fig = figure(
        400,
        xaxis_title=f"predicted at proxy size, minus the mean, {escape(unit)}",
        yaxis_title=f"measured at the larger size, minus the mean, {escape(unit)}",
    )
    x, y = predicted - predicted.mean(), measured - measured.mean()
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())]) * 1.1
    fig.add_scatter(x=ends, y=ends, mode="lines", line={"color": INK, "dash": "dot", "width": 1}, hoverinfo="skip")
    colour = [GOOD if i in rivals else INK for i in range(len(names))]
    fig.add_scatter(
        x=x,
        y=y,
        mode="markers+text",
        text=short_labels(names),
        textposition="top center",
        marker={"size": 11, "color": colour},
        error_x={"array": ci_half_width(predicted_std), "color": FAINT},
        error_y={"array": ci_half_width(measured_std), "color": FAINT},
        hovertemplate="%{text}: predicted %{x:+.3f}, measured %{y:+.3f}<extra></extra>",
    )
    return fig
