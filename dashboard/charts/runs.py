"""Figures of runs: training curves, parallel coordinates, the points of a design, sizes of a corpus."""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import (
    GOOD,
    INK,
    LEVELS,
    LINES_SCALE,
    MANY,
    TEXT,
    dash,
    escape,
    faded,
    figure,
    oriented,
    triangle,
)
from engine.spec.objectives import BITS
from engine.spec.statistics import first_lowest


def curves(
    lines: dict[int, tuple],
    group: dict[int, str],
    colours: dict[str, str],
    logarithmic: tuple[bool, bool] = (False, False),
    unit: str = BITS,
) -> go.Figure:
    """Training curves: run number -> (tokens (S,), loss (S,), label), coloured by the run's group, such as "mostly
    prose". logarithmic: the axes of tokens and of the loss; unit: of the loss.

    One trace per group, its runs separated by gaps: one per run takes Plotly ten times as long. With markers where a
    run has a single point, which is no line.
    """
    titles = {"xaxis_title": "tokens seen by each proxy", "yaxis_title": f"training loss, {unit}"}
    fig = figure(340, meta={LEVELS: "y"}, **titles)
    for axis, is_log in zip((fig.layout.xaxis, fig.layout.yaxis), logarithmic, strict=True):
        axis.type = "log" if is_log else "linear"
    for place, (name, colour) in enumerate(colours.items()):
        own = [lines[number] for number in lines if group[number] == name]
        if own:
            fig.add_scatter(
                x=np.concatenate([np.append(tokens, np.nan) for tokens, _, _ in own]),
                y=np.concatenate([np.append(loss, np.nan) for _, loss, _ in own]),
                text=np.concatenate([np.repeat(label, len(tokens) + 1) for tokens, _, label in own]),
                mode="lines" if all(len(tokens) > 1 for tokens, _, _ in own) else "lines+markers",
                line={"width": 1.3, "color": colour, "dash": dash(place)},
                marker={"size": 6},
                opacity=0.75,
                name=escape(name),
                hovertemplate=f"%{{text}}<br>%{{x:,}} tokens: %{{y:.3f}} {unit}<extra></extra>",
            )
    return fig.update_layout(showlegend=True)


def best_so_far(numbers: np.ndarray, score: np.ndarray, best: np.ndarray, title: str) -> go.Figure:
    """Measured scores (R,) in the order of the runs' numbers (R,), and the best up to each. title: with the unit. The
    axis reaches as far as `scale_of_best` says."""
    low, high = scale_of_best(score, best)
    room = 0.06 * (high - low)
    fig = figure(300, xaxis_title="run, in the order of their numbers", yaxis_title=escape(title))
    fig.update_yaxes(range=[low - room, high + room])
    fig.add_scatter(
        x=numbers,
        y=score,
        mode="markers",
        marker={"size": 6, "color": INK, "opacity": 0.6},
        name="each run",
        hovertemplate="run %{x}: %{y:.4f}<extra></extra>",
    )
    fig.add_scatter(
        x=numbers,
        y=best,
        mode="lines",
        line={"width": 2.5, "shape": "hv", "color": GOOD},
        name="best so far",
        hovertemplate="best up to run %{x}: %{y:.4f}<extra></extra>",
    )
    return fig.update_layout(showlegend=True)


def scale_of_best(score: np.ndarray, best: np.ndarray) -> tuple[float, float]:
    """The ends of an axis of scores (R,): all of them, or where bad ones would flatten the rest, those up to three
    times as far from the best as half of them are, and every best so far (R,)."""
    away = np.abs(score - best[-1])
    reach = 3 * float(np.median(away))
    kept = score if away.max() <= 2 * reach else np.append(score[away <= reach], best)
    low, high = float(kept.min()), float(kept.max())
    return (low, high) if high > low else (low - 1e-3, high + 1e-3)


def parallel(axes: list[dict], score: np.ndarray, title: str, better: str) -> go.Figure:
    """Runs as lines over axes {"label", "name", "values" (R,), "percent"}; coloured by the score (R,). Brush any axis;
    "brush" of an axis, if it has one: [[low, high], ...] at first.

    title: of the score, with its unit; better: "lower" or "higher".
    """
    fig = figure(470, margin={"l": 40, "r": 60, "t": 100, "b": 80})
    dimensions = []
    for axis in axes:
        one = {"label": escape(axis["label"]), "name": axis["name"], "values": axis["values"]}
        top = max(1e-3, float(np.nanmax(axis["values"])))
        one |= {"tickformat": ".0%", "range": [0, top]} if axis["percent"] else {"tickformat": ".4~g"}
        if axis.get("brush"):
            one["constraintrange"] = axis["brush"]
        dimensions.append(one)
    scale = oriented(LINES_SCALE, better)
    bar = {"title": {"text": escape(title), "side": "top"}, "thickness": 10, "orientation": "h"}
    bar |= {"y": -0.09, "yanchor": "top", "x": 0, "xanchor": "left", "len": 1}  # beside the axes it would squeeze them
    # Of many axes the ends alone are labelled: ticks would run into the next axis. Ticks that are named one by one make
    # an axis of steps, on which a brush jumps to the nearest one.
    shown, hidden = {"color": TEXT, "size": 11}, {"size": 1, "color": "rgba(0,0,0,0)"}
    ticks, ends = (hidden, shown) if len(axes) > MANY else (shown, hidden)
    fig.add_parcoords(
        dimensions=dimensions,
        line={"color": score, "colorscale": scale, "showscale": True, "colorbar": bar},
        labelangle=-30,
        labelfont={"size": 12},
        tickfont=ticks,
        rangefont=ends,
        unselected={"line": {"opacity": 0.06}},
    )
    return fig


def design(domains: list[str], colours: dict[str, str], points: np.ndarray) -> go.Figure:
    """The points (n, D) of a design: a triangle for three domains, else parallel coordinates; colour: the largest."""
    largest = first_lowest(-points)
    if len(domains) != 3:
        axes = [
            {"label": name, "name": name, "values": points[:, i], "percent": True} for i, name in enumerate(domains)
        ]
        fig = parallel(axes, largest, "", "lower").update_layout(height=300, margin={"t": 80, "b": 20})
        steps = [[i / max(1, len(domains) - 1), colours[name]] for i, name in enumerate(domains)]
        line = {"color": largest, "colorscale": steps, "cmin": 0, "cmax": len(domains) - 1, "showscale": False}
        return fig.update_traces(line=line)
    fig = figure(340)
    a, b, c = (escape(name) for name in domains)
    fig.add_scatterternary(
        a=points[:, 0],
        b=points[:, 1],
        c=points[:, 2],
        mode="markers",
        cliponaxis=False,
        marker={"size": 8, "opacity": 0.8, "color": [colours[domains[i]] for i in largest]},
        hovertemplate=f"{a} %{{a:.1%}}, {b} %{{b:.1%}}, {c} %{{c:.1%}}<extra></extra>",
    )
    return fig.update_layout(triangle(domains))


def sizes(domains: list[str], colours, train: np.ndarray, valid: np.ndarray) -> go.Figure:
    """Bytes of training and validation text of each domain (D,)."""
    fig = figure(
        70 + 36 * len(domains),
        barmode="stack",
        xaxis_title="MB of text (lighter: validation)",
        yaxis={"autorange": "reversed"},
    )
    labels = [escape(domain) for domain in domains]
    for values, alpha, name in ((train, 1.0, "train"), (valid, 0.4, "validation")):
        fig.add_bar(
            x=values / 1e6,
            y=labels,
            orientation="h",
            name=name,
            marker={"color": [faded(colours[d], alpha) for d in domains]},
            hovertemplate=f"%{{y}}, {name}: %{{x:.2f}} MB<extra></extra>",
        )
    return fig
