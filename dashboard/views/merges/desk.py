"""The desk of a merge study: its method, knobs and faders, one an expert or one an expert and layer; merge files."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.spec.merge import AT, MergeSpec, baselines_of, box_of, coordinates, knob_start
from engine.spec.merge_catalogue import card_of, catalogue
from engine.spec.merge_knobs import Knob
from engine.studies.merges import opening
from store import studies


@dataclass(frozen=True)
class Turned:
    """Where the desk stands. merge, names: what is turned, the study's own or another method on the same experts;
    point (D,); own: whether the study's surrogate speaks of it."""

    merge: MergeSpec
    names: list[str]
    point: np.ndarray
    own: bool


def draw_again() -> None:
    """Run the fragment again; where the whole page runs, that one."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:  # this is no rerun of a fragment
        st.rerun()


def ask_method(study: studies.Study, own: MergeSpec) -> MergeSpec:
    """The study's method, or another one to try on the same experts, with its knobs."""
    take_opened(study, own)
    experts = len(study.corpus["experts"])
    fits = [
        name for name, card in catalogue().items() if card.least <= experts and (not card.most or experts <= card.most)
    ]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    key = f"method-{study.id}"
    st.session_state.setdefault(key, own.method)
    method = left.selectbox(
        "Method",
        fits,
        key=key,
        format_func=lambda name: catalogue()[name].title + (" · the study's" if name == own.method else ""),
        help="Another method is measured live on the same experts; the study's surrogate knows its own method only.",
    )
    by_layer = right.toggle("A fader for every layer", own.by == "layer", key=f"layers-{study.id}")
    by = "layer" if by_layer else "model"
    card = card_of(method)
    fixed, tuned = (own.knobs, own.tuned) if method == own.method else ({}, {})
    others = [knob for knob in card.knobs.values() if knob.name != "weight" and knob.name not in tuned]
    if others:
        with st.expander(f"Knobs of {card.title} ({parts.plain(card.paper)})"):
            columns = st.columns(min(4, len(others)))
            chosen = {
                knob.name: ask_knob(columns[place % len(columns)], study, method, knob, fixed.get(knob.name))
                for place, knob in enumerate(others)
            }
        fixed = {name: value for name, value in chosen.items() if name in fixed or value != start_of(card.knobs[name])}
    return replace(own, method=method, knobs=fixed, tuned=tuned, by=by)


def start_of(knob: Knob):
    """What a knob is set to before anybody turns it."""
    return (knob.low + knob.high) / 2 if knob.required else knob.default


def ask_knob(place, study: studies.Study, method: str, knob: Knob, fixed):
    """One knob as a widget; returns its value."""
    key, start = f"knob-{study.id}-{method}-{knob.name}", start_of(knob) if fixed is None else fixed
    if knob.kind == "bool":
        return place.checkbox(knob.name, bool(start), key=key)
    if isinstance(start, list | tuple):
        place.caption(f"{knob.name}: {list(start)}, one an expert")
        return start
    if knob.kind == "int":
        return place.number_input(knob.name, int(knob.low), int(knob.high), int(start), key=key)
    low, high = min(knob.low, start), max(knob.high, start)
    return place.number_input(knob.name, float(low), float(high), float(start), format="%.4g", key=key)


def desk(study: studies.Study, own: MergeSpec, merge: MergeSpec, points: dict[str, np.ndarray]) -> Turned:
    """The faders, and buttons that set them."""
    experts = study.corpus["experts"]
    layers = len({name.rpartition(AT)[2] for name in study.domains if AT in name}) - 1
    if layers < 0:
        layers = study.spec["fidelity"]["layers"] if study.spec["fidelity"] else 0
    try:
        names = study.domains if merge == own else coordinates(merge, experts, layers)
    except Problem as problem:
        parts.refusal(problem)
        return Turned(own, study.domains, start_point(study, points), True)
    presets = points if merge == own else baselines_of(merge, experts, names)
    key = f"mix-{study.id}" if merge == own else f"mix-{study.id}-{'/'.join(names)}"
    chosen = st.session_state.setdefault(key, carried(study, names, merge, points))
    if wanted := st.session_state.pop(f"wanted-{study.id}", None):
        chosen = [float(wanted.get(name, there)) for name, there in zip(names, chosen, strict=True)]
        st.session_state[key] = chosen
        st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Set the faders to**")
        for label, point in presets.items():
            if st.button(parts.plain(label), key=f"set-{label}"):
                chosen = st.session_state[key] = np.asarray(point, float).tolist()
                st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    box, colours = box_of(merge, names), parts.named_of(study).colours
    rows = [
        {
            "name": name,
            "colour": colours.get(name.partition(AT)[0], charts.INK),
            "value": chosen[i],
            "lower": float(min(box.lower[i], chosen[i])),
            "upper": float(max(box.upper[i], chosen[i])),
            "mark": 0.3 if name not in merge.tuned else knob_start(merge, name),
            "mark_name": "0.3, usual in task arithmetic" if name not in merge.tuned else "its default",
            "low": None,
            "high": None,
        }
        for i, name in enumerate(names)
    ]
    reset = f"{key}-{st.session_state.get('desk-reset', 0)}"
    moved = components.free_desk(rows, key=f"desk-{reset}", reset=reset).weights
    if moved is not None and len(moved) == len(names):
        st.session_state[key] = chosen = moved
    if merge == own:
        st.query_params["mix"] = ",".join(f"{x:.4f}" for x in chosen)
    st.caption(
        "0 leaves an expert out, 1 adds all that it learned. Drag a fader, or focus it and press the arrow keys."
    )
    return Turned(merge, names, np.array(chosen, float), merge == own)


def start_point(study: studies.Study, points: dict[str, np.ndarray]) -> np.ndarray:
    """The point in the link, or the first that has a name."""
    try:
        linked = np.array([float(x) for x in st.query_params.get("mix", "").split(",")])
    except ValueError:
        linked = np.array([])
    fits = linked.shape == (len(study.domains),) and np.isfinite(linked).all()
    return linked if fits else np.asarray(next(iter(points.values())), float)


def carried(study: studies.Study, names: list[str], merge: MergeSpec, points: dict[str, np.ndarray]) -> list[float]:
    """Where a desk starts: at the study's own faders, each expert's for all of its layers."""
    own = dict(zip(study.domains, st.session_state.get(f"mix-{study.id}") or start_point(study, points), strict=True))
    return [
        float(own.get(name, own.get(name.partition(AT)[0], knob_start(merge, name) if name in merge.tuned else 0.3)))
        for name in names
    ]


def open_file(study: studies.Study, own: MergeSpec) -> None:
    """Set the desk to what a merge file says: method, knobs and coefficients."""
    with st.expander("Open a merge file (mergekit's YAML)", icon=":material/file_open:"):
        given = st.file_uploader("Merge file", ["yml", "yaml"], key=f"merge-file-{study.id}")
        st.caption("Its models must be this study's base and experts, by path, folder or name.")
        if given is None or not st.button("Set the faders to this file", key=f"open-file-{study.id}"):
            return
        try:
            text = given.getvalue().decode("utf-8", "replace")
            st.session_state[f"opened-{study.id}"] = opening.open_merge_file(state.store(), study, text)
        except Problem as problem:
            parts.refusal(problem)
            return
    draw_again()


def take_opened(study: studies.Study, own: MergeSpec) -> None:
    """Before the widgets are drawn: put what was opened into them."""
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
