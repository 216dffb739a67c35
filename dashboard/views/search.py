"""Search: the mixtures with the lowest predicted losses, against the baselines, and how arbitrary the choice is."""

import numpy as np
import streamlit as st

from dashboard import charts, components, state
from dashboard.views import parts
from engine import steward
from engine.study import priority_weights
from engine.surrogates import SURROGATES
from store import jobs, runs, searches, studies


def render(name: str | None) -> None:
    st.title("Search")
    if (study := parts.study_of(name)) is None or (fit := parts.fit_of(study)) is None:
        return
    share = parts.priorities_of(study)
    ask(study, fit.name, share)
    parts.live(lambda: results(study.id))


def ask(study: studies.Study, surrogate: str, share: np.ndarray) -> None:
    """Start a search with the surrogate and priorities of the sidebar."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    points = left.select_slider(
        "Simulated mixtures",
        [10_000, 100_000, 1_000_000, 5_000_000],
        1_000_000,
        format_func=lambda n: f"{n:,}",
        key="points",
    )
    if right.button("Search", type="primary", icon=":material/travel_explore:", width="stretch"):
        top = share.max()
        priorities = {d: round(float(s / top), 4) for d, s in zip(study.domains, share, strict=True) if s != top}
        steward.queue_search(state.store(), study, surrogate, priorities, points)
        st.rerun()


def results(name: str) -> None:
    """The latest search, or the one chosen."""
    store = state.store()
    study = studies.get(store, name)
    for job in jobs.of_study(store, name):
        if job.kind == "search" and job.state in jobs.UNFINISHED:
            st.progress(
                min(1.0, (job.done or 0) / (job.total or 1)),
                text=f"searching: {job.note or 'waits for its turn'}",
            )
        elif job.kind == "search" and job.state == "failed":
            parts.refusal(job.message)
    found = searches.of_study(store, name)
    if not found:
        st.info("The first search starts by itself after the first fit.")
        return
    chosen = 0
    if len(found) > 1:
        chosen = st.selectbox("Result", range(len(found)), format_func=lambda i: describe(found[i]), key="result")
    else:
        st.caption(describe(found[0]))
    one_result(study, found[chosen])


def describe(search: dict) -> str:
    """A search's settings in one line."""
    settings = search["settings"]
    counted = ", ".join(f"{d} counts {w:g}" if w else f"{d} not counted" for d, w in settings["priorities"].items())
    averaged = f"best {search['found']['averaged']} averaged"
    title = SURROGATES[settings["surrogate"]].title
    return f"{title} · {settings['points']:,} mixtures, {averaged} · {counted or 'all losses alike'}"


def one_result(study: studies.Study, search: dict) -> None:
    """A candidate against the baselines, and the near-optimal set around it."""
    found = search["found"]
    verdict(found)
    points = {"best": found["found"]["shares"]}
    points |= {"near-optimal, nearest natural": found["near_optimal"]["nearest_prior"]["shares"]}
    points |= {name: gap["baseline"]["shares"] for name, gap in found["differences"].items()}
    left, right = st.columns(2)
    colours = charts.colour_of(study.domains)
    shares = np.array(list(points.values()))
    with left:
        st.subheader("Mixtures", anchor=False)
        components.plot(charts.shares_bar(list(points), study.domains, colours, shares), key="mixtures")
    with right:
        st.subheader("How arbitrary is it?", anchor=False)
        near = found["near_optimal"]
        marks = {
            name: np.array(points[name])
            for name in ("best", "natural", "near-optimal, nearest natural")
            if name in points
        }
        figure = charts.ranges(study.domains, colours, np.array(near["lowest"]), np.array(near["highest"]), marks)
        components.plot(figure, key="ranges")
        st.caption(
            f"{near['count']:,} of {found['draws']:,} mixtures ({near['fraction']:.2%}) are predicted within one "
            "standard deviation of the lowest: any of them may be the best. A wide bar: this share hardly matters."
        )
    table(study, found, points, priority_weights(search["settings"]["priorities"], study.domains))


def verdict(found: dict) -> None:
    """In a sentence, and never a winner inside the noise."""
    best = found["found"]
    columns = st.columns(1 + len(found["differences"]))
    columns[0].metric(
        "Mean loss of the best, predicted", f"{best['aggregate']:.3f} ± {1.96 * best['aggregate_std']:.3f}"
    )
    for column, (name, gap) in zip(columns[1:], found["differences"].items(), strict=True):
        column.metric(
            f"against {name}", f"{gap['aggregate']:+.3f} ± {1.96 * gap['aggregate_std']:.3f}",
            "inside the noise" if gap["inside_noise"] else "better" if gap["aggregate"] < 0 else "worse",
            delta_color="off" if gap["inside_noise"] else "normal" if gap["aggregate"] < 0 else "inverse",
            delta_arrow="off",
        )  # fmt: skip
    st.caption(
        "Bits per byte, 95% intervals of the difference between two trained proxies. The best was chosen because its "
        "prediction is low, so it will measure somewhat worse than predicted: train it before you believe it."
    )


def table(study: studies.Study, found: dict, points: dict, weights: np.ndarray) -> None:
    """Predicted losses of each mixture, and measured ones where a run stands at it."""
    predicted = {
        "best": found["found"],
        "near-optimal, nearest natural": found["near_optimal"]["nearest_prior"],
    }
    predicted |= {name: gap["baseline"] for name, gap in found["differences"].items()}
    measured = runs.measured(state.store(), study.id)
    rows = []
    for name, one in predicted.items():
        row = {"mixture": name, "mean": one["aggregate"], "± 95%": 1.96 * one["aggregate_std"]}
        row |= dict(zip(study.domains, one["mean"], strict=True))
        same = (
            np.flatnonzero(np.abs(measured.weights - np.array(points[name])).max(axis=1) < 1e-6)
            if len(measured.ids)
            else []
        )
        row["measured mean"] = float(measured.losses[same].mean(axis=0) @ weights) if len(same) else None
        row["runs there"] = len(same)
        rows.append(row)
    number = st.column_config.NumberColumn(format="%.3f")
    columns = {key: number for key in rows[0] if key not in ("mixture", "runs there")}
    st.dataframe(rows, hide_index=True, column_config=columns)
    st.caption(
        "Predicted losses in bits per byte on held-out text; *measured mean* is of trained proxies at exactly that "
        "mixture."
    )
