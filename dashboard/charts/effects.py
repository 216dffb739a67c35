"""Figures of what a surrogate predicts: effects of domains, responses, contributions, intervals, residuals."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import (
    DIVERGING,
    INK,
    LOSS_SCALE,
    MANY,
    escape,
    faded,
    figure,
    oriented,
    triangle,
)


def losses_with_intervals(names, reference, current, best, scale) -> go.Figure:
    """Predicted metrics at the faders, against a reference: one row per metric, differences on one scale.

    names: dashboard.models.names.Named; reference: (name, values (M,)); current: (mean (M,), std of the difference to
    the reference (M,)); best: (name, values (M,)) of the best measured run, or None; scale:
    engine.spec.objectives.Scale.
    """
    name, base = reference
    mean, std = current
    side = "left" if scale.better == "lower" else "right"
    fig = figure(
        70 + 42 * len(base), xaxis_title=f"difference to {escape(name)}, {escape(scale.unit)} ({side} is better)"
    )
    labels = [escape(metric) for metric in names.metrics]
    units = np.array([escape(unit) for unit in names.units])
    fig.add_vline(x=0, line={"color": INK, "width": 1.2})
    if best is not None:
        fig.add_scatter(
            x=scale.factor * (best[1] - base),
            y=labels,
            mode="markers",
            name=f"measured: {escape(best[0])}",
            marker={"symbol": "line-ns", "size": 15, "line": {"width": 2, "color": INK}},
            customdata=np.stack([best[1].astype(object), units], axis=1),
            hovertemplate=f"{escape(best[0])}, measured: %{{customdata[0]:.3f}} %{{customdata[1]}}<extra></extra>",
        )
    fig.add_scatter(
        x=scale.factor * (mean - base),
        y=labels,
        mode="markers",
        name="predicted at the faders, 95% interval",
        marker={"size": 13, "color": [names.colours[d] for d in names.metrics]},
        error_x={"array": 1.96 * std * np.abs(scale.factor), "thickness": 2, "width": 5, "color": INK},
        customdata=np.stack([mean.astype(object), 1.96 * std, units], axis=1),
        hovertemplate="%{y}: %{customdata[0]:.3f} ± %{customdata[1]:.3f} %{customdata[2]}<extra></extra>",
    )
    return fig.update_layout(showlegend=True, yaxis={"autorange": "reversed"})


def influence(domains: list[str], metrics: list[str], effect, std, step: float, unit: str, better: str) -> go.Figure:
    """What +`step` of each domain (rows) does to each metric (columns). effect, std: (D, M) in `unit`.

    A question mark where zero lies inside the 95% interval.
    """
    known = np.abs(effect) > 1.96 * std
    text = [
        [f"{e:+.3f}" if sure else "?" for e, sure in zip(*row, strict=True)] for row in zip(effect, known, strict=True)
    ]
    limit = float(np.quantile(np.abs(effect), 0.9)) or 1.0  # one huge effect must not bleach all others
    scale = oriented(DIVERGING, better)
    fig = figure(
        90 + 40 * len(domains),
        xaxis={"side": "top", "title": {"text": "effect on"}},
        yaxis={"autorange": "reversed", "title": {"text": f"+{step:.0%} of"}},
    )
    fig.add_heatmap(
        z=effect,
        x=[escape(m) for m in metrics],
        y=[escape(d) for d in domains],
        text=text,
        texttemplate="%{text}",
        colorscale=scale,
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        customdata=1.96 * std,
        colorbar={"title": {"text": escape(unit)}, "thickness": 10},
        hovertemplate=f"+{step:.0%} %{{y}}: %{{x}} %{{z:+.4f}} ± %{{customdata:.4f}} {escape(unit)}<extra></extra>",
    )
    fig.update_xaxes(showgrid=False, tickangle=-40 if len(metrics) > MANY else None)
    fig.update_yaxes(showgrid=False)
    return fig


def response(
    domain: str, shares: np.ndarray, mean: np.ndarray, std: np.ndarray, metrics, colours, now: float, unit: str
) -> go.Figure:
    """Metrics of one unit along one domain's share (P,). mean, std: (P, M)."""
    fig = figure(
        340,
        xaxis={"title": {"text": f"share of {escape(domain)}"}, "tickformat": ".0%"},
        yaxis_title=escape(unit),
    )
    for m, metric in enumerate(metrics):
        low, high = mean[:, m] - 1.96 * std[:, m], mean[:, m] + 1.96 * std[:, m]
        band = {"color": colours[metric], "width": 0}
        fig.add_scatter(x=shares, y=high, mode="lines", line=band, hoverinfo="skip", showlegend=False)
        fig.add_scatter(
            x=shares,
            y=low,
            mode="lines",
            line=band,
            fill="tonexty",
            opacity=0.15,
            hoverinfo="skip",
            showlegend=False,
            fillcolor=faded(colours[metric]),
        )
        fig.add_scatter(
            x=shares,
            y=mean[:, m],
            mode="lines",
            line={"color": colours[metric], "width": 2.2},
            name=escape(metric),
            hovertemplate=f"{escape(metric)} at %{{x:.1%}}: %{{y:.3f}} {escape(unit)}<extra></extra>",
        )
    fig.add_vline(x=now, line={"color": INK, "width": 1, "dash": "dot"})
    return fig.update_layout(showlegend=True)


def ternary(
    names: list[str], points: np.ndarray, mean: np.ndarray, std: np.ndarray, runs: np.ndarray, title: str, better: str
) -> go.Figure:
    """A predicted metric over three domains. points (N, 3); mean, std (N,); runs (R, 3) measured, as dots."""
    fig = figure(470, margin={"l": 40, "r": 40, "t": 40, "b": 40})
    a, b, c = (escape(name) for name in names)
    fig.add_scatterternary(
        a=points[:, 0],
        b=points[:, 1],
        c=points[:, 2],
        mode="markers",
        customdata=np.stack([mean, 1.96 * std], 1),
        marker={
            "symbol": "hexagon",
            "size": 9,
            "color": mean,
            "opacity": 0.9,
            "colorscale": oriented(LOSS_SCALE, better),
            "colorbar": {"title": {"text": escape(title).replace(", ", ",<br>")}, "thickness": 10},
        },
        hovertemplate=f"{a} %{{a:.0%}}, {b} %{{b:.0%}}, {c} %{{c:.0%}}<br>%{{customdata[0]:.3f}} ± "
        "%{customdata[1]:.3f}<extra></extra>",
    )
    fig.add_scatterternary(
        a=runs[:, 0],
        b=runs[:, 1],
        c=runs[:, 2],
        mode="markers",
        hoverinfo="skip",
        marker={"size": 6, "color": "rgba(0,0,0,0)", "line": {"color": "#ffffff", "width": 1.5}},
    )
    return fig.update_layout(ternary=triangle((a, b, c)))


def interactions(domains: list[str], effect, std, step: float, unit: str, better: str) -> go.Figure:
    """Second differences of pairs of domains on one metric. effect, std: (K, K), NaN on the diagonal.

    A question mark where zero lies inside the 95% interval.
    """
    known = np.abs(effect) > 1.96 * std
    text = [
        ["" if np.isnan(e) else f"{e:+.2g}" if sure else "?" for e, sure in zip(*row, strict=True)]
        for row in zip(effect, known, strict=True)
    ]
    limit = float(np.nanquantile(np.abs(effect), 0.95)) or 1.0
    labels = [escape(domain) for domain in domains]
    fig = figure(130 + 36 * len(domains), xaxis={"side": "top"}, yaxis={"autorange": "reversed"})
    fig.add_heatmap(
        z=effect,
        x=labels,
        y=labels,
        text=text,
        texttemplate="%{text}",
        colorscale=oriented(DIVERGING, better),
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        customdata=1.96 * std,
        hoverongaps=False,
        colorbar={"title": {"text": escape(unit)}, "thickness": 10, "tickformat": ".1g"},
        hovertemplate=f"+{step:.0%} of %{{y}} and of %{{x}}: %{{z:+.4f}} ± %{{customdata:.4f}} beyond "
        "the sum of both alone<extra></extra>",
    )
    return fig.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def contributions(domains: list[str], metrics: list[str], values: np.ndarray, unit: str, better: str) -> go.Figure:
    """SHAP values (D, M) on one scale: how far each domain's share moves each prediction from the runs' mean."""
    limit = float(np.quantile(np.abs(values), 0.95)) or 1.0
    fig = figure(110 + 36 * len(domains), xaxis={"side": "top"}, yaxis={"autorange": "reversed"})
    fig.add_heatmap(
        z=values,
        x=[escape(m) for m in metrics],
        y=[escape(d) for d in domains],
        texttemplate="%{z:+.3f}",
        colorscale=oriented(DIVERGING, better),
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        colorbar={"title": {"text": escape(unit)}, "thickness": 10},
        hovertemplate=f"the share of %{{y}} moves %{{x}} by %{{z:+.4f}} {escape(unit)}<extra></extra>",
    )
    return fig.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def residuals(metric: str, colour: str, mean, std, measured, labels: list, unit: str) -> go.Figure:
    """Measured minus predicted of held-out runs (R,) over the prediction, with its 95% intervals.

    Runs outside their interval are marked by name.
    """
    missed = measured - mean
    outside = np.abs(missed) > 1.96 * std
    fig = figure(
        380,
        xaxis_title=f"{escape(metric)} predicted, held out, {escape(unit)}",
        yaxis_title=f"measured minus predicted, {escape(unit)}",
    )
    reach = 1.25 * max(
        np.abs(missed).max(), float(np.quantile(1.96 * std, 0.8))
    )  # one huge interval must not flatten all others
    fig.update_yaxes(range=[-reach, reach])
    fig.add_hline(y=0, line={"color": INK, "width": 1, "dash": "dot"})
    few = outside.sum() <= 12  # names of more would lie upon each other
    for which, symbol, name in ((~outside, "circle", "inside its 95% interval"), (outside, "diamond", "outside")):
        fig.add_scatter(
            x=mean[which],
            y=missed[which],
            name=name,
            text=[str(label) for label in np.array(labels)[which]],
            mode="markers+text" if symbol == "diamond" and few else "markers",
            textposition="top center",
            textfont={"size": 10},
            marker={"symbol": symbol, "size": 8, "color": colour},
            error_y={"array": 1.96 * std[which], "color": "rgba(138,130,121,0.25)", "width": 0, "thickness": 1},
            customdata=np.stack([measured[which], 1.96 * std[which]], axis=1),
            hovertemplate="%{text}: measured %{customdata[0]:.4f}, predicted %{x:.4f} ± %{customdata[1]:.4f}"
            "<extra></extra>",
        )
    return fig.update_layout(showlegend=True)


def predicted_against_measured(metrics, colours, measured, predicted, labels, unit: str) -> go.Figure:
    """Held-out predictions of each run's metrics of one unit against the measurements. Both (R, M)."""
    fig = figure(380, xaxis_title=f"measured, {escape(unit)}", yaxis_title=f"predicted, held out, {escape(unit)}")
    ends = [float(np.nanmin(measured)), float(np.nanmax(measured))]
    fig.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    for m, metric in enumerate(metrics):
        fig.add_scattergl(
            x=measured[:, m],
            y=predicted[:, m],
            mode="markers",
            name=escape(metric),
            text=labels,
            marker={"size": 6, "color": colours[metric], "opacity": 0.75},
            hovertemplate=f"%{{text}}, {escape(metric)}: measured %{{x:.3f}}, predicted %{{y:.3f}}<extra></extra>",
        )
    return fig.update_layout(showlegend=True)
