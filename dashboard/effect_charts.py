"""Figures of what domains do, and of what a surrogate got wrong: interactions, contributions, residuals."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.mixtures import DIVERGING, INK, escape, figure, turned


def interactions(domains: list[str], effect, std, step: float, unit: str, better: str) -> go.Figure:
    """Second differences of pairs of domains on one metric. effect, std: (K, K), NaN on the diagonal.

    Where zero lies inside the 95% interval the sign is not known, and the cell says so with a question mark.
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
        colorscale=turned(DIVERGING, better),
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        customdata=1.96 * std,
        hoverongaps=False,
        colorbar={"title": {"text": escape(unit)}, "thickness": 10, "tickformat": ".1g"},
        hovertemplate=f"+{step:.0%} of %{{y}} and of %{{x}}: %{{z:+.4f}} ± %{{customdata:.4f}} beyond the two alone"
        "<extra></extra>",
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
        colorscale=turned(DIVERGING, better),
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        colorbar={"title": {"text": escape(unit)}, "thickness": 10},
        hovertemplate=f"the share of %{{y}} moves %{{x}} by %{{z:+.4f}} {escape(unit)}<extra></extra>",
    )
    return fig.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def residuals(metric: str, colour: str, mean, std, measured, labels: list, unit: str) -> go.Figure:
    """Measured minus predicted of held-out runs (R,) over what was predicted, with 95% intervals of the prediction.

    A run that lies outside its interval is marked by name.
    """
    missed = measured - mean
    outside = np.abs(missed) > 1.96 * std
    fig = figure(
        380,
        xaxis_title=f"{escape(metric)} predicted without this run, {escape(unit)}",
        yaxis_title=f"measured minus predicted, {escape(unit)}",
    )
    reach = 1.25 * max(np.abs(missed).max(), float(np.quantile(1.96 * std, 0.8)))  # one huge doubt must not flatten all
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
    """Each held-out run's metrics of one unit, predicted by surrogates that never saw it. Both (R, M)."""
    fig = figure(
        380, xaxis_title=f"measured, {escape(unit)}", yaxis_title=f"predicted without this run, {escape(unit)}"
    )
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
