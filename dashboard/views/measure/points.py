"""Which mixtures a new study is to measure: its design, with a live preview, and how many of them again."""

import dataclasses
import json
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.models.colours import colour_of
from dashboard.views.measure.target import cut_words
from dashboard.views.shared.plot import plot
from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.space.design import DESIGNS
from engine.spec.frame import frame_of, new_frame
from engine.spec.study import StudySpec, plan_runs

SHOWN = 128  # points of a preview
TEXT = ("train_tokens", "train_documents", "whole")  # what a manifest says of how much text there is


def ask_design(start: StudySpec) -> dict:
    """Which design, and the parameters of its Dirichlet."""
    left, right = st.columns([2, 1])
    titles = told_apart({name: one.title for name, one in DESIGNS.items()})
    design = left.selectbox("Design", list(titles), list(titles).index(start.design), format_func=titles.get)
    largest = float(start.largest_share)
    largest = right.slider(
        "Largest share of one domain",
        min(0.3, largest),
        1.0,
        largest,
        help="Nearly pure mixtures are not very informative.",
    )
    left.caption(DESIGNS[design].summary)
    found = {"design": design, "largest_share": largest}
    if not DESIGNS[design].draws:
        return found
    a, b, c, d = st.columns(4)
    low, high = map(float, start.strength)
    found["strength"] = a.slider(
        "Strength",
        min(0.1, low),
        max(20.0, high),
        (low, high),
        help="Concentration of the Dirichlet. Low: a few domains per mixture; high: all of them.",
    )
    temperature = float(start.temperature)
    found["temperature"] = b.slider(
        "Temperature",
        min(0.05, temperature),
        max(1.0, temperature),
        temperature,
        help="The prior is raised to this power: 1 keeps it, 0 makes it uniform.",
    )
    ratio = float(start.max_ratio)
    found["max_ratio"] = c.number_input("Largest ratio to the prior", 1.0, max(1e6, ratio), ratio)
    most = max(0.1, start.smallest_share)
    found["smallest_share"] = d.number_input(
        "Smallest share", 0.0, most, start.smallest_share, format="%.4f", help="Smaller shares become 0."
    )
    return found


def preview(spec: StudySpec, domains: list[str], corpus: dict | None) -> None:
    """The design's points as they would be trained, or why there are none. corpus: a manifest, or what stands for it in
    a study without a corpus; None while it is not built."""
    if corpus is None or len(domains) < 2:
        st.caption("The points appear here once the corpus is built.")
        return
    kept = {key: corpus[key] for key in ("fingerprint", "pools") if key in corpus}
    facts = {
        name: {key: one[key] for key in TEXT if key in one}
        for name, one in corpus["domains"].items()
        if name in domains
    }
    corpus = kept | {"domains": facts}
    wanted = dataclasses.replace(spec, name="preview", runs=min(spec.runs, SHOWN))
    try:
        count, figure = drawn(json.dumps(wanted.to_dict()), tuple(domains), json.dumps(corpus))
        cut = cut_words(spec, frame_of(spec, domains, corpus))
    except Problem as problem:
        refusal(problem)
        return
    plot(figure, key="design-preview")
    more = f", the first {count} of {spec.runs}" if spec.runs > count else ""
    st.caption(f"{count} mixtures of the design{more}; colour: largest domain. Baselines are added.{cut}")


@lru_cache(maxsize=32)
def drawn(spec: str, domains: tuple[str, ...], corpus: str) -> tuple[int, go.Figure]:
    """How many points a design has, and their chart; spec and corpus as JSON, so that what does not change is not made
    again."""
    asked = StudySpec.from_dict(json.loads(spec))
    frame = new_frame(asked, list(domains), json.loads(corpus))
    points = [run["weights"] for run in plan_runs(asked, "preview", frame) if run["role"] == "design"]
    return len(points), run_charts.design(list(domains), colour_of(domains), np.array(points))


def ask_repeats(a, b, c, start: StudySpec) -> dict:
    """How many mixtures are trained again, and the seeds; a, b, c: where they are asked."""
    return {
        "repeats": a.number_input(
            "Repeats", 0, 100, start.repeats, help="With other seeds, to estimate the seed noise."
        ),
        "repeat_mixtures": b.number_input(
            "Mixtures that are repeated",
            1,
            101,
            start.repeat_mixtures,
            help="The natural one first, then mixtures of the design. Tasks need several.",
        ),
        "seed": b.number_input("Seed", 0, max(10**6, start.seed), start.seed),
        "common_random_numbers": c.checkbox(
            "Common random numbers",
            start.common_random_numbers,
            help="Same data order and initialisation for every mixture, which makes differences far less noisy.",
        ),
    }
