"""New merge study: its experts, method, coordinates, and how many merges are measured first."""

from dataclasses import replace

import streamlit as st

from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.buttons import start_button
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.metrics import ask_metrics, ask_tasks
from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.metrics.evaluators import programs_in
from engine.spec.fidelity import PRESETS, Fidelity
from engine.spec.merge import HIGHER, LOWER, MergeSpec, checkpoint, coordinates, layers_of
from engine.spec.merge_catalogue import card_of, catalogue
from engine.spec.study import StudySpec
from store import corpora, studies

NONE = "no study"


FRESH = StudySpec("Merge", None, runs=96, repeats=0, merge=MergeSpec())


@dialog("New merge", width="large")
def new_merge(start: StudySpec = FRESH) -> None:
    """Ask for a merge study's settings, say how large its space is, start it. start: what stands there at first."""
    try:
        spec, names = ask(start)
    except Problem as problem:
        refusal(problem)
        return
    made = "" if spec.merge.external else f", after training the base and its experts ({training_of(spec)})"
    st.markdown(f"**{spec.runs} merges and the baselines are measured first**, over {len(names)} coordinates{made}.")
    if len(names) > 40:
        st.warning(
            f"{len(names)} coordinates are a lot: the smooth surrogates need about {3 * (len(names) + 1)} merges."
        )
    start_button(spec)


def training_of(spec: StudySpec) -> str:
    """The cost of training the experts, in proxies."""
    tokens = f"{spec.fidelity.tokens / 1e6:.2g} million tokens"
    return f"a proxy of {tokens}, then one expert per domain on {spec.merge.token_fraction:g}× as many, in one stack"


def ask(start: StudySpec) -> tuple[StudySpec, list[str]]:
    """The form, with another study's settings at first. Returns the study's settings and the names of its coordinates.
    Raises Problem if they are invalid."""
    store = state.store()
    left, right = st.columns(2)
    name = left.text_input("Name", start.name, max_chars=80)
    built = [one for one in corpora.names(store) if corpora.manifest(store, one)]
    if not built:
        raise Problem("Cannot start a merge study yet: no corpus has been built. Build one on Corpus, or wait for it.")
    corpus = right.selectbox("Corpus to measure on", built, place(built, start.corpus))
    domains = list(corpora.manifest(store, corpus)["domains"])
    external, folders = ask_source(start.merge.external)
    if external:
        base, experts = ask_checkpoints(folders, start.merge)
        of, fidelity, names = "", None, list(experts)
    else:
        base, experts, names = "", {}, domains
        of, fidelity = ask_mixture(corpus, start)
    merge = ask_method(names, start.merge, base=base, experts=experts, of=of)
    layers = fidelity.layers if fidelity else 0
    if external and merge.by == "layer":
        layers = layers_of(checkpoint(store.workspace.root, base))
    a, b = st.columns(2)
    runs = a.number_input("Merges to measure first", 8, 10_000, 32 if external and start is FRESH else start.runs)
    seed = b.number_input("Seed", 0, max(10**6, start.seed), start.seed)
    measured = {
        "metrics": ask_metrics(start.metrics),
        "tasks": ask_tasks(start.tasks),
        "flips": st.checkbox(
            "Count negative flips",
            start.flips,
            help="How many windows of text, and items of tasks, merges do worse than the base beyond noise. It counts "
            "only once you give it a priority or a limit.",
        ),
        "runs": int(runs),
        "seed": int(seed),
    }
    merge = replace(merge, evaluators=ask_evaluators(start.merge.evaluators) if external else {})
    spec = replace(start, name=name, fidelity=fidelity, corpus=corpus, merge=merge, **measured)
    return spec, coordinates(merge, names, layers)


def place(options: list[str], wanted: str) -> int:
    """The place of an option; that of the first, if it is none of them."""
    return options.index(wanted) if wanted in options else 0


def ask_source(external: bool) -> tuple[bool, list[str]]:
    """Whether the experts are external, at first as given, and the folders in checkpoints/."""
    root = state.store().workspace.root / "checkpoints"
    folders = sorted(one.name for one in root.glob("*") if (one / "config.json").exists())
    choices = {"Trained here: a base proxy and one expert per domain": False, "External checkpoints": True}
    external = choices[st.radio("Experts", list(choices), int(external))]
    if external and len(folders) < 2:
        raise Problem(
            f"Cannot merge external checkpoints yet: {root} has {len(folders)} of them. Put the folders of a base and "
            "its experts there (config.json, tokenizer, safetensors), or links to them, and reopen this form."
        )
    return external, folders


def ask_checkpoints(folders: list[str], start: MergeSpec) -> tuple[str, dict[str, str]]:
    """The base and the experts among the folders."""
    left, right = st.columns(2)
    base = left.selectbox("Base", folders, place(folders, start.base))
    others = [one for one in folders if one != base]
    own = [one for one in others if one in start.experts.values()]
    experts = right.multiselect("Experts", others, default=own or others)
    if not experts:
        raise Problem("Cannot merge without experts. Choose at least one.")
    names = {folder: name for name, folder in start.experts.items()}
    return base, {names.get(one, one): one for one in experts}


def ask_evaluators(start: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The programs of the workspace that measure each merge too, and what they tell; none is asked for where there is
    none. Raises Problem for one whose metrics are not named, so it is the last that the form asks."""
    known = list(dict.fromkeys([*programs_in(state.store().workspace.root), *start]))
    if not known:
        return {}
    chosen = st.multiselect(
        "Evaluators",
        known,
        list(start),
        help="Programs in the folder evaluators/ of the workspace, which get each merge as a checkpoint and tell "
        "metrics of it. They are tried on the base before anything is merged.",
    )
    found: dict[str, dict[str, str]] = {}
    for name in chosen:
        found[name] = {}
        for place, way in zip(st.columns(2), (HIGHER, LOWER), strict=True):
            usual = ", ".join(metric for metric, better in start.get(name, {}).items() if better == way)
            typed = place.text_input(f"Metrics of {name}: {way} is better", usual, placeholder="by name: one, other")
            told = {metric.strip(): way for metric in typed.split(",") if metric.strip()}
            if both := found[name].keys() & told.keys():
                raise Problem(f"Cannot tell which way {min(both)!r} is better: {name} has it in both fields.")
            found[name] |= told
        if not found[name]:
            raise Problem(
                f"Cannot measure by {name} yet: name the metrics that it tells, each in one of its two fields."
            )
    return found


def ask_mixture(corpus: str, start: StudySpec) -> tuple[str, Fidelity]:
    """The mixture study that the merges are compared with, and the proxies' size."""
    mixtures = {
        study.id: study
        for study in studies.all_studies(state.store())
        if study.spec["corpus"] == corpus and study.kind != "merge" and study.spec["fidelity"]
    }
    titles = told_apart({**{one: study.name for one, study in mixtures.items()}, NONE: NONE})
    left, right = st.columns(2)
    of = left.selectbox(
        "Compare with study",
        list(titles),
        index=place(list(titles), start.merge.of if start is not FRESH else ""),
        format_func=titles.get,
        help="Merges are also measured at the shares of its runs, to see whether merges can replace proxies.",
    )
    if of in mixtures:
        fidelity = Fidelity.from_dict(mixtures[of].spec["fidelity"])
        right.markdown(f"Same proxies: width {fidelity.width}, {wording.counted(fidelity.layers, 'layer')}.")
        return of, fidelity
    sizes = {f"of {start.name}": start.fidelity, **PRESETS} if start.fidelity else PRESETS
    return "", sizes[right.select_slider("Proxies", list(sizes), next(iter(sizes)) if start.fidelity else "demo")]


def ask_method(names: list[str], start: MergeSpec, **source) -> MergeSpec:
    """The method, and which of its parameters are coordinates."""
    fits = [
        name
        for name, card in catalogue().items()
        if card.min_experts <= len(names) and (not card.max_experts or len(names) <= card.max_experts)
    ]
    left, right = st.columns(2)
    method = left.selectbox(
        "Method",
        fits,
        index=place(fits, start.method),
        format_func=told_apart({one: catalogue()[one].title for one in fits}).get,
    )
    card = card_of(method)
    by = right.radio(
        "One coefficient", ["per expert", "per expert and layer"], int(start.by == "layer"), horizontal=True
    )
    upper = left.number_input("Maximum coefficient", min(0.1, start.upper), max(10.0, start.upper), float(start.upper))
    numeric = [knob for knob in card.knobs.values() if knob.name != "weight" and knob.kind != "bool"]
    own = start.method == method
    chosen = right.multiselect(
        "Also tune",
        [knob.name for knob in numeric],
        default=[knob.name for knob in numeric if knob.required or (own and knob.name in start.tuned)],
        help=f"{card.title}: {card.paper}",
    )
    usual = {name: (card.knobs[name].low, card.knobs[name].high) for name in chosen}
    tuned = {name: start.tuned.get(name, ends) if own else ends for name, ends in usual.items()}
    knobs = {name: value for name, value in start.knobs.items() if own and name not in tuned}
    by = "model" if by == "per expert" else "layer"
    return replace(start, method=method, by=by, upper=float(upper), tuned=tuned, knobs=knobs, evaluators={}, **source)
