"""New study: its text, design with a live preview, constraints, proxies; and what it will cost before it starts."""

import dataclasses
import json
import os
from functools import lru_cache

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.models import progress as queries
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.space.design import DESIGNS
from engine.spec.fidelity import PRESETS, Fidelity, learning_rate
from engine.spec.frame import frame_of
from engine.spec.study import StudySpec, plan_runs, token_fraction
from store import corpora

SHOWN = 128  # points of a preview


@st.dialog("New study", width="large")
def new_study() -> None:
    """Ask for a study's settings, show its points and what it will cost, start it."""
    try:
        spec, manifest = ask()
    except Problem as problem:
        parts.refusal(problem)
        return
    vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else queries.BYTES
    domains = len(spec.domains or (manifest["domains"] if manifest else ()))
    cost(spec, vocabulary)
    if domains and spec.runs < 3 * (domains + 1):
        st.warning(
            f"With {domains} domains, fewer than {3 * (domains + 1)} runs are too few for the smooth laws; "
            "LightGBM wants over 100."
        )
    parts.start_button(spec)


def cost(spec: StudySpec, vocabulary: int) -> None:
    """Tokens, FLOPs and minutes of the study, and of confirming its answer later."""
    slots = os.cpu_count() or 1
    members = spec.runs + spec.repeats + queries.BASELINES
    price = queries.cost(state.store(), spec.fidelity, members, vocabulary, slots)
    st.markdown(
        f"**It will take {minutes_of(price)}** on {slots} cores ({price.basis}): {members} proxies of "
        f"{spec.fidelity.parameters(vocabulary):,} parameters, {price.tokens / 1e6:,.1f} million tokens, "
        f"{price.flops:.2g} FLOPs."
    )
    later = queries.confirmation_cost(state.store(), spec.fidelity, vocabulary, slots)
    st.caption(
        f"Confirming an answer afterwards, {queries.CONFIRMED} mixtures x {queries.CONFIRMING_SEEDS} seeds at "
        f"{queries.CONFIRMING_SIZE} x the size, would take {minutes_of(later)} more: {later.tokens / 1e6:,.1f} million "
        f"tokens, {later.flops:.2g} FLOPs ({later.basis})."
    )


def minutes_of(price: queries.Cost) -> str:
    return "unknown time" if price.minutes is None else f"about {parts.duration(60 * price.minutes)}"


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
    runs = left.slider("Mixtures to train", 8, 512, 64, help="Proxies on mixtures of the design, one each.")
    dial = right.select_slider("Proxy size and budget", list(PRESETS), value="demo")
    design_tab, limits_tab, proxy_tab = st.tabs(["Design", "Constraints and target", "Proxies"])
    with proxy_tab:
        fidelity, proxies = ask_proxies(PRESETS[dial], dial)
    with limits_tab:
        limits = ask_target(there, domains, manifest) | ask_bounds(domains)
    with design_tab:
        design = ask_design()
        chosen = () if domains == there else tuple(domains)
        settings = {**proxies, **limits, **design}
        spec = StudySpec(name=name, corpus=corpus, domains=chosen, runs=runs, fidelity=fidelity, **settings)
        preview(spec, domains, manifest)
    return spec, manifest


def ask_design() -> dict:
    """Which design, and the parameters of its Dirichlet."""
    left, right = st.columns([2, 1])
    design = left.selectbox("Design", list(DESIGNS), format_func=lambda name: DESIGNS[name].title)
    largest = right.slider("Largest share of one domain", 0.3, 1.0, 0.95, help="Nearly pure mixtures teach little.")
    left.caption(DESIGNS[design].summary)
    found = {"design": design, "largest_share": largest}
    if not DESIGNS[design].draws:
        return found
    a, b, c, d = st.columns(4)
    found["strength"] = a.slider(
        "Strength", 0.1, 20.0, (0.1, 5.0), help="Of the Dirichlet. Low: few domains in a mixture. High: all of them."
    )
    found["temperature"] = b.slider(
        "Temperature", 0.05, 1.0, 0.5, help="The prior to this power: 1 keeps it, 0 makes it even."
    )
    found["max_ratio"] = c.number_input("Largest ratio to the prior", 1.0, 1e6, 15.0)
    found["smallest_share"] = d.number_input(
        "Smallest share", 0.0, 0.1, 2e-4, format="%.4f", help="What is under it becomes 0."
    )
    return found


def preview(spec: StudySpec, domains: list[str], manifest: dict | None) -> None:
    """The design's points as they would be trained, or why there are none."""
    if manifest is None or len(domains) < 2:
        st.caption("The points are shown here as soon as the corpus is built.")
        return
    corpus = {"domains": {name: {"train_tokens": manifest["domains"][name]["train_tokens"]} for name in domains}}
    wanted = dataclasses.replace(spec, name="preview", runs=min(spec.runs, SHOWN))
    try:
        points = points_of(json.dumps(wanted.to_dict()), json.dumps(corpus))
        tokens = {name: one["train_tokens"] for name, one in corpus["domains"].items()}
        kept = token_fraction(spec, frame_of(spec, domains, corpus).budget, tokens)
    except Problem as problem:
        parts.refusal(problem)
        return
    components.plot(charts.design(domains, charts.colour_of(domains), points), key="design-preview")
    more = f", the first {len(points)} of {spec.runs}" if spec.runs > len(points) else ""
    cut = f" Proxies see {kept:.3%} of every domain, as often as the target will." if kept < 1 else ""
    st.caption(f"{len(points)} mixtures of the design{more}; colour is the largest domain. Baselines come on top.{cut}")


@lru_cache(maxsize=32)
def points_of(spec: str, corpus: str) -> np.ndarray:
    """(n, D) design points; spec and corpus as JSON, so that what does not change is not drawn again."""
    spec, corpus = StudySpec.from_dict(json.loads(spec)), json.loads(corpus)
    frame = frame_of(spec, list(corpus["domains"]), corpus)
    return np.array([run["weights"] for run in plan_runs(spec, "preview", frame) if run["role"] == "design"])


def ask_target(there: list[str], domains: list[str], manifest: dict | None) -> dict:
    """The real run that the study is for, and whose loss counts."""
    a, b = st.columns(2)
    found = {
        "target_tokens": a.number_input(
            "Target budget, tokens",
            0.0,
            1e15,
            0.0,
            format="%.3g",
            help="Of the real training run; 0: as many as the corpus holds.",
        ),
        "epoch_cap": b.number_input("Epoch cap", 0.1, 100.0, 4.0, help="How often the real run repeats a domain."),
        "cap_design": a.checkbox("Proxies keep the epoch cap too", False, help="Searches always do."),
        "simulated_epoching": b.checkbox(
            "Simulated epoching",
            False,
            help="Every domain is cut by proxy tokens / target tokens: proxies see the repetition that the target will "
            "see (UtiliMax).",
        ),
    }
    if there:
        control = [name for name in domains if name == "junk" and manifest["spec"]["source"]["type"] == "default"]
        uncounted = st.multiselect(
            "Domains whose loss does not count",
            domains,
            default=control,
            help="Text that may be trained on but that nobody wants a model of. Priorities can be turned later too.",
        )
        found["priorities"] = dict.fromkeys(uncounted, 0.0)
    return found


def ask_bounds(domains: list[str]) -> dict:
    """Bounds of single domains, and of groups that several share."""
    if not domains:
        return {}
    st.caption(
        "Least and most share of each domain (equal: fixed). Domains with the same word under *group* are bounded "
        "together below, and may keep their natural ratios inside."
    )
    table = pd.DataFrame({"domain": domains, "least": 0.0, "most": 1.0, "group": ""})
    share = st.column_config.NumberColumn(min_value=0.0, max_value=1.0, step=0.01)
    rows = st.data_editor(
        table,
        hide_index=True,
        disabled=["domain"],
        key=f"bounds-{'-'.join(domains)}",
        column_config={"least": share, "most": share},
    )
    bounds = {
        row.domain: [float(row.least), float(row.most)] for row in rows.itertuples() if (row.least, row.most) != (0, 1)
    }
    named = [name for name in dict.fromkeys(str(x).strip() for x in rows["group"] if x) if name]
    if not named:
        return {"bounds": bounds}
    table = pd.DataFrame({"group": named, "least": 0.0, "most": 1.0, "keep ratios": False})
    groups = st.data_editor(
        table,
        hide_index=True,
        disabled=["group"],
        key=f"groups-{'-'.join(named)}",
        column_config={"least": share, "most": share},
    )
    found = []
    for name, low, high, keep in groups.itertuples(index=False):
        members = [row.domain for row in rows.itertuples() if str(row.group).strip() == name]
        kept = {"ratios": "prior"} if keep else {}
        found.append({"name": name, "domains": members, "share": [float(low), float(high)], **kept})
    return {"bounds": bounds, "groups": tuple(found)}


def ask_proxies(preset: Fidelity, dial: str) -> tuple[Fidelity, dict]:
    """Everything behind the dial, and the seeds."""
    a, b, c = st.columns(3)
    width = a.select_slider("Width", [16, 32, 64, 128, 256, 512], value=preset.width, key=f"width-{dial}")
    changes = {
        "width": width,
        "heads": max(1, width // 32),
        "layers": b.number_input("Layers", 1, 48, preset.layers, key=f"layers-{dial}"),
        "context": c.number_input("Context, tokens", 8, 8192, preset.context, key=f"context-{dial}"),
        "batch": a.number_input("Batch, sequences", 1, 4096, preset.batch, key=f"batch-{dial}"),
        "tokens": b.number_input("Tokens a proxy", 1024, 10**12, preset.tokens, key=f"tokens-{dial}"),
        "learning_rate": c.number_input(
            "Learning rate",
            1e-6,
            1.0,
            learning_rate(width),
            format="%.1e",
            key=f"rate-{dial}-{width}",
            help="By default what the sweep that ships with Mixdesk found for this width.",
        ),
        "schedule": a.selectbox("Schedule", ["cosine", "wsd", "constant"], key=f"schedule-{dial}"),
        "activation": b.selectbox("Activation", ["swiglu", "gelu"], key=f"activation-{dial}"),
        "tie_embeddings": c.checkbox("Tie embeddings", preset.tie_embeddings, key=f"tie-{dial}"),
    }
    rest = {
        "repeats": a.number_input("Repeats of natural", 0, 100, 4, help="With other seeds: they show the noise."),
        "seed": b.number_input("Seed", 0, 10**6, 1),
        "common_random_numbers": c.checkbox(
            "Common random numbers",
            True,
            help="Same data order and initialisation for every mixture: differences are far less noisy.",
        ),
    }
    return dataclasses.replace(preset, **changes), rest
