"""Figures of what a surrogate predicts: effects of domains, responses, contributions, intervals, residuals."""

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from dashboard.charts.style import (
    DIVERGING,
    GROUND,
    INK,
    LEVELS,
    LOSS_SCALE,
    MANY,
    TEXT,
    add_band,
    add_metrics,
    dash,
    escape,
    figure,
    oriented,
    triangle,
    unless,
)
from engine.spec.statistics import ci_half_width

BANDS = 24  # colours of an area


def influence(domains: list[str], metrics: list[str], effect, std, step: float, unit: str, better: str) -> go.Figure:
    """What +`step` of each domain (rows) does to each metric (columns). effect, std: (D, M) in `unit`."""
    return matrix((f"+{step:.0%} of", domains), ("effect on", metrics), effect, ci_half_width(std), unit, better)


def matrix(
    rows: tuple[str, list[str]], columns: tuple[str, list[str]], effect, half, unit: str, better: str
) -> go.Figure:
    """Effects of rows on columns, each a title and names; effect, half (K, M) of the 95% interval, in `unit`.

    A question mark, untinted, where zero lies inside the 95% interval; nothing where the effect is not known.
    """
    known = np.abs(effect) > half
    text = told(effect, half, ".3f")
    limit = float(np.nanquantile(np.abs(effect), 0.9)) if np.isfinite(effect).any() else 1.0
    limit = limit or 1.0  # one huge effect must not bleach all others
    fig = figure(
        90 + 40 * len(rows[1]),
        xaxis={"side": "top", "title": {"text": columns[0]}},
        yaxis={"autorange": "reversed", "title": {"text": rows[0]}},
    )
    fig.add_heatmap(
        z=unless(known, effect),
        x=[escape(name) for name in columns[1]],
        y=[escape(name) for name in rows[1]],
        text=text,
        texttemplate="%{text}",
        colorscale=oriented(DIVERGING, better),
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        customdata=np.stack([effect, half], -1),
        colorbar={"title": {"text": escape(unit)}, "thickness": 10},
        hovertemplate=f"{rows[0]} %{{y}}: %{{x}} %{{customdata[0]:+.4f}} ± %{{customdata[1]:.4f}} {escape(unit)}"
        "<extra></extra>",
    )
    fig.update_xaxes(showgrid=False, tickangle=-40 if len(columns[1]) > MANY else None)
    fig.update_yaxes(showgrid=False)
    return fig


def told(effect: np.ndarray, half: np.ndarray, form: str) -> list[list[str]]:
    """The texts of cells: effects and half of their 95% intervals (R, C), a question mark where not even the sign is
    sure; without the intervals where columns are many, and so narrow."""
    under = len(effect[0]) <= MANY

    def cell(value: float, width: float) -> str:
        if np.isnan(value):
            return ""
        if abs(value) <= width:
            return "?"
        return f"{value:+{form}}" + (f"<br>± {width:{form}}" if under else "")

    return [[cell(*pair) for pair in zip(*row, strict=True)] for row in zip(effect, half, strict=True)]


def response(
    domain: str, shares: np.ndarray, mean: np.ndarray, std: np.ndarray, metrics, colours, now: float, unit: str
) -> go.Figure:
    """Metrics of one unit along one domain's share (P,). mean, std: (P, M)."""
    fig = figure(
        340,
        xaxis={"title": {"text": f"share of {escape(domain)}"}, "tickformat": ".0%"},
        yaxis_title=escape(unit),
        meta={LEVELS: "y"},
    )
    for m, metric in enumerate(metrics):
        low, high = mean[:, m] - ci_half_width(std[:, m]), mean[:, m] + ci_half_width(std[:, m])
        add_band(fig, shares, low, high, colours[metric])
        fig.add_scatter(
            x=shares,
            y=mean[:, m],
            mode="lines",
            line={"color": colours[metric], "width": 2.2, "dash": dash(m)},
            name=escape(metric),
            hovertemplate=f"{escape(metric)} at %{{x:.1%}}: %{{y:.3f}} {escape(unit)}<extra></extra>",
        )
    fig.add_vline(x=now, line={"color": INK, "width": 1, "dash": "dot"})
    return fig.update_layout(showlegend=True)


def ternary(
    names: list[str],
    points: np.ndarray,
    mean: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    runs: np.ndarray,
    at: np.ndarray,
    title: str,
    better: str,
) -> go.Figure:
    """A predicted metric over three domains, as an area. points (N, 3): a grid of the triangle; mean, ends
    (N,): of its 95% interval; runs (R, 3) measured, as circles; at (3,): the faders, as a diamond."""
    fig = figure(470)
    a, b, c = (escape(name) for name in names)
    scale = oriented(LOSS_SCALE, better)
    for colour, outline in _areas(points, mean, scale):
        sides = dict(zip("abc", outline.T, strict=True))
        line = {"color": colour, "width": 1}  # no seam between two areas
        fig.add_scatterternary(**sides, mode="lines", fill="toself", fillcolor=colour, line=line, hoverinfo="skip")
    fig.add_scatterternary(
        a=points[:, 0],
        b=points[:, 1],
        c=points[:, 2],
        mode="markers",
        customdata=np.stack([mean, *ends], 1),
        marker={
            "size": 9,
            "color": mean,
            "opacity": 0,
            "colorscale": scale,
            "colorbar": {"title": {"text": escape(title).replace(", ", ",<br>")}, "thickness": 10},
        },
        hovertemplate=f"{a} %{{a:.0%}}, {b} %{{b:.0%}}, {c} %{{c:.0%}}<br>%{{customdata[0]:.3f}}, 95%: "
        "%{customdata[1]:.3f} to %{customdata[2]:.3f}<extra></extra>",
    )
    circle = {"size": 6, "color": GROUND, "line": {"color": TEXT, "width": 1}}
    diamond = {"symbol": "diamond", "size": 15, "color": TEXT, "line": {"color": GROUND, "width": 2}}
    for (first, second, third), marker in ((runs.T, circle), (at[:, None], diamond)):
        sides = {"a": first, "b": second, "c": third}
        fig.add_scatterternary(**sides, mode="markers", hoverinfo="skip", marker=marker, cliponaxis=False)
    return fig.update_layout(triangle(names))


def _areas(points: np.ndarray, values: np.ndarray, scale: list) -> list[tuple[str, np.ndarray]]:
    """The small triangles between a grid's points (N, 3), as outlines (K, 3) by colour; NaN ends a triangle."""
    steps = round(1 / np.min(points[points > 1e-9]))
    place = {tuple(one): i for i, one in enumerate(np.rint(points * steps).astype(int).tolist())}
    ends = float(values.min()), float(values.max())
    found: dict[str, list[np.ndarray]] = {}
    for (x, y, z), i in place.items():
        for turn in ((1, -1, 0), (1, 0, -1)), ((0, 1, -1), (1, 0, -1)):  # one triangle that points up, one down
            others = [place.get((x + dx, y + dy, z + dz)) for dx, dy, dz in turn]
            if None not in others:
                corners = [i, *others]
                level = (float(np.mean(values[corners])) - ends[0]) / ((ends[1] - ends[0]) or 1.0)
                band = (int(min(level, 0.999) * BANDS) + 0.5) / BANDS
                outline = np.vstack([points[[*corners, i]], np.full((1, 3), np.nan)])
                found.setdefault(sample_colorscale(scale, [band])[0], []).append(outline)
    return [(colour, np.vstack(outlines)) for colour, outlines in found.items()]


def interactions(domains: list[str], effect, std, step: float, unit: str, better: str) -> go.Figure:
    """Second differences of pairs of domains on one metric. effect, std: (K, K), NaN on the diagonal.

    A question mark, untinted, where zero lies inside the 95% interval.
    """
    known = np.abs(effect) > ci_half_width(std)
    text = told(effect, ci_half_width(std), ".2g")
    limit = float(np.nanquantile(np.abs(effect), 0.95)) or 1.0
    labels = [escape(domain) for domain in domains]
    fig = figure(130 + 36 * len(domains), xaxis={"side": "top"}, yaxis={"autorange": "reversed"})
    fig.add_heatmap(
        z=unless(known, effect),
        x=labels,
        y=labels,
        text=text,
        texttemplate="%{text}",
        colorscale=oriented(DIVERGING, better),
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        customdata=np.stack([effect, ci_half_width(std)], -1),
        hoverongaps=False,
        colorbar={"title": {"text": escape(unit)}, "thickness": 10, "tickformat": ".1g"},
        hovertemplate=f"+{step:.0%} of %{{y}} and of %{{x}}: %{{customdata[0]:+.4f}} ± %{{customdata[1]:.4f}} beyond "
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
    outside = np.abs(missed) > ci_half_width(std)
    fig = figure(
        380,
        xaxis_title=f"{escape(metric)} predicted, held out, {escape(unit)}",
        yaxis_title=f"measured minus predicted, {escape(unit)}",
        meta={LEVELS: "x"},
    )
    reach = 1.25 * max(
        np.abs(missed).max(), float(np.quantile(ci_half_width(std), 0.8))
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
            error_y={"array": ci_half_width(std[which]), "color": "rgba(138,130,121,0.25)", "width": 0, "thickness": 1},
            hovertemplate="%{text}: predicted %{x:.4f}, measured minus that %{y:+.4f} ± %{error_y.array:.4f}"
            "<extra></extra>",
        )
    return fig.update_layout(showlegend=True)


def predicted_against_measured(metrics, colours, measured, predicted, labels, unit: str) -> go.Figure:
    """Held-out predictions of each run's metrics of one unit against the measurements. Both (R, M)."""
    titles = {"xaxis_title": f"measured, {escape(unit)}", "yaxis_title": f"predicted, held out, {escape(unit)}"}
    fig = figure(380, meta={LEVELS: "xy"}, **titles)
    ends = [float(np.nanmin(measured)), float(np.nanmax(measured))]
    fig.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    return add_metrics(fig, metrics, colours, measured, predicted, labels, ("measured", "predicted"))
