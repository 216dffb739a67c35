"""New study: its text, a design with a live preview, constraints, proxies; and the cost before it starts."""

import contextlib
import dataclasses
import json
import os
from functools import lru_cache

import numpy as np
import streamlit as st

from dashboard.charts import runs as run_charts
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
    hours_words,
)
from dashboard.server import state
from dashboard.views.measure.bounds import ask_bounds
from dashboard.views.measure.phases import ask_phases
from dashboard.views.measure.target import ask_target, cut_words
from dashboard.views.shared.buttons import start_button
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.metrics import ask_metrics, ask_tasks
from dashboard.views.shared.plot import plot
from dashboard.views.shared.target import text_notes
from dashboard.views.shared.text import duration, plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.space.design import DESIGNS
from engine.spec.fidelity import BASE, PRESETS, Fidelity, learning_rate
from engine.spec.frame import frame_of
from engine.spec.phases import PHASED, whole_trainings
from engine.spec.repetition import DOSE
from engine.spec.starts import starts_in
from engine.spec.study import StudySpec, chosen_domains, plan_runs, planned_roles
from engine.studies.starts import check_fits
from engine.studies.steering import before_it_starts
from store import corpora

SHOWN = 128  # points of a preview
TEXT = ("train_tokens", "train_documents", "whole")  # what a manifest says of how much text there is


SCHEDULES, ACTIVATIONS, BATCHES = ["cosine", "wsd", "constant"], ["swiglu", "gelu"], ["mixed", "unmixed"]
RANDOM = "random weights"
FRESH = StudySpec(name="My study", fidelity=PRESETS["demo"])


@dialog("New study", width="large")
def new_study(start: StudySpec = FRESH) -> None:
    """Ask for a study's settings, show its points and what it will cost, start it. start: what stands there first."""
    try:
        spec, manifest = ask(start)
    except Problem as problem:
        refusal(problem)
        return
    vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else BYTES
    domains = len(spec.domains or (manifest["domains"] if manifest else ()))
    cost(spec, vocabulary, roles_of(spec, manifest))
    notes(spec, manifest)
    for words in before_it_starts(spec):
        st.warning(plain(words), icon=":material/casino:")
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
    trainings = sum(whole_trainings(spec, role, count) for role, count in roles.items())
    price = cost_of(state.store(), spec.fidelity, trainings, vocabulary, slots)
    st.markdown(
        f"**Estimated time: {minutes_of(price)}** on {slots} cores ({price.basis}). "
        f"{wording.planned_words(roles)}, proxies of {spec.fidelity.parameters(vocabulary):,} parameters: "
        f"{price.tokens / 1e6:,.1f} million tokens, {price.flops:.2g} FLOPs."
    )
    if price.minutes is not None:
        st.caption(f"That is about {plain(hours_words(price.minutes * slots / 60))}.")
    if doses := roles.get(DOSE):
        part = cost_of(state.store(), spec.fidelity, doses, vocabulary, slots)
        st.caption(
            f"Of that, {wording.counted(doses, 'dose run')} for repetition: {minutes_of(part)}, "
            f"{part.tokens / 1e6:,.1f} million tokens, {part.flops:.2g} FLOPs."
        )
    if phased := roles.get(PHASED):
        part = cost_of(state.store(), spec.fidelity, whole_trainings(spec, PHASED, phased), vocabulary, slots)
        st.caption(
            f"Of that, {wording.counted(phased, 'phased run')} for order: {minutes_of(part)}, "
            f"{part.tokens / 1e6:,.1f} million tokens, {part.flops:.2g} FLOPs"
            + (", a branch at the cost of its last phase." if spec.branches else ".")
        )
    if spec.start is not None:  # it has one size, which is that of its confirmation too
        return
    later = confirmation_cost(state.store(), spec.fidelity, vocabulary, slots)
    st.caption(
        f"Confirming the result afterwards ({CONFIRMED} mixtures × {CONFIRMING_SEEDS} seeds at {CONFIRMING_SIZE}× the "
        f"size) would take {minutes_of(later)} more: {later.tokens / 1e6:,.1f} million tokens, {later.flops:.2g} FLOPs "
        f"({later.basis})."
    )


def minutes_of(price: Cost) -> str:
    return "unknown" if price.minutes is None else f"about {duration(60 * price.minutes)}"


def ask(start: StudySpec) -> tuple[StudySpec, dict | None]:
    """The form, with another study's settings at first. Returns the study's settings and the corpus' manifest, None
    while that is not built."""
    store = state.store()
    left, right = st.columns(2)
    name = left.text_input("Name", start.name, max_chars=80)
    known = corpora.names(store) or ["default"]
    place = known.index(start.corpus) if start.corpus in known else 0
    corpus = right.selectbox("Corpus", known, place, help="Built on the page Corpus.")
    manifest = corpora.manifest(store, corpus)
    there = list(manifest["domains"]) if manifest else []
    own = [domain for domain in there if domain in start.domains] or there
    domains = st.multiselect("Domains", there, default=own) if there else []
    left, right = st.columns(2)
    most = max(512, start.runs)
    runs = left.slider("Mixtures to train", 8, most, start.runs, help="One proxy per mixture of the design.")
    sizes = PRESETS if start is FRESH else {f"of {start.name}": start.fidelity, **PRESETS}
    first = next(name for name, one in sizes.items() if one == start.fidelity)
    preset_name = right.select_slider("Proxy size and budget", list(sizes), value=first)
    measures = {"metrics": ask_metrics(start.metrics), "tasks": ask_tasks(start.tasks)}
    tabs = st.tabs(["Design", "Constraints and target", "Proxies", "Phases"])
    design_tab, limits_tab, proxy_tab, phases_tab = tabs
    with phases_tab:
        phases = ask_phases(start, domains)
    preset = sizes[preset_name]
    if phases["phases"] and not start.phases:
        preset = dataclasses.replace(preset, schedule="wsd")
    with proxy_tab:
        fidelity, proxies = ask_proxies(preset, preset_name, start)
    with limits_tab:
        limits = ask_target(domains, manifest, start if start is not FRESH else None) | ask_bounds(domains, start)
    with design_tab:
        design = ask_design(start)
        chosen = () if domains == there else tuple(domains)
        settings = {**proxies, **limits, **design, **measures, **phases, "domains": chosen, "fidelity": fidelity}
        spec = dataclasses.replace(start, name=name, corpus=corpus, runs=runs, **settings)
        preview(spec, domains, manifest)
    return spec, manifest


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


def preview(spec: StudySpec, domains: list[str], manifest: dict | None) -> None:
    """The design's points as they would be trained, or why there are none."""
    if manifest is None or len(domains) < 2:
        st.caption("The points appear here once the corpus is built.")
        return
    facts = {name: {key: manifest["domains"][name].get(key) for key in TEXT} for name in domains}
    corpus = {"fingerprint": manifest["fingerprint"], "domains": facts}
    wanted = dataclasses.replace(spec, name="preview", runs=min(spec.runs, SHOWN))
    try:
        check_fits(state.store(), spec, manifest)
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


def ask_proxies(preset: Fidelity, preset_name: str, start: StudySpec) -> tuple[Fidelity, dict]:
    """Every setting of the proxies, and the seeds."""
    a, b, c = st.columns(3)
    widths = sorted({16, 32, 64, 128, 256, 512, preset.width})
    width = a.select_slider("Width", widths, value=preset.width, key=f"width-{preset_name}")
    changes = {
        "width": width,
        "heads": preset.heads if width == preset.width else max(1, width // 32),
        "layers": b.number_input("Layers", 1, 48, preset.layers, key=f"layers-{preset_name}"),
        "context": c.number_input("Context, tokens", 8, 8192, preset.context, key=f"context-{preset_name}"),
        "batch": a.number_input("Batch, sequences", 1, 4096, preset.batch, key=f"batch-{preset_name}"),
        "tokens": b.number_input("Tokens per proxy", 1024, 10**12, preset.tokens, key=f"tokens-{preset_name}"),
        "learning_rate": c.number_input(
            "Learning rate",
            1e-6,
            1.0,
            preset.learning_rate if width == preset.width else learning_rate(width),
            format="%.1e",
            key=f"rate-{preset_name}-{width}",
            help="Default: the optimum for this width in the sweep that ships with Mixdesk.",
        ),
        "schedule": a.selectbox(
            "Schedule",
            SCHEDULES,
            SCHEDULES.index(preset.schedule),
            key=f"schedule-{preset_name}-{preset.schedule}",
        ),
        "activation": b.selectbox(
            "Activation", ACTIVATIONS, ACTIVATIONS.index(preset.activation), key=f"activation-{preset_name}"
        ),
        "tie_embeddings": c.checkbox("Tie embeddings", preset.tie_embeddings, key=f"tie-{preset_name}"),
    } | ask_switches(a, b, c, preset, preset_name)
    return dataclasses.replace(preset, **changes), ask_repeats(a, b, c, start) | ask_start(start)


def ask_start(before: StudySpec) -> dict:
    """The weights that every run begins with."""
    there = starts_in(state.store().workspace.root)
    if before.start is not None and before.start not in there:
        there = [before.start, *there]
    if not there:
        return {"start": None}
    models = [RANDOM, *there]
    chosen = st.selectbox(
        "Begin with",
        models,
        models.index(before.start or RANDOM),
        key="start-weights",
        help="A saved proxy: a base or an expert of a merge study, a confirmed mixture, or a merge. Width, layers, "
        "heads and tokenizer must be its own. It is measured as it is, too.",
    )
    return {"start": None if chosen == RANDOM else chosen}


def ask_switches(a, b, c, preset: Fidelity, preset_name: str) -> dict:
    """The settings of the proxies that change how they learn."""
    return {
        "mup": c.checkbox(
            "muP",
            preset.mup,
            key=f"mup-{preset_name}",
            help=f"The learning rate is that of width {BASE}; wider proxies take it from there.",
        ),
        "batches": a.selectbox("Batches", BATCHES, BATCHES.index(preset.batches), key=f"batches-{preset_name}"),
        "sharpness": b.number_input(
            "Sharpness-aware, radius",
            0.0,
            10.0,
            preset.sharpness,
            key=f"sharpness-{preset_name}",
            help="Follow the gradient where the loss is highest nearby. Twice the work; 0: off.",
        ),
    }


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
        "flips": c.checkbox(
            "Count negative flips",
            start.flips,
            help="How many windows of text, and items of tasks, get worse than under the prior mixture beyond noise. "
            "Takes repeats. It counts only once you give it a priority or a limit.",
        ),
    }
