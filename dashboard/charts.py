"""View models -> figures. No streamlit, no store. One colour per domain everywhere; units on every axis.

Backgrounds are transparent and the text colour is set in the browser, so figures fit the light and the dark page.
"""

import numpy as np
import plotly.graph_objects as go

# Distinct for the colour-blind, of one strength on light and dark: neighbours in the list are far apart.
PALETTE = (
    "#d9480f", "#1c7ed6", "#2f9e44", "#ae3ec9", "#e8a10c", "#0c8599",
    "#e64980", "#6b7280", "#5c940d", "#7048e8", "#a0622d", "#15aabf",
)  # fmt: skip
INK, FAINT, GRID = "#8a8279", "rgba(138,130,121,0.35)", "rgba(138,130,121,0.18)"
GOOD, BAD = "#0c8599", "#d9480f"  # lower and higher loss
DIVERGING = [[0, GOOD], [0.5, "rgba(138,130,121,0.06)"], [1, BAD]]
LOSS_SCALE = [[0, "#0b3d4a"], [0.35, "#0c8599"], [0.7, "#e8c27a"], [1, "#d9480f"]]
BITS = "bits per byte"


def colour_of(domains: list[str]) -> dict[str, str]:
    """The colour of each domain, by its place in its corpus."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(domains)}


AXIS = {"gridcolor": GRID, "zerolinecolor": FAINT, "linecolor": FAINT, "ticks": "", "automargin": True}
# The house style as a template: plotly checks it once, not for every figure.
HOUSE = go.layout.Template(layout={
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"size": 13}, "xaxis": AXIS,
    "yaxis": AXIS, "margin": {"l": 10, "r": 14, "t": 30, "b": 10}, "hovermode": "closest", "showlegend": False,
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
})  # fmt: skip


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
                mode="lines", line={"width": 1.3, "color": colour}, opacity=0.75, name=f"mostly {escape(domain)}",
                hovertemplate=f"%{{text}}<br>%{{x:,}} tokens: %{{y:.3f}} {BITS}<extra></extra>",
            )  # fmt: skip
    return fig.update_layout(showlegend=True)


def parallel(domains: list[str], shares: np.ndarray, mean_loss: np.ndarray, losses: np.ndarray) -> go.Figure:
    """Runs as lines: shares (R, D), then every domain's loss (R, D), then their mean; brush any axis."""
    fig = figure(430, margin={"l": 60, "r": 40, "t": 90, "b": 20})
    names = [escape(name) for name in domains]
    axes = [
        {
            "label": f"share {name}", "name": f"share {i}", "values": shares[:, i], "tickformat": ".0%",
            "range": [0, max(1e-3, float(shares[:, i].max()))],
        }
        for i, name in enumerate(names)
    ]  # fmt: skip
    axes += [
        {"label": f"loss {name}", "name": f"loss {i}", "values": losses[:, i], "tickformat": ".2f"}
        for i, name in enumerate(names)
    ]
    axes.append({"label": "mean loss", "name": "mean", "values": mean_loss, "tickformat": ".3f"})
    bar = {"title": {"text": "mean loss,<br>bits/byte"}, "thickness": 10}
    line = {"color": mean_loss, "colorscale": LOSS_SCALE, "showscale": True, "colorbar": bar}
    hidden = {"size": 1, "color": "rgba(0,0,0,0)"}
    fig.add_parcoords(
        dimensions=axes, line=line, labelangle=-30, labelfont={"size": 12}, rangefont=hidden,
        unselected={"line": {"opacity": 0.06}},
    )  # fmt: skip
    return fig


def losses_with_intervals(domains, colours, reference, current, best) -> go.Figure:
    """Predicted losses at the faders, against a reference: one row a domain, difference in bits per byte.

    reference: (name, losses (M,)); current: (mean (M,), std of the difference to the reference (M,));
    best: (name, losses (M,)) of the best measured run, or None.
    """
    name, base = reference
    mean, std = current
    fig = figure(70 + 42 * len(domains), xaxis_title=f"difference to {escape(name)}, {BITS} (left is better)")
    labels = [escape(domain) for domain in domains]
    fig.add_vline(x=0, line={"color": INK, "width": 1.2})
    if best is not None:
        fig.add_scatter(
            x=best[1] - base, y=labels, mode="markers", name=f"measured: {escape(best[0])}",
            marker={"symbol": "line-ns", "size": 15, "line": {"width": 2, "color": INK}},
            customdata=best[1], hovertemplate=f"{escape(best[0])}, measured: %{{customdata:.3f}} {BITS}<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=mean - base, y=labels, mode="markers", name="predicted at the faders, 95% interval",
        marker={"size": 13, "color": [colours[d] for d in domains]},
        error_x={"array": 1.96 * std, "thickness": 2, "width": 5, "color": INK},
        customdata=np.stack([mean, 1.96 * std], axis=1),
        hovertemplate=f"%{{y}}: %{{customdata[0]:.3f}} ± %{{customdata[1]:.3f}} {BITS}<extra></extra>",
    )  # fmt: skip
    return fig.update_layout(showlegend=True, yaxis={"autorange": "reversed"})


def influence(domains: list[str], metrics: list[str], effect: np.ndarray, std: np.ndarray, step: float) -> go.Figure:
    """What +`step` of each domain (rows) does to each loss (columns). effect, std: (D, M) bits per byte.

    Where zero lies inside the 95% interval the sign is not known, and the cell says so with a question mark.
    """
    known = np.abs(effect) > 1.96 * std
    text = [
        [f"{e:+.3f}" if sure else "?" for e, sure in zip(*row, strict=True)] for row in zip(effect, known, strict=True)
    ]
    limit = float(np.quantile(np.abs(effect), 0.9)) or 1.0  # one huge effect must not bleach all others
    fig = figure(
        90 + 40 * len(domains),
        xaxis={"side": "top", "title": {"text": "loss of"}},
        yaxis={"autorange": "reversed", "title": {"text": f"+{step:.0%} of"}},
    )
    fig.add_heatmap(
        z=effect, x=[escape(m) for m in metrics], y=[escape(d) for d in domains], text=text, texttemplate="%{text}",
        colorscale=DIVERGING, zmin=-limit, zmax=limit, xgap=3, ygap=3, customdata=1.96 * std,
        colorbar={"title": {"text": "bits/byte"}, "thickness": 10},
        hovertemplate=f"+{step:.0%} %{{y}}: loss of %{{x}} %{{z:+.4f}} ± %{{customdata:.4f}} {BITS}<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(showgrid=False)
    fig.update_yaxes(showgrid=False)
    return fig


def response(
    domain: str, shares: np.ndarray, mean: np.ndarray, std: np.ndarray, metrics, colours, now: float
) -> go.Figure:
    """Every loss along one domain's share (the others in proportion). mean, std: (P, M) bits per byte."""
    fig = figure(
        340,
        xaxis={"title": {"text": f"share of {escape(domain)}"}, "tickformat": ".0%"},
        yaxis_title=f"loss, {BITS}",
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
            x=shares, y=mean[:, m], mode="lines", line={"color": colours[metric], "width": 2.2}, name=escape(metric),
            hovertemplate=f"{escape(metric)} at %{{x:.1%}}: %{{y:.3f}} {BITS}<extra></extra>",
        )  # fmt: skip
    fig.add_vline(x=now, line={"color": INK, "width": 1, "dash": "dot"})
    return fig.update_layout(showlegend=True)


def ternary(
    names: list[str], points: np.ndarray, mean: np.ndarray, std: np.ndarray, runs: np.ndarray, title: str
) -> go.Figure:
    """Predicted loss over three domains. points (N, 3) barycentric; mean, std (N,); runs (R, 3) measured, as dots."""
    fig = figure(470, margin={"l": 40, "r": 40, "t": 40, "b": 40})
    a, b, c = (escape(name) for name in names)
    fig.add_scatterternary(
        a=points[:, 0], b=points[:, 1], c=points[:, 2], mode="markers", customdata=np.stack([mean, 1.96 * std], 1),
        marker={
            "symbol": "hexagon", "size": 9, "color": mean, "colorscale": LOSS_SCALE, "opacity": 0.9,
            "colorbar": {"title": {"text": escape(title)}, "thickness": 10},
        },
        hovertemplate=f"{a} %{{a:.0%}}, {b} %{{b:.0%}}, {c} %{{c:.0%}}<br>%{{customdata[0]:.3f}} ± "
        "%{customdata[1]:.3f}<extra></extra>",
    )  # fmt: skip
    fig.add_scatterternary(
        a=runs[:, 0], b=runs[:, 1], c=runs[:, 2], mode="markers", hoverinfo="skip",
        marker={"size": 6, "color": "rgba(0,0,0,0)", "line": {"color": "#ffffff", "width": 1.5}},
    )  # fmt: skip
    corner = {"gridcolor": GRID, "linecolor": FAINT, "tickformat": ".0%", "ticks": ""}
    axes = {f"{k}axis": {**corner, "title": {"text": name}} for k, name in zip("abc", (a, b, c), strict=True)}
    return fig.update_layout(ternary={"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes})


def league(rows: list[dict]) -> go.Figure:
    """Held-out rank correlation of each surrogate: rows of {"title", "spearman", "low", "high", "chosen"}."""
    rows = rows[::-1]
    fig = figure(80 + 38 * len(rows), xaxis_title="Spearman on held-out runs, mean over domains (right is better)")
    spearman = np.array([row["spearman"] for row in rows])
    fig.add_scatter(
        x=spearman, y=[row["title"] for row in rows], mode="markers+text", textposition="top center",
        text=[f"{value:.3f}" for value in spearman],
        marker={"size": 12, "color": [BAD if row["chosen"] else INK for row in rows]},
        error_x={
            "array": [row["high"] - row["spearman"] for row in rows], "symmetric": False, "width": 4, "color": FAINT,
            "arrayminus": [row["spearman"] - row["low"] for row in rows],
        },
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )  # fmt: skip
    return fig


def predicted_against_measured(metrics, colours, measured: np.ndarray, predicted: np.ndarray, labels) -> go.Figure:
    """Each held-out run's loss, predicted by surrogates that never saw it. measured, predicted: (R, M)."""
    fig = figure(380, xaxis_title=f"measured, {BITS}", yaxis_title=f"predicted without this run, {BITS}")
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
            x=measured[:, m], y=predicted[:, m], mode="markers", name=escape(metric), text=labels,
            marker={"size": 6, "color": colours[metric], "opacity": 0.75},
            hovertemplate=f"%{{text}}, {escape(metric)}: measured %{{x:.3f}}, predicted %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    return fig.update_layout(showlegend=True)


def ranges(domains: list[str], colours, low: np.ndarray, high: np.ndarray, marks: dict[str, np.ndarray]) -> go.Figure:
    """The near-optimal range of each domain's share (D,), and named mixtures as marks."""
    fig = figure(
        80 + 42 * len(domains),
        xaxis={"title": {"text": "share of tokens"}, "tickformat": ".0%", "rangemode": "tozero"},
    )
    labels = [escape(domain) for domain in domains]
    fig.add_bar(
        x=high - low, base=low, y=labels, orientation="h", width=0.55, name="near-optimal range",
        marker={
            "color": [faded(colours[d], 0.35) for d in domains],
            "line": {"color": [colours[d] for d in domains], "width": 1},
        },
        customdata=np.stack([low, high], 1),
        hovertemplate="%{y}: %{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>",
    )  # fmt: skip
    symbols = ("diamond", "circle-open", "x-thin", "cross-thin", "triangle-up-open")
    for symbol, (name, shares) in zip(symbols, marks.items(), strict=False):
        fig.add_scatter(
            x=shares, y=labels, mode="markers", name=escape(name),
            marker={"symbol": symbol, "size": 11, "color": BAD if symbol == "diamond" else INK, "line": {"width": 2}},
            hovertemplate=f"{escape(name)}, %{{y}}: %{{x:.1%}}<extra></extra>",
        )  # fmt: skip
    return fig.update_layout(showlegend=True, yaxis={"autorange": "reversed"})


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
            x=shares[:, d], y=[escape(n) for n in names], orientation="h", name=escape(domain),
            marker={"color": colours[domain]}, textposition="inside", insidetextanchor="middle", textangle=0,
            text=[f"{s:.0%}" if s >= 0.05 else "" for s in shares[:, d]],
            hovertemplate=f"%{{y}}: {escape(domain)} %{{x:.1%}}<extra></extra>",
        )  # fmt: skip
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
            x=values / 1e6, y=labels, orientation="h", name=name,
            marker={"color": [faded(colours[d], alpha) for d in domains]},
            hovertemplate=f"%{{y}}, {name}: %{{x:.2f}} MB<extra></extra>",
        )  # fmt: skip
    return fig


def faded(colour: str, alpha: float = 0.14) -> str:
    """A hex colour with transparency."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def escape(text: str) -> str:
    """Plotly reads a little HTML in labels: show people's names as they are written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
