"""New merge study: its experts, method, what is turned, and how many merges are measured first."""

import streamlit as st

from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.spec.fidelity import PRESETS, Fidelity
from engine.spec.merge import MergeSpec, coordinates, layers_of
from engine.spec.merge_catalogue import card_of, catalogue
from engine.spec.study import StudySpec
from store import corpora, studies

NONE = "no study"


@st.dialog("New merge", width="large")
def new_merge() -> None:
    """Ask for a merge study's settings, say how large its space is, start it."""
    try:
        spec, names = ask()
    except Problem as problem:
        parts.refusal(problem)
        return
    made = "" if spec.merge.brought else f", and the base with its experts trained before ({training_of(spec)})"
    st.markdown(f"**{spec.runs} merges and the baselines are measured first**, over {len(names)} coordinates{made}.")
    if len(names) > 40:
        st.warning(f"{len(names)} coordinates are many: {3 * (len(names) + 1)} merges are enough for the smooth laws.")
    parts.start_button(spec)


def training_of(spec: StudySpec) -> str:
    """What making the experts takes, in proxies."""
    tokens = f"{spec.fidelity.tokens / 1e6:.2g} million tokens"
    return f"a proxy of {tokens}, then one expert a domain on {spec.merge.share:g} x as many, in one stack"


def ask() -> tuple[StudySpec, list[str]]:
    """The form. Returns the study's settings and the names of its coordinates. Raises Problem for what cannot be."""
    store = state.store()
    left, right = st.columns(2)
    name = left.text_input("Name", "Merge")
    built = [one for one in corpora.names(store) if corpora.manifest(store, one)]
    if not built:
        raise Problem("Cannot start a merge study yet: no corpus is built. Build one on the page Corpus, or wait.")
    corpus = right.selectbox("Corpus whose domains are measured", built)
    domains = list(corpora.manifest(store, corpus)["domains"])
    brought, folders = ask_source()
    if brought:
        base, experts = ask_brought(folders)
        of, fidelity, layers = "", None, layers_of(state.store().workspace.root / "checkpoints" / base)
        names = list(experts)
    else:
        base, experts, names = "", {}, domains
        of, fidelity = ask_mixture(corpus)
        layers = fidelity.layers
    merge = ask_method(names, base=base, experts=experts, of=of)
    a, b = st.columns(2)
    runs = a.number_input("Merges to measure first", 8, 10_000, 32 if brought else 96)
    seed = b.number_input("Seed", 0, 10**6, 1)
    spec = StudySpec(name, fidelity, corpus, runs=int(runs), repeats=0, seed=int(seed), merge=merge)
    return spec, coordinates(merge, names, layers)


def ask_source() -> tuple[bool, list[str]]:
    """Whether the experts were brought, and the folders that lie in checkpoints/."""
    root = state.store().workspace.root / "checkpoints"
    folders = sorted(one.name for one in root.glob("*") if (one / "config.json").exists())
    choices = {"Made here: a base proxy, and one expert a domain": False, "Brought: checkpoints from elsewhere": True}
    brought = choices[st.radio("Experts", list(choices))]
    if brought and len(folders) < 2:
        raise Problem(
            f"Cannot merge brought checkpoints yet: {root} holds {len(folders)} of them. Put the folders of a base and "
            "of its experts there (config.json, tokenizer, safetensors), or links to them, and open this again."
        )
    return brought, folders


def ask_brought(folders: list[str]) -> tuple[str, dict[str, str]]:
    """The base and the experts among the folders."""
    left, right = st.columns(2)
    base = left.selectbox("Base", folders)
    others = [one for one in folders if one != base]
    experts = right.multiselect("Experts", others, default=others)
    if not experts:
        raise Problem("Cannot merge without experts: choose at least one.")
    return base, {one: one for one in experts}


def ask_mixture(corpus: str) -> tuple[str, Fidelity]:
    """The mixture study that the merges are held against, and the proxies' size."""
    mixtures = {
        study.id: study
        for study in studies.all_studies(state.store())
        if study.spec["corpus"] == corpus and not study.spec.get("merge") and study.spec["fidelity"]
    }
    left, right = st.columns(2)
    of = left.selectbox(
        "Held against the mixtures of",
        [*mixtures, NONE],
        format_func=lambda one: mixtures[one].name if one in mixtures else one,
        help="Merges are also measured at the shares of its runs, to see whether they may stand for proxies.",
    )
    if of in mixtures:
        fidelity = Fidelity.from_dict(mixtures[of].spec["fidelity"])
        right.markdown(f"Proxies as there: width {fidelity.width}, {fidelity.layers} layers.")
        return of, fidelity
    return "", PRESETS[right.select_slider("Proxies", list(PRESETS), "demo")]


def ask_method(names: list[str], **source) -> MergeSpec:
    """The method, and what of it is turned."""
    fits = [
        name
        for name, card in catalogue().items()
        if card.least <= len(names) and (not card.most or len(names) <= card.most)
    ]
    left, right = st.columns(2)
    method = left.selectbox(
        "Method",
        fits,
        index=fits.index("task_arithmetic") if "task_arithmetic" in fits else 0,
        format_func=lambda name: catalogue()[name].title,
    )
    card = card_of(method)
    by = right.radio("One coefficient", ["an expert", "an expert and layer"], horizontal=True)
    upper = left.number_input("Largest coefficient", 0.1, 10.0, 1.0)
    numeric = [knob for knob in card.knobs.values() if knob.name != "weight" and knob.kind != "bool"]
    chosen = right.multiselect(
        "Knobs that are turned as well",
        [knob.name for knob in numeric],
        default=[knob.name for knob in numeric if knob.required],
        help=f"{card.title}: {card.paper}",
    )
    tuned = {name: (card.knobs[name].low, card.knobs[name].high) for name in chosen}
    return MergeSpec(
        method=method, by="model" if by == "an expert" else "layer", upper=float(upper), tuned=tuned, **source
    )
