"""View models -> figures. No streamlit, no store. One colour per domain everywhere; units on every axis.

Backgrounds are transparent and the text colour is set in the browser, so figures fit the light and the dark page.
"""

import colorsys

import numpy as np
import plotly.graph_objects as go

from engine.spec.objectives import BITS

MANY = 10  # domains or metrics from which on charts are laid out for many
# Distinct for the colour-blind, of one strength on light and dark: neighbours in the list are far apart.
PALETTE = (
    "#d9480f",
    "#1c7ed6",
    "#2f9e44",
    "#ae3ec9",
    "#e8a10c",
    "#0c8599",
    "#e64980",
    "#6b7280",
    "#5c940d",
    "#7048e8",
    "#a0622d",
    "#15aabf",
)
INK, FAINT, GRID = "#8a8279", "rgba(138,130,121,0.35)", "rgba(138,130,121,0.18)"
GOOD, BAD = "#0c8599", "#d9480f"  # lower and higher loss
DIVERGING = [[0, GOOD], [0.5, "rgba(138,130,121,0.06)"], [1, BAD]]
LOSS_SCALE = [[0, "#0b3d4a"], [0.35, "#0c8599"], [0.7, "#e8c27a"], [1, "#d9480f"]]


def colour_of(domains: list[str], metrics: list[str] = ()) -> dict[str, str]:
    """The colour of each domain, by its place in its corpus; a metric that is no domain's loss has its own."""
    return {name: nth_colour(i) for i, name in enumerate(dict.fromkeys([*domains, *metrics]))}


def nth_colour(place: int) -> str:
    """The palette, and beyond it hues a golden angle apart in turns of light and dark."""
    if place < len(PALETTE):
        return PALETTE[place]
    beyond = place - len(PALETTE)
    lightness, saturation = ((0.36, 0.55), (0.66, 0.5), (0.5, 0.3))[beyond % 3]
    red, green, blue = colorsys.hls_to_rgb((0.03 + 0.618034 * beyond) % 1, lightness, saturation)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


AXIS = {"gridcolor": GRID, "zerolinecolor": FAINT, "linecolor": FAINT, "ticks": "", "automargin": True}
# The house style as a template: plotly checks it once, not for every figure.
HOUSE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13},
        "xaxis": AXIS,
        "yaxis": AXIS,
        "margin": {"l": 10, "r": 14, "t": 30, "b": 10},
        "hovermode": "closest",
        "showlegend": False,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
)


def figure(height: int, **layout) -> go.Figure:
    """An empty figure in the house style."""
    return go.Figure(layout=go.Layout(template=HOUSE, height=height, **layout))


def curves(lines: dict[int, tuple], dominant: dict[int, str], colours: dict[str, str]) -> go.Figure:
    """Training curves: run number -> (tokens (S,), loss (S,), label), coloured by the run's largest domain.

    One trace a domain, its runs parted by gaps: a trace a run takes plotly ten times as long.
    """
    fig = figure(340, xaxis_title="tokens seen by each proxy", yaxis_title=f"training loss, {BITS}")
    for domain, colour in colours.items():
        own = [lines[number] for number in lines if dominant[number] == domain]
        if own:
            fig.add_scatter(
                x=np.concatenate([np.append(tokens, np.nan) for tokens, _, _ in own]),
                y=np.concatenate([np.append(loss, np.nan) for _, loss, _ in own]),
                text=np.concatenate([np.repeat(label, len(tokens) + 1) for tokens, _, label in own]),
                mode="lines",
                line={"width": 1.3, "color": colour},
                opacity=0.75,
                name=f"mostly {escape(domain)}",
                hovertemplate=f"%{{text}}<br>%{{x:,}} tokens: %{{y:.3f}} {BITS}<extra></extra>",
            )
    return fig.update_layout(showlegend=True)


def parallel(axes: list[dict], score: np.ndarray, title: str, better: str) -> go.Figure:
    """Runs as lines over axes {"label", "name", "values" (R,), "percent"}; coloured by the score (R,). Brush any axis.

    title: of the score, with its unit; better: "lower" or "higher".
    """
    fig = figure(430, margin={"l": 60, "r": 40, "t": 110, "b": 20})
    dimensions = []
    for axis in axes:
        one = {"label": escape(axis["label"]), "name": axis["name"], "values": axis["values"]}
        low, top = float(np.nanmin(axis["values"])), max(1e-3, float(np.nanmax(axis["values"])))
        one |= {"tickformat": ".0%", "range": [0, top]} if axis["percent"] else {"tickformat": ".4~g"}
        if len(axes) > MANY:  # labels at the ends alone: more would run into the next axis
            one["tickvals"] = np.array([0, top] if axis["percent"] else [low, top])
        dimensions.append(one)
    scale = turned(LOSS_SCALE, better)
    bar = {"title": {"text": escape(title).replace(", ", ",<br>")}, "thickness": 10}
    hidden = {"size": 1, "color": "rgba(0,0,0,0)"}
    fig.add_parcoords(
        dimensions=dimensions,
        line={"color": score, "colorscale": scale, "showscale": True, "colorbar": bar},
        labelangle=-30,
        labelfont={"size": 12},
        rangefont=hidden,
        unselected={"line": {"opacity": 0.06}},
    )
    return fig


def design(domains: list[str], colours: dict[str, str], points: np.ndarray) -> go.Figure:
    """The points (n, D) of a design: a triangle for three domains, else parallel coordinates; colour: the largest."""
    largest = points.argmax(axis=1)
    if len(domains) != 3:
        axes = [
            {"label": name, "name": name, "values": points[:, i], "percent": True} for i, name in enumerate(domains)
        ]
        fig = parallel(axes, largest, "", "lower").update_layout(height=300, margin={"t": 80, "r": 70})
        steps = [[i / max(1, len(domains) - 1), colours[name]] for i, name in enumerate(domains)]
        line = {"color": largest, "colorscale": steps, "cmin": 0, "cmax": len(domains) - 1, "showscale": False}
        return fig.update_traces(line=line)
    fig = figure(340, margin={"l": 40, "r": 40, "t": 30, "b": 50})
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
    return fig.update_layout(ternary=triangle((a, b, c)))


def triangle(names: tuple[str, str, str]) -> dict:
    """The layout of a ternary plot with these corners."""
    corner = {"gridcolor": GRID, "linecolor": FAINT, "tickformat": ".0%", "ticks": ""}
    axes = {f"{k}axis": {**corner, "title": {"text": name}} for k, name in zip("abc", names, strict=True)}
    return {"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes}


def losses_with_intervals(names, reference, current, best, scale) -> go.Figure:
    """Predicted metrics at the faders, against a reference: one row a metric, differences on one scale.

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

    Where zero lies inside the 95% interval the sign is not known, and the cell says so with a question mark.
    """
    known = np.abs(effect) > 1.96 * std
    text = [
        [f"{e:+.3f}" if sure else "?" for e, sure in zip(*row, strict=True)] for row in zip(effect, known, strict=True)
    ]
    limit = float(np.quantile(np.abs(effect), 0.9)) or 1.0  # one huge effect must not bleach all others
    scale = turned(DIVERGING, better)
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
    """Metrics of one unit along one domain's share (the others in proportion). mean, std: (P, M)."""
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
            "colorscale": turned(LOSS_SCALE, better),
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


def ranges(domains: list[str], colours, low: np.ndarray, high: np.ndarray, marks: dict[str, np.ndarray]) -> go.Figure:
    """The near-optimal range of each domain's share (D,), and named mixtures as marks."""
    fig = figure(
        80 + 42 * len(domains),
        xaxis={"title": {"text": "share of tokens"}, "tickformat": ".0%", "rangemode": "tozero"},
    )
    labels = [escape(domain) for domain in domains]
    fig.add_bar(
        x=high - low,
        base=low,
        y=labels,
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
    symbols = ("diamond", "circle-open", "x-thin", "cross-thin", "triangle-up-open")
    for symbol, (name, shares) in zip(symbols, marks.items(), strict=False):
        fig.add_scatter(
            x=shares,
            y=labels,
            mode="markers",
            name=escape(name),
            marker={"symbol": symbol, "size": 11, "color": BAD if symbol == "diamond" else INK, "line": {"width": 2}},
            hovertemplate=f"{escape(name)}, %{{y}}: %{{x:.1%}}<extra></extra>",
        )
    return fig.update_layout(showlegend=True, yaxis={"range": [len(domains) - 0.4, -0.6]})


def shares_bar(names: list[str], domains: list[str], colours, shares: np.ndarray) -> go.Figure:
    """Mixtures side by side as stacked bars: names (N,), shares (N, D)."""
    fig = figure(
        70 + 36 * len(names),
        barmode="stack",
        xaxis={"tickformat": ".0%", "range": [0, 1]},
        yaxis={"autorange": "reversed"},
    )
    for d, domain in enumerate(domains):
        fig.add_bar(
            x=shares[:, d],
            y=[escape(n) for n in names],
            orientation="h",
            name=escape(domain),
            marker={"color": colours[domain]},
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            text=[f"{s:.0%}" if s >= 0.05 else "" for s in shares[:, d]],
            hovertemplate=f"%{{y}}: {escape(domain)} %{{x:.1%}}<extra></extra>",
        )
    if len(domains) > MANY:  # the legend under the bars, whole: above them it would scroll
        a_row = max(1, int(900 / (45 + 7 * max(map(len, domains)))))  # entries of a legend as wide as the page
        under = 20 * -(-len(domains) // a_row)
        fig.update_layout(height=fig.layout.height + under, margin_b=40 + under)
        fig.update_layout(legend={"yref": "container", "y": 0.01, "yanchor": "bottom"})
    return fig.update_layout(showlegend=True, legend_traceorder="normal")


def sizes(domains: list[str], colours, train: np.ndarray, valid: np.ndarray) -> go.Figure:
    """Megabytes of text of each domain (D,): for training, and held out."""
    fig = figure(
        70 + 36 * len(domains),
        barmode="stack",
        xaxis_title="MB of text (the lighter end is held out)",
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


def turned(scale: list, better: str) -> list:
    """A colour scale made for losses, the other way round where higher is better."""
    return scale if better == "lower" else [[1 - at, colour] for at, colour in scale[::-1]]


def faded(colour: str, alpha: float = 0.14) -> str:
    """A hex colour with transparency."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def escape(text: str) -> str:
    """Plotly reads a little HTML in labels: show people's names as they are written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
