"""The desk of a merge study: method, parameters and faders (one per expert, or per expert and layer); merge files."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard.charts import style
from dashboard.components.desk import free_desk
from dashboard.server import state
from dashboard.views.shared.faders import keep_in_link, linked_point, presets, set_desk
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.spec.merge import AT, MergeSpec, baselines_of, box_of, coordinates, knob_start
from engine.spec.merge_catalogue import card_of, catalogue
from engine.spec.merge_knobs import Knob
from engine.studies.merges import opening
from store import studies


@dataclass(frozen=True)
class Setting:
    """What the desk is set to. merge, names: the study's own method and coordinates, or others on the same experts;
    point (D,); own: whether the study's surrogate covers it."""

    merge: MergeSpec
    names: list[str]
    point: np.ndarray
    own: bool


def draw_again() -> None:
    """Rerun the fragment, or the whole page if that is what runs."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:  # this is no rerun of a fragment
        st.rerun()


def ask_method(study: studies.Study, own: MergeSpec) -> MergeSpec:
    """The study's method, or another one to try on the same experts, with its parameters."""
    take_opened(study, own)
    experts = len(study.corpus["experts"])
    fits = [
        name
        for name, card in catalogue().items()
        if card.min_experts <= experts and (not card.max_experts or experts <= card.max_experts)
    ]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    key = f"method-{study.id}"
    st.session_state.setdefault(key, own.method)
    titles = told_apart({one: catalogue()[one].title + " · the study's" * (one == own.method) for one in fits})
    method = left.selectbox(
        "Method",
        fits,
        key=key,
        format_func=titles.get,
        help="Other methods are measured live on the same experts; the study's surrogate only covers its own method.",
    )
    by_layer = right.toggle("One fader per layer", own.by == "layer", key=f"layers-{study.id}")
    by = "layer" if by_layer else "model"
    card = card_of(method)
    fixed, tuned = (own.knobs, own.tuned) if method == own.method else ({}, {})
    others = [knob for knob in card.knobs.values() if knob.name != "weight" and knob.name not in tuned]
    if others:
        with st.expander(f"Parameters of {card.title} ({plain(card.paper)})"):
            columns = st.columns(min(4, len(others)))
            chosen = {
                knob.name: ask_knob(columns[place % len(columns)], study, method, knob, fixed.get(knob.name))
                for place, knob in enumerate(others)
            }
        fixed = {name: value for name, value in chosen.items() if name in fixed or value != start_of(card.knobs[name])}
    return replace(own, method=method, knobs=fixed, tuned=tuned, by=by)


def start_of(knob: Knob):
    """What a knob is set to at first."""
    return (knob.low + knob.high) / 2 if knob.required else knob.default


def ask_knob(place, study: studies.Study, method: str, knob: Knob, fixed):
    """One knob as a widget; returns its value."""
    key, start = f"knob-{study.id}-{method}-{knob.name}", start_of(knob) if fixed is None else fixed
    if knob.kind == "bool":
        return place.checkbox(knob.name, bool(start), key=key)
    if isinstance(start, list | tuple):
        place.caption(f"{knob.name}: {list(start)}, one per expert")
        return start
    if knob.kind == "int":
        return place.number_input(knob.name, int(knob.low), int(knob.high), int(start), key=key)
    low, high = min(knob.low, start), max(knob.high, start)
    return place.number_input(knob.name, float(low), float(high), float(start), format="%.4g", key=key)


def desk(study: studies.Study, own: MergeSpec, merge: MergeSpec, points: dict[str, np.ndarray]) -> Setting:
    """The faders, and buttons that set them."""
    experts = study.corpus["experts"]
    layers = len({name.rpartition(AT)[2] for name in study.domains if AT in name}) - 1
    if layers < 0:
        layers = study.spec["fidelity"]["layers"] if study.spec["fidelity"] else 0
    try:
        names = study.domains if merge == own else coordinates(merge, experts, layers)
    except Problem as problem:
        refusal(problem)
        return Setting(own, study.domains, start_point(study, points), True)
    key = f"mix-{study.id}" if merge == own else f"mix-{study.id}-{'/'.join(names)}"
    chosen = st.session_state.setdefault(key, start_values(study, names, merge, points))
    if wanted := st.session_state.pop(f"wanted-{study.id}", None):
        set_desk(key, [float(wanted.get(name, there)) for name, there in zip(names, chosen, strict=True)])
    presets(key, points if merge == own else baselines_of(merge, experts, names))
    chosen = st.session_state[key]
    reset = f"{key}-{st.session_state.get('desk-reset', 0)}"
    moved = free_desk(faders(study, merge, names, chosen), key=f"desk-{reset}", reset=reset).weights
    if moved is not None and len(moved) == len(names):
        st.session_state[key] = chosen = moved
    if merge == own:
        st.session_state[key] = chosen = keep_in_link(chosen)
    st.caption("0 = off, 1 = full expert. Drag a fader, or use the arrow keys.")
    return Setting(merge, names, np.array(chosen, float), merge == own)


def faders(study: studies.Study, merge: MergeSpec, names: list[str], chosen: list[float]) -> list[dict]:
    """The faders of the desk, as the component takes them."""
    box, colours = box_of(merge, names), named_of(study).colours
    return [
        {
            "name": name,
            "colour": colours.get(name.partition(AT)[0], style.INK),
            "value": chosen[i],
            "lower": float(min(box.lower[i], chosen[i])),
            "upper": float(max(box.upper[i], chosen[i])),
            "mark": 0.3 if name not in merge.tuned else knob_start(merge, name),
            "mark_name": "0.3, common in task arithmetic" if name not in merge.tuned else "its default",
            "low": None,
            "high": None,
        }
        for i, name in enumerate(names)
    ]


def start_point(study: studies.Study, points: dict[str, np.ndarray]) -> np.ndarray:
    """The point (D,) in the link, or the first named one."""
    linked = linked_point(study)
    return np.asarray(next(iter(points.values())), float) if linked is None else linked


def start_values(
    study: studies.Study, names: list[str], merge: MergeSpec, points: dict[str, np.ndarray]
) -> list[float]:
    """Where a desk starts: at the study's own faders, an expert's value for all of its layers."""
    own = dict(zip(study.domains, st.session_state.get(f"mix-{study.id}") or start_point(study, points), strict=True))
    return [
        float(own.get(name, own.get(name.partition(AT)[0], knob_start(merge, name) if name in merge.tuned else 0.3)))
        for name in names
    ]


def open_file(study: studies.Study, own: MergeSpec) -> None:
    """Set the desk to the method, knobs and coefficients of a merge file."""
    with st.expander("Open a merge file (mergekit's YAML)", icon=":material/file_open:"):
        given = st.file_uploader("Merge file", ["yml", "yaml"], key=f"merge-file-{study.id}")
        st.caption("Its models must be this study's base and experts, given by path, folder or name.")
        if given is None or not st.button("Set faders to this file", key=f"open-file-{study.id}"):
            return
        try:
            text = given.getvalue().decode("utf-8", "replace")
            st.session_state[f"opened-{study.id}"] = opening.open_merge_file(state.store(), study, text)
        except Problem as problem:
            refusal(problem)
            return
    draw_again()


def take_opened(study: studies.Study, own: MergeSpec) -> None:
    """Put what was opened into the widgets, before they are drawn."""
    if (found := st.session_state.pop(f"opened-{study.id}", None)) is None:
        return
    st.session_state[f"method-{study.id}"] = found["method"]
    st.session_state[f"layers-{study.id}"] = found["by"] == "layer"
    tuned = own.tuned if found["method"] == own.method else {}
    values = {**found["coefficients"]}
    for name, value in found["knobs"].items():
        if name in tuned:
            values[name] = value
        elif not isinstance(value, list):
            st.session_state[f"knob-{study.id}-{found['method']}-{name}"] = value
    st.session_state[f"wanted-{study.id}"] = values
