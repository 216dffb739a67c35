"""New study: its text, a design with a live preview, constraints, proxies; and the cost before it starts."""

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.models import wording
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
from dashboard.views.measure import external
from dashboard.views.measure.bounds import ask_bounds
from dashboard.views.measure.phases import ask_phases
from dashboard.views.measure.points import ask_design, ask_repeats, preview
from dashboard.views.measure.target import ask_target
from dashboard.views.shared.buttons import start_button
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.metrics import ask_metrics, ask_tasks
from dashboard.views.shared.target import text_notes
from dashboard.views.shared.text import duration, plain, refusal
from engine.core.errors import Problem
from engine.spec.external import EXTERNAL, PROXIES
from engine.spec.fidelity import BASE, PRESETS, Fidelity, learning_rate
from engine.spec.frame import frame_of
from engine.spec.phases import PHASED, whole_trainings
from engine.spec.repetition import DOSE
from engine.spec.starts import starts_in
from engine.spec.study import StudySpec, chosen_domains, planned_roles
from engine.studies.starts import check_fits
from engine.studies.steering import before_it_starts
from store import corpora

SCHEDULES, ACTIVATIONS, BATCHES = ["cosine", "wsd", "constant"], ["swiglu", "gelu"], ["mixed", "unmixed"]
RANDOM = "random weights"
OF_PROXIES = ("repeats", "repeat_mixtures", "seed", "common_random_numbers", "flips", "stop_hopeless", "start")
FRESH = StudySpec(name="My study", fidelity=PRESETS["demo"])
TRAINERS = {PROXIES: "Mixdesk, on proxies", EXTERNAL: "your own trainer"}


@dialog("New study", width="large")
def new_study(start: StudySpec = FRESH) -> None:
    """Ask for a study's settings, show its points and what it will cost, start it. start: what stands there first."""
    trainer = st.segmented_control(
        "Runs are trained by",
        list(TRAINERS),
        format_func=TRAINERS.get,
        default=start.trainer,
        required=True,
        help="Proxies are small models that Mixdesk trains on a corpus. Your own trainer gets every planned run as a "
        "recipe, and sends back what it measured.",
    )
    fresh = start is FRESH or trainer != start.trainer
    try:
        if trainer == EXTERNAL:
            external.form(None if fresh else start)
        else:
            form(FRESH if fresh else start)
    except Problem as problem:
        refusal(problem)


def form(start: StudySpec) -> None:
    """The form of a study of proxies, with what it costs and the button that starts it. Raises Problem for settings
    that do not fit together."""
    spec, manifest, show_points = ask(start)
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
    show_points()  # last: while the browser draws a chart it reads nothing else


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


def ask(start: StudySpec) -> tuple[StudySpec, dict | None, Callable[[], None]]:
    """The form, with another study's settings at first. Returns the study's settings, the corpus' manifest, None while
    that is not built, and what draws the design's points in their tab."""
    store = state.store()
    name, corpus, manifest, domains = ask_text(start)
    there = list(manifest["domains"]) if manifest else []
    left, right = st.columns(2)
    most = max(512, start.runs)
    runs = left.slider("Mixtures to train", 8, most, start.runs, help="One proxy per mixture of the design.")
    sizes = PRESETS if start is FRESH else {f"of {start.name}": start.fidelity, **PRESETS}
    first = next(name for name, one in sizes.items() if one == start.fidelity)
    preset_name = right.select_slider("Proxy size and budget", list(sizes), value=first)
    measures = {"metrics": ask_metrics(start.metrics), "tasks": ask_tasks(start.tasks)}
    tabs = st.tabs(["Design", "Constraints and target", "Proxies", "Phases"], on_change="rerun")
    design_tab, limits_tab, proxy_tab, phases_tab = tabs
    with phases_tab:
        phases = ask_phases(start, domains)
    preset = sizes[preset_name]
    if phases["phases"] and not start.phases:
        preset = dataclasses.replace(preset, schedule="wsd")
    with proxy_tab:
        fidelity, proxies = preset, {name: getattr(start, name) for name in OF_PROXIES}
        if is_drawn(proxy_tab, "proxies"):
            fidelity, proxies = ask_proxies(preset, preset_name, start)
    with limits_tab:
        tables, before = is_drawn(limits_tab, "limits"), start if start is not FRESH else None
        limits = ask_target(domains, manifest, before, tables) | ask_bounds(domains, start, tables)
    with design_tab:
        design = ask_design(start)
        chosen = () if domains == there else tuple(domains)
        settings = {**proxies, **limits, **design, **measures, **phases, "domains": chosen, "fidelity": fidelity}
        spec = dataclasses.replace(start, name=name, corpus=corpus, runs=runs, **settings)
        if manifest is not None:
            check_fits(store, spec, manifest)

    def show_points() -> None:
        with design_tab:
            preview(spec, domains, manifest)

    return spec, manifest, show_points


def ask_text(start: StudySpec) -> tuple[str, str, dict | None, list[str]]:
    """The study's name, its corpus with the manifest, and the domains of it."""
    store = state.store()
    left, right = st.columns(2)
    name = left.text_input("Name", start.name, max_chars=80)
    known = corpora.names(store) or ["default"]
    place = known.index(start.corpus) if start.corpus in known else 0
    corpus = right.selectbox("Corpus", known, place, help="Built on the page Corpus.")
    manifest = corpora.manifest(store, corpus)
    there = list(manifest["domains"]) if manifest else []
    own = [domain for domain in there if domain in start.domains] or there
    return name, corpus, manifest, st.multiselect("Domains", there, default=own) if there else []


def is_drawn(tab: Any, name: str) -> bool:
    """Whether what stands in a tab is drawn: once somebody has opened it. Until then it would hold what it starts with,
    and a browser takes as long for it as for all else."""
    opened = st.session_state.setdefault("tabs-of-new-study", set())
    if tab.open:
        opened.add(name)
    return name in opened


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
    found = ask_repeats(a, b, c, start)
    found |= ask_extras(c, start) | ask_start(start)
    return dataclasses.replace(preset, **changes), found


def ask_extras(c, start: StudySpec) -> dict:
    """What is counted beside the losses, and whether hopeless runs are trained to their end."""
    flips = c.checkbox(
        "Count negative flips",
        start.flips,
        help="How many windows of text, and items of tasks, get worse than under the prior mixture beyond noise. "
        "Takes repeats. It counts only once you give it a priority or a limit.",
    )
    stops = c.checkbox(
        "Stop hopeless runs early",
        start.stop_hopeless,
        help="Ends a run after a quarter or half of its steps where all of the 95% interval of its predicted end is "
        "worse than the best finished run; the first 12 runs, baselines and repeats are trained whole. On language "
        "models of 122 and 310 million weights this saved 48% of the tokens and lost .04% of the best loss, at most "
        ".14%. Off by default: surrogates that lack bad mixtures miss a loss by .7% rather than .5%. Fewer runs that "
        "cost as little leave them at .55%.",
    )
    return {"flips": flips, "stop_hopeless": stops}


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
