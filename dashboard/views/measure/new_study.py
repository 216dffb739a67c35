"""New study: its text, a design with a live preview, constraints, proxies; and the cost before it starts."""

import contextlib
import dataclasses
import json
import os
from functools import lru_cache

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.components.plot import plot
from dashboard.models import wording
from dashboard.models.colours import colour_of
from dashboard.models.cost import (
    BYTES,
    CONFIRMED,
    CONFIRMING_SEEDS,
    CONFIRMING_SIZE,
    Cost,
    confirmation_cost,
    cost_of,
)
from dashboard.server import state
from dashboard.views.measure.target import ask_target, cut_words
from dashboard.views.shared.buttons import start_button
from dashboard.views.shared.metrics import ask_metrics
from dashboard.views.shared.target import text_notes
from dashboard.views.shared.text import duration, refusal
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.space.design import DESIGNS
from engine.spec.fidelity import PRESETS, Fidelity, learning_rate
from engine.spec.frame import frame_of
from engine.spec.repetition import DOSE
from engine.spec.study import StudySpec, chosen_domains, plan_runs, planned_roles
from store import corpora

SHOWN = 128  # points of a preview
TEXT = ("train_tokens", "train_documents", "whole")  # what a manifest says of how much text there is


@st.dialog("New study", width="large")
def new_study() -> None:
    """Ask for a study's settings, show its points and what it will cost, start it."""
    try:
        spec, manifest = ask()
    except Problem as problem:
        refusal(problem)
        return
    vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else BYTES
    domains = len(spec.domains or (manifest["domains"] if manifest else ()))
    cost(spec, vocabulary, roles_of(spec, manifest))
    notes(spec, manifest)
    if domains and spec.runs < 3 * (domains + 1):
        st.warning(
            f"With {domains} domains, the smooth surrogates need at least {3 * (domains + 1)} runs, and LightGBM more "
            "than 100."
        )
    start_button(spec)


def roles_of(spec: StudySpec, manifest: dict | None) -> dict[str, int]:
    """How many runs of each role the study will have; at most, while its corpus is not built or cannot be planned."""
    try:
        return planned_roles(spec, frame_of(spec, chosen_domains(spec, manifest), manifest) if manifest else None)
    except Problem:  # the preview above says why
        return planned_roles(spec, None)


def notes(spec: StudySpec, manifest: dict | None) -> None:
    """What has to be known of the text of the real run, whichever tab is open."""
    if manifest is not None:
        with contextlib.suppress(Problem):  # the preview says why
            text_notes(spec, frame_of(spec, chosen_domains(spec, manifest), manifest))


def cost(spec: StudySpec, vocabulary: int, roles: dict[str, int]) -> None:
    """Tokens, FLOPs and minutes of the study, and of confirming its answer later."""
    slots = os.cpu_count() or 1
    price = cost_of(state.store(), spec.fidelity, sum(roles.values()), vocabulary, slots)
    st.markdown(
        f"**Estimated time: {minutes_of(price)}** on {slots} cores ({price.basis}). "
        f"{wording.planned_words(roles)}, proxies of {spec.fidelity.parameters(vocabulary):,} parameters: "
        f"{price.tokens / 1e6:,.1f} million tokens, {price.flops:.2g} FLOPs."
    )
    if doses := roles.get(DOSE):
        part = cost_of(state.store(), spec.fidelity, doses, vocabulary, slots)
        st.caption(
            f"Of that, {wording.counted(doses, 'dose run')} for repetition: {minutes_of(part)}, "
            f"{part.tokens / 1e6:,.1f} million tokens, {part.flops:.2g} FLOPs."
        )
    later = confirmation_cost(state.store(), spec.fidelity, vocabulary, slots)
    st.caption(
        f"Confirming the result afterwards ({CONFIRMED} mixtures × {CONFIRMING_SEEDS} seeds at {CONFIRMING_SIZE}× the "
        f"size) would take {minutes_of(later)} more: {later.tokens / 1e6:,.1f} million tokens, {later.flops:.2g} FLOPs "
        f"({later.basis})."
    )


def minutes_of(price: Cost) -> str:
    return "unknown" if price.minutes is None else f"about {duration(60 * price.minutes)}"


def ask() -> tuple[StudySpec, dict | None]:
    """The form. Returns the study's settings and the corpus' manifest, None while that is not built."""
    store = state.store()
    left, right = st.columns(2)
    name = left.text_input("Name", "My study", max_chars=80)
    corpus = right.selectbox("Corpus", corpora.names(store) or ["default"], help="Built on the page Corpus.")
    manifest = corpora.manifest(store, corpus)
    there = list(manifest["domains"]) if manifest else []
    domains = st.multiselect("Domains", there, default=there) if there else []
    left, right = st.columns(2)
    runs = left.slider("Mixtures to train", 8, 512, 64, help="One proxy per mixture of the design.")
    preset_name = right.select_slider("Proxy size and budget", list(PRESETS), value="demo")
    metrics = ask_metrics()
    design_tab, limits_tab, proxy_tab = st.tabs(["Design", "Constraints and target", "Proxies"])
    with proxy_tab:
        fidelity, proxies = ask_proxies(PRESETS[preset_name], preset_name)
    with limits_tab:
        limits = ask_target(domains, manifest) | ask_bounds(domains)
    with design_tab:
        design = ask_design()
        chosen = () if domains == there else tuple(domains)
        settings = {**proxies, **limits, **design, "metrics": metrics}
        spec = StudySpec(name=name, corpus=corpus, domains=chosen, runs=runs, fidelity=fidelity, **settings)
        preview(spec, domains, manifest)
    return spec, manifest


def ask_design() -> dict:
    """Which design, and the parameters of its Dirichlet."""
    left, right = st.columns([2, 1])
    titles = told_apart({name: one.title for name, one in DESIGNS.items()})
    design = left.selectbox("Design", list(titles), format_func=titles.get)
    largest = right.slider(
        "Largest share of one domain", 0.3, 1.0, 0.95, help="Nearly pure mixtures are not very informative."
    )
    left.caption(DESIGNS[design].summary)
    found = {"design": design, "largest_share": largest}
    if not DESIGNS[design].draws:
        return found
    a, b, c, d = st.columns(4)
    found["strength"] = a.slider(
        "Strength",
        0.1,
        20.0,
        (0.1, 5.0),
        help="Concentration of the Dirichlet. Low: a few domains per mixture; high: all of them.",
    )
    found["temperature"] = b.slider(
        "Temperature", 0.05, 1.0, 0.5, help="The prior is raised to this power: 1 keeps it, 0 makes it uniform."
    )
    found["max_ratio"] = c.number_input("Largest ratio to the prior", 1.0, 1e6, 15.0)
    found["smallest_share"] = d.number_input(
        "Smallest share", 0.0, 0.1, 2e-4, format="%.4f", help="Smaller shares become 0."
    )
    return found


def preview(spec: StudySpec, domains: list[str], manifest: dict | None) -> None:
    """The design's points as they would be trained, or why there are none."""
    if manifest is None or len(domains) < 2:
        st.caption("The points appear here once the corpus is built.")
        return
    facts = {name: {key: manifest["domains"][name].get(key) for key in TEXT} for name in domains}
    corpus = {"fingerprint": manifest["fingerprint"], "domains": facts}
    wanted = dataclasses.replace(spec, name="preview", runs=min(spec.runs, SHOWN))
    try:
        points = points_of(json.dumps(wanted.to_dict()), json.dumps(corpus))
        frame = frame_of(spec, domains, corpus)
        cut = cut_words(spec, frame)
    except Problem as problem:
        refusal(problem)
        return
    plot(run_charts.design(domains, colour_of(domains), points), key="design-preview")
    more = f", the first {len(points)} of {spec.runs}" if spec.runs > len(points) else ""
    st.caption(f"{len(points)} mixtures of the design{more}; colour: largest domain. Baselines are added.{cut}")


@lru_cache(maxsize=32)
def points_of(spec: str, corpus: str) -> np.ndarray:
    """(n, D) design points; spec and corpus as JSON, so that what does not change is not drawn again."""
    spec, corpus = StudySpec.from_dict(json.loads(spec)), json.loads(corpus)
    frame = frame_of(spec, list(corpus["domains"]), corpus)
    return np.array([run["weights"] for run in plan_runs(spec, "preview", frame) if run["role"] == "design"])


def ask_bounds(domains: list[str]) -> dict:
    """Bounds of single domains and of groups."""
    if not domains:
        return {}
    st.caption(
        "Minimum and maximum share of each domain (equal: fixed). Domains with the same *group* can be bounded "
        "together below, and can keep their natural ratios within the group."
    )
    table = pd.DataFrame({"domain": domains, "min": 0.0, "max": 1.0, "group": ""})
    share = st.column_config.NumberColumn(min_value=0.0, max_value=1.0, step=0.01)
    rows = st.data_editor(
        table,
        hide_index=True,
        disabled=["domain"],
        key=f"bounds-{'-'.join(domains)}",
        column_config={"min": share, "max": share},
    )
    bounds = {
        domain: [float(low), float(high)]
        for domain, low, high, _ in rows.itertuples(index=False)
        if (low, high) != (0, 1)
    }
    named = [name for name in dict.fromkeys(str(x).strip() for x in rows["group"] if x) if name]
    if not named:
        return {"bounds": bounds}
    table = pd.DataFrame({"group": named, "min": 0.0, "max": 1.0, "keep ratios": False})
    groups = st.data_editor(
        table,
        hide_index=True,
        disabled=["group"],
        key=f"groups-{'-'.join(named)}",
        column_config={"min": share, "max": share},
    )
    found = []
    for name, low, high, keep in groups.itertuples(index=False):
        members = [row.domain for row in rows.itertuples() if str(row.group).strip() == name]
        kept = {"ratios": "prior"} if keep else {}
        found.append({"name": name, "domains": members, "share": [float(low), float(high)], **kept})
    return {"bounds": bounds, "groups": tuple(found)}


def ask_proxies(preset: Fidelity, preset_name: str) -> tuple[Fidelity, dict]:
    """Every setting of the proxies, and the seeds."""
    a, b, c = st.columns(3)
    width = a.select_slider("Width", [16, 32, 64, 128, 256, 512], value=preset.width, key=f"width-{preset_name}")
    changes = {
        "width": width,
        "heads": max(1, width // 32),
        "layers": b.number_input("Layers", 1, 48, preset.layers, key=f"layers-{preset_name}"),
        "context": c.number_input("Context, tokens", 8, 8192, preset.context, key=f"context-{preset_name}"),
        "batch": a.number_input("Batch, sequences", 1, 4096, preset.batch, key=f"batch-{preset_name}"),
        "tokens": b.number_input("Tokens per proxy", 1024, 10**12, preset.tokens, key=f"tokens-{preset_name}"),
        "learning_rate": c.number_input(
            "Learning rate",
            1e-6,
            1.0,
            learning_rate(width),
            format="%.1e",
            key=f"rate-{preset_name}-{width}",
            help="Default: the optimum for this width in the sweep that ships with Mixdesk.",
        ),
        "schedule": a.selectbox("Schedule", ["cosine", "wsd", "constant"], key=f"schedule-{preset_name}"),
        "activation": b.selectbox("Activation", ["swiglu", "gelu"], key=f"activation-{preset_name}"),
        "tie_embeddings": c.checkbox("Tie embeddings", preset.tie_embeddings, key=f"tie-{preset_name}"),
    }
    rest = {
        "repeats": a.number_input(
            "Repeats of natural", 0, 100, 4, help="With other seeds, to estimate the seed noise."
        ),
        "seed": b.number_input("Seed", 0, 10**6, 1),
        "common_random_numbers": c.checkbox(
            "Common random numbers",
            True,
            help="Same data order and initialisation for every mixture, which makes differences far less noisy.",
        ),
    }
    return dataclasses.replace(preset, **changes), rest
