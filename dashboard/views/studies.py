"""Studies: the list with states and progress, and the form that starts a new one and says what it will cost."""

import dataclasses
import os

import numpy as np
import streamlit as st

from dashboard import charts, components, queries, state
from dashboard.views import parts
from engine import steward
from engine.design import DESIGNS
from engine.errors import Problem
from engine.fidelity import DIAL, Fidelity, learning_rate
from engine.study import StudySpec
from store import corpora, runs, searches, studies

INTRODUCTION = (
    "Mixdesk answers one question: **which mixture of text domains gives a language model the lowest loss?** "
    "It trains many small proxy models, each on another mixture, learns from them how every domain moves every "
    "loss, and lets you turn the faders and see what would become of each loss, and how sure that is."
)


def render(current: str | None) -> None:
    head, button = st.columns([5, 1], vertical_alignment="bottom")
    head.title("Studies")
    if button.button("New study", icon=":material/add:", type="primary", width="stretch"):
        new_study()
    st.markdown(INTRODUCTION)
    found = studies.all_studies(state.store())
    if not found:
        st.info("No study yet. **New study** starts one on text that is already on this machine.")
    parts.live(lambda: all_cards(current))
    if lines := runs.corrupt_lines(state.store()):
        with st.expander(f"{len(lines)} journal lines could not be read and were set aside", icon=":material/report:"):
            for journal, offset, text in lines[:50]:
                st.text(f"{journal}, byte {offset}: {text[:300]}")


def all_cards(current: str | None) -> None:
    for study in studies.all_studies(state.store()):
        card(study, study.id == current)


def card(study: studies.Study, is_current: bool) -> None:
    """One study: what it is, how far it is, what can be done with it."""
    progress = queries.progress(state.store(), study)
    with st.container(border=True, key=f"card-{study.id}"):
        head, buttons = st.columns([4, 2], vertical_alignment="center")
        with head:
            st.subheader(parts.plain(study.name), anchor=False)
            st.caption(describe(study))
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            actions(study, progress, is_current)
        parts.stages(progress)
        st.markdown(happening(study, progress))
        if progress.finished:
            answer(study)
        if study.state == "paused":
            st.warning("Paused. Its jobs wait at their checkpoints; **Resume** goes on with them.")
        elif study.state == "cancelled":
            st.warning("Cancelled. What was measured is kept; **Resume** goes on where it stopped.")
        elif words := parts.expected(progress):
            st.caption(f":material/hourglass_top: {words}")
        for message in dict.fromkeys([*progress.failures, *filter(None, [study.message])]):
            parts.refusal(message)


def happening(study: studies.Study, progress: queries.Progress) -> str:
    """What is going on, in a few words for somebody who sees it for the first time."""
    running = next((stage.name for stage in progress.stages if stage.state != "done"), None)
    if study.state != "active" or progress.failures:
        return ""
    if running == "Corpus" and study.spec["corpus"] == "default":
        return (
            "Collecting text that is already on this machine, from the installed packages: documentation, Python, C++, "
            "JavaScript, mathematics, and **junk**, a control that a good mixture must refuse."
        )
    return {
        "Corpus": "Reading the text of each domain, dropping duplicates, cutting it into token shards.",
        "Proxies": "Training small models, each on another mixture. The page Runs shows them as they learn.",
        "Surrogates": "Learning from the runs how shares move losses, and which method to trust on them.",
        "Search": "Predicting the losses of a million mixtures, and averaging the best.",
        None: "Turn the faders on the page Explore; compare mixtures on Search; take one with you on Export.",
    }[running]


def answer(study: studies.Study) -> None:
    """The answer of a finished study, in one line and one bar, never a winner inside the noise."""
    found = searches.of_study(state.store(), study.id)[0]["found"]
    gap = found["differences"]["natural"]
    better = "**better** than" if gap["aggregate"] < 0 else "worse than"
    words = "**inside the noise** of" if gap["inside_noise"] else better
    st.markdown(
        f"The best mixture found is {words} the natural one: {gap['aggregate']:+.3f} ± "
        f"{1.96 * gap['aggregate_std']:.3f} bits per byte predicted (95%), from {study.done} runs."
    )
    shares = np.array([found["found"]["shares"], gap["baseline"]["shares"]])
    figure = charts.shares_bar(["best found", "natural"], study.domains, charts.colour_of(study.domains), shares)
    components.plot(figure, key=f"answer-{study.id}")


def describe(study: studies.Study) -> str:
    """A study's settings in one line."""
    fidelity = Fidelity.from_dict(study.spec["fidelity"])
    domains = f"{len(study.domains)} domains of " if study.domains else ""
    runs = study.runs or study.spec["runs"]
    budget = f"{fidelity.tokens / 1e6:.2g} million tokens"
    return f"{domains}corpus {study.spec['corpus']} · {runs} proxies of width {fidelity.width}, {budget} each"


def actions(study: studies.Study, progress: queries.Progress, is_current: bool) -> None:
    """The buttons of a card."""
    store = state.store()
    if not is_current and st.button("Select", key=f"select-{study.id}", icon=":material/check:"):
        st.session_state["next_study"] = study.id
        st.rerun()
    unfinished = not progress.finished
    if (
        study.state == "active"
        and unfinished
        and st.button("Cancel", key=f"cancel-{study.id}", icon=":material/stop_circle:")
    ):
        steward.cancel(store, study.id)
        st.rerun()
    pausable = study.state == "active" and unfinished
    if pausable and st.button("Pause", key=f"pause-{study.id}", icon=":material/pause_circle:"):
        steward.pause(store, study.id)
        st.rerun()
    word = "Resume" if study.state in ("cancelled", "paused") else "Retry"
    can_resume = study.state != "active" or progress.failures
    if can_resume and st.button(word, key=f"resume-{study.id}", icon=":material/replay:"):
        steward.resume(store, study.id)
        st.rerun()


@st.dialog("New study", width="large")
def new_study() -> None:
    """Ask for a study's settings, show what it will cost, start it."""
    try:
        spec, domains, vocabulary = ask()
    except Problem as problem:
        parts.refusal(problem)
        return
    members = spec.runs + spec.repeats + queries.BASELINES
    slots = os.cpu_count() or 1
    price = queries.cost(state.store(), spec.fidelity, members, vocabulary, slots)
    minutes = "unknown time" if price.minutes is None else f"about {parts.duration(60 * price.minutes)}"
    st.markdown(
        f"**It will take {minutes}** on {slots} cores ({price.basis}): {members} proxies of "
        f"{spec.fidelity.parameters(vocabulary):,} parameters, {price.tokens / 1e6:,.1f} million tokens, "
        f"{price.flops:.2g} FLOPs."
    )
    if domains and spec.runs < 3 * (domains + 1):
        st.warning(
            f"With {domains} domains, fewer than {3 * (domains + 1)} runs are too few for the smooth laws; "
            "LightGBM wants over 100."
        )
    if st.button("Start", type="primary", icon=":material/play_arrow:"):
        try:
            st.session_state["next_study"] = steward.create(state.store(), spec)
        except Problem as problem:
            parts.refusal(problem)
            return
        st.rerun()


def ask() -> tuple[StudySpec, int, int]:
    """The form. Returns the study's settings, its number of domains (0: not known yet) and the vocabulary."""
    store = state.store()
    left, right = st.columns(2)
    name = left.text_input("Name", "My study", max_chars=80)
    corpus = right.selectbox("Corpus", corpora.names(store) or ["default"], help="Built on the page Corpus.")
    manifest = corpora.manifest(store, corpus)
    there = list(manifest["domains"]) if manifest else []
    domains = st.multiselect("Domains", there, default=there) if there else []
    uncounted = []
    if there:
        control = [name for name in domains if name == "junk" and manifest["spec"]["source"]["type"] == "default"]
        uncounted = st.multiselect(
            "Domains whose loss does not count", domains, default=control,
            help="Text that may be trained on but that nobody wants a model of. Priorities can be turned later too.",
        )  # fmt: skip
    left, right = st.columns(2)
    runs = left.slider("Mixtures to train", 8, 512, 64, help="Proxies on mixtures of the design, one each.")
    dial = right.select_slider("Proxy size and budget", list(DIAL), value="demo")
    fidelity, rest = advanced(DIAL[dial], dial)
    chosen = () if domains == there else tuple(domains)
    rest["priorities"] = dict.fromkeys(uncounted, 0.0)
    spec = StudySpec(name=name, corpus=corpus, domains=chosen, runs=runs, fidelity=fidelity, **rest)
    vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else queries.BYTES
    return spec, len(domains), vocabulary


def advanced(preset: Fidelity, dial: str) -> tuple[Fidelity, dict]:
    """Everything behind the dial."""
    with st.expander("Advanced"):
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
                "Learning rate", 1e-6, 1.0, learning_rate(width), format="%.1e", key=f"rate-{dial}-{width}",
                help="By default what the sweep that ships with Mixdesk found for this width.",
            ),
            "schedule": a.selectbox("Schedule", ["cosine", "wsd", "constant"], key=f"schedule-{dial}"),
            "activation": b.selectbox("Activation", ["swiglu", "gelu"], key=f"activation-{dial}"),
            "tie_embeddings": c.checkbox("Tie embeddings", preset.tie_embeddings, key=f"tie-{dial}"),
        }  # fmt: skip
        rest = {
            "design": a.selectbox("Design", list(DESIGNS)),
            "largest_share": c.slider(
                "Largest share of one domain", 0.3, 1.0, 0.95, help="In the design. Nearly pure mixtures teach little."
            ),
            "strength": a.slider(
                "Strength of the Dirichlet", 0.1, 20.0, (0.1, 5.0), help="Low: few domains a mixture. High: all."
            ),
            "repeats": b.number_input("Repeats of natural", 0, 100, 4, help="With other seeds: they show the noise."),
            "seed": c.number_input("Seed", 0, 10**6, 1),
            "target_tokens": a.number_input(
                "Target budget, tokens", 0.0, 1e15, 0.0, format="%.3g",
                help="Of the real training run; 0: as many as the corpus holds.",
            ),
            "epoch_cap": b.number_input("Epoch cap", 0.1, 100.0, 4.0, help="How often the real run repeats a domain."),
            "common_random_numbers": c.checkbox(
                "Common random numbers", True,
                help="Same data order and initialisation for every mixture: differences are far less noisy.",
            ),
        }  # fmt: skip
    return dataclasses.replace(preset, **changes), rest
