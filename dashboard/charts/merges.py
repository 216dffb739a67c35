"""Figures of merges: slices and lines through coefficients, task vectors, searches, merges against mixtures."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import (
    BAD,
    GOOD,
    GROUND,
    INK,
    LEVELS,
    LOSS_SCALE,
    SYMBOLS,
    TEXT,
    add_metrics,
    dash,
    escape,
    faded,
    figure,
    oriented,
)
from dashboard.models.colours import nth_colour
from engine.spec.statistics import ci_half_width


def slice_of(plane, names: tuple[str, str], at: tuple, runs, value, ends, title: str, better: str) -> go.Figure:
    """A predicted metric over two coefficients as a heat map with contours; measured points on it.

    plane: engine.analysis.slices.Slice; at: the faders' (x, y); value (N, N), and the ends of
    its 95% interval; runs: (x (R,), y (R,), off (R,), measured (R,), labels): those off the plane are drawn smaller and
    paler.
    """
    fig = figure(470, xaxis_title=escape(names[0]), yaxis_title=escape(names[1]))
    fig.add_contour(
        x=plane.x,
        y=plane.y,
        z=value,
        customdata=np.stack(ends, -1),
        colorscale=oriented(LOSS_SCALE, better),
        ncontours=14,
        line={"width": 0.7, "color": "rgba(255,255,255,0.55)"},
        contours={"coloring": "heatmap"},
        colorbar={"title": {"text": escape(title).replace(", ", ",<br>")}, "thickness": 10},
        hovertemplate=f"{escape(names[0])} %{{x:.2f}}, {escape(names[1])} %{{y:.2f}}<br>%{{z:.3f}} predicted, 95%: "
        "%{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
    )
    x, y, off, measured, labels = runs
    near = np.exp(-2 * off)
    fig.add_scatter(
        x=x,
        y=y,
        mode="markers",
        name="measured",
        text=labels,
        customdata=np.stack([measured, off], 1),
        marker={
            "size": 5 + 7 * near,
            "color": measured,
            "colorscale": oriented(LOSS_SCALE, better),
            "opacity": 0.35 + 0.65 * near,
            "cmin": float(np.nanmin(value)),
            "cmax": float(np.nanmax(value)),
            "line": {"color": GROUND, "width": 1},
        },
        hovertemplate="%{text}: measured %{customdata[0]:.3f}; %{customdata[1]:.2f} from this plane<extra></extra>",
    )
    cross = {"symbol": "cross", "size": 14, "color": TEXT, "line": {"width": 2, "color": GROUND}}
    fig.add_scatter(x=[at[0]], y=[at[1]], mode="markers", name="faders", marker=cross, hoverinfo="skip")
    reach = [[float(axis[0]), float(axis[-1])] for axis in (plane.x, plane.y)]
    return fig.update_layout(xaxis_range=reach[0], yaxis_range=reach[1])


def line_between(ends: tuple[str, str], part, mean, std, metrics, colours, unit: str, measured) -> go.Figure:
    """Metrics of one unit on the line from one merge to another. mean, std (N, M); measured: (part (R,), (R, M)) of
    merges on the line, or None."""
    title = {"text": f"from {escape(ends[0])} to {escape(ends[1])}"}
    fig = figure(380, xaxis={"title": title, "tickformat": ".0%"}, yaxis_title=escape(unit), meta={LEVELS: "y"})
    for m, metric in enumerate(metrics):
        colour = colours[metric]
        band = {"color": colour, "width": 0}
        high, low = mean[:, m] + ci_half_width(std[:, m]), mean[:, m] - ci_half_width(std[:, m])
        fig.add_scatter(x=part, y=high, mode="lines", line=band, hoverinfo="skip", showlegend=False)
        fig.add_scatter(
            x=part,
            y=low,
            mode="lines",
            line=band,
            fill="tonexty",
            fillcolor=faded(colour),
            hoverinfo="skip",
            showlegend=False,
        )
        fig.add_scatter(
            x=part,
            y=mean[:, m],
            mode="lines",
            line={"color": colour, "width": 2.2, "dash": dash(m)},
            name=escape(metric),
            hovertemplate=f"{escape(metric)} at %{{x:.0%}}: %{{y:.3f}} {escape(unit)} predicted<extra></extra>",
        )
        if measured is not None:
            fig.add_scatter(
                x=measured[0],
                y=measured[1][:, m],
                mode="markers",
                marker={"size": 8, "color": colour, "line": {"color": GROUND, "width": 1}},
                showlegend=False,
                hovertemplate=f"{escape(metric)} at %{{x:.0%}}: %{{y:.3f}} {escape(unit)} measured<extra></extra>",
            )
    return fig.update_layout(showlegend=True)


def trade_off(names: tuple[str, str], units: tuple[str, str], values, front, roles, labels, here) -> go.Figure:
    """Measured merges by two metrics (R, 2); front (R,) bool: the Pareto front. here: (2,) predicted at
    the faders with its std (2,), or None."""
    titles = [f"{escape(name)}, {escape(unit)}" for name, unit in zip(names, units, strict=True)]
    fig = figure(430, xaxis_title=titles[0], yaxis_title=titles[1], meta={LEVELS: "xy"})
    for place, role in enumerate(dict.fromkeys(roles)):
        which = np.array([one == role for one in roles])
        fig.add_scatter(
            x=values[which, 0],
            y=values[which, 1],
            mode="markers",
            name=escape(role),
            text=[label for label, is_in in zip(labels, which, strict=True) if is_in],
            marker={"size": 7, "symbol": SYMBOLS[place % len(SYMBOLS)], "color": nth_colour(place), "opacity": 0.7},
            hovertemplate="%{text}: %{x:.3f}, %{y:.3f}<extra></extra>",
        )
    order = np.flatnonzero(front)[np.argsort(values[front, 0])]
    fig.add_scatter(
        x=values[order, 0],
        y=values[order, 1],
        mode="lines+markers",
        name="Pareto front",
        line={"color": GOOD, "width": 2, "shape": "hv"},
        marker={"size": 9, "symbol": "diamond", "color": GOOD},
        hoverinfo="skip",
    )
    if here is not None:
        error = {"thickness": 2, "color": INK}
        fig.add_scatter(
            x=here[0][:1],
            y=here[0][1:],
            mode="markers",
            name="predicted at the faders, 95% interval",
            marker={"symbol": "cross-thin", "size": 14, "line": {"width": 3, "color": INK}},
            error_x={"array": ci_half_width(here[1][:1]), **error},
            error_y={"array": ci_half_width(here[1][1:]), **error},
        )
    return fig.update_layout(showlegend=True)


def along_front(coordinates: list[str], colours, points: np.ndarray, chosen: int) -> go.Figure:
    """The coefficients (F, D) of the merges on a front, as lines from its first to its last member."""
    fig = figure(380, xaxis_title="position on the front", yaxis_title="coefficient")
    place = np.arange(1, len(points) + 1)
    for d, name in enumerate(coordinates):
        fig.add_scatter(
            x=place,
            y=points[:, d],
            mode="lines+markers" if len(points) == 1 else "lines",
            name=escape(name),
            line={"width": 2, "color": colours[name], "dash": dash(d)},
            hovertemplate=f"{escape(name)}: %{{y:.3f}}<extra></extra>",
        )
    fig.add_vline(x=chosen + 1, line={"color": INK, "width": 2})
    return fig.update_layout(showlegend=True)


def moved(experts: list[str], tensors: list[str], moved: np.ndarray) -> go.Figure:
    """How far each expert moved each tensor from the base, (K, T), relative to the base's norm."""
    fig = figure(120 + 30 * len(tensors), xaxis={"side": "top"}, yaxis={"autorange": "reversed"})
    fig.add_heatmap(
        z=moved.T,
        x=[escape(name) for name in experts],
        y=[escape(name) for name in tensors],
        xgap=2,
        ygap=2,
        colorscale=[[0, "rgba(138,130,121,0.06)"], [1, BAD]],
        zmin=0,
        colorbar={"title": {"text": "|d| / |base|"}, "thickness": 10, "tickformat": ".0%"},
        texttemplate="%{z:.0%}" if moved.size <= 400 else None,
        hovertemplate="%{x} moved %{y} by %{z:.1%} of the base's norm<extra></extra>",
    )
    return fig.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def cosines(experts: list[str], values: np.ndarray) -> go.Figure:
    """Cosines between task vectors (K, K)."""
    labels = [escape(name) for name in experts]
    fig = figure(130 + 34 * len(labels), xaxis={"side": "top"}, yaxis={"autorange": "reversed"})
    fig.add_heatmap(
        z=values,
        x=labels,
        y=labels,
        zmin=-1,
        zmax=1,
        xgap=2,
        ygap=2,
        texttemplate="%{z:.2f}",
        colorscale=[[0, BAD], [0.5, "rgba(138,130,121,0.06)"], [1, GOOD]],
        colorbar={"title": {"text": "cosine"}, "thickness": 10},
        hovertemplate="%{x} and %{y}: %{z:.3f}<extra></extra>",
    )
    return fig.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def traces(lines: dict[str, np.ndarray], levels: dict[str, float], unit: str, better: str) -> go.Figure:
    """Best aggregate so far by evaluation, one line per search; baselines as levels."""
    title = f"best so far, {escape(unit)} ({better} is better)"
    fig = figure(340, xaxis_title="merges measured", yaxis_title=title, meta={LEVELS: "y"})
    for place, (name, line) in enumerate(lines.items()):
        fig.add_scatter(
            x=np.arange(1, len(line) + 1),
            y=line,
            mode="lines",
            name=escape(name),
            line={"width": 2.2, "shape": "hv", "color": nth_colour(place), "dash": dash(place)},
            hovertemplate=f"{escape(name)}, after %{{x}} merges: %{{y:.4f}} {escape(unit)}<extra></extra>",
        )
    for name, level in levels.items():
        fig.add_hline(
            y=level,
            line={"color": INK, "width": 1, "dash": "dot"},
            annotation_text=escape(name),
            annotation_font_size=11,
        )
    return fig.update_layout(showlegend=True)


def against_mixtures(metrics: list[str], series: dict[str, tuple], unit: str) -> go.Figure:
    """Losses of several models on the same metrics (M,): name -> (losses, half of the 95% interval, symbol, colour)."""
    height = 100 + 46 * len(metrics)
    fig = figure(height, xaxis_title=escape(unit), yaxis={"autorange": "reversed"}, meta={LEVELS: "x"})
    labels = [escape(metric) for metric in metrics]
    for name, (losses, error, symbol, colour) in series.items():
        fig.add_scatter(
            x=losses,
            y=labels,
            mode="markers",
            name=escape(name),
            marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
            error_x={"array": error, "thickness": 1.5, "width": 4, "color": colour},
            hovertemplate=f"{escape(name)}, %{{y}}: %{{x:.3f}} {escape(unit)}<extra></extra>",
        )
    return fig.update_layout(showlegend=True)


def paired(metrics: list[str], colours, trained: np.ndarray, merged: np.ndarray, labels, unit: str) -> go.Figure:
    """Losses (P, M) of the proxy trained on each mixture, and of the merge with the same numbers as coefficients."""
    fig = figure(
        400,
        xaxis_title=f"proxy trained on the mixture, {escape(unit)}",
        yaxis_title=f"merge at the same numbers, {escape(unit)}",
        meta={LEVELS: "xy"},
    )
    return add_metrics(fig, metrics, colours, trained, merged, labels, ("proxy", "merge"))
