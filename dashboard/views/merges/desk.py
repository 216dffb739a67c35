"""The desk of a merge study: method, parameters and faders (one per expert, or per expert and layer); merge files."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from dashboard.charts import style
from dashboard.components.desk import Fader, Position
from dashboard.components.desk import desk as draw_desk
from dashboard.server import state
from dashboard.views.shared.faders import (
    keep_locks_in_link,
    keep_scenes_in_link,
    linked_locks,
    linked_point,
    linked_scenes,
    position,
    presets,
    reset_of,
    set_desk,
    tried,
)
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain, refusal
from engine.analysis.tracks import box_tracks, light
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.spec.merge import AT, MergeSpec, baselines_of, box_of, coordinates, usual_of
from engine.spec.merge_catalogue import card_of, catalogue
from engine.spec.merge_knobs import Knob
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from engine.studies.merges import opening
from engine.studies.points import BEST_MEASURED, BEST_PREDICTED
from store import studies


@dataclass(frozen=True)
class Setting:
    """What the desk is set to. merge, names: the study's own method and coordinates, or others on the same experts;
    at: where its faders stand; key: under which the session keeps that; own: the study's surrogate covers it; messages:
    where a refusal of its parameters is read."""

    merge: MergeSpec
    names: list[str]
    at: Position
    key: str
    own: bool
    messages: DeltaGenerator | None

    @property
    def point(self) -> np.ndarray:
        """The coefficients (D,)."""
        return np.array(self.at.values, float)


def draw_again() -> None:
    """Rerun the fragment, or the whole page if that is what runs."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:  # this is no rerun of a fragment
        st.rerun()


def ask_method(study: studies.Study, own: MergeSpec, row: list) -> tuple[MergeSpec, DeltaGenerator | None]:
    """The study's method, or another one to try on the same experts, with its parameters; row: three containers.

    Also a place inside the open parameters, for refusals of them: they hide the page; None where there are none."""
    take_opened(study, own)
    experts = len(study.corpus["experts"])
    fits = [
        name
        for name, card in catalogue().items()
        if card.min_experts <= experts and (not card.max_experts or experts <= card.max_experts)
    ]
    key = f"method-{study.id}"
    st.session_state.setdefault(key, own.method)
    titles = told_apart({one: catalogue()[one].title + " · the study's" * (one == own.method) for one in fits})
    method = row[0].selectbox(
        "Method",
        fits,
        key=key,
        format_func=titles.get,
        help="Other methods are measured live on the same experts; the study's surrogate only covers its own method.",
    )
    by_layer = row[1].toggle("One fader per layer", own.by == "layer", key=f"layers-{study.id}")
    by = "layer" if by_layer else "model"
    card = card_of(method)
    fixed, tuned = (own.knobs, own.tuned) if method == own.method else ({}, {})
    others = [knob for knob in card.knobs.values() if knob.name != "weight" and knob.name not in tuned]
    messages = None
    if others:
        with row[2].popover("Parameters", icon=":material/tune:"):
            st.caption(f"{card.title} ({plain(card.paper)})")
            chosen = {knob.name: ask_knob(study, method, knob, fixed.get(knob.name)) for knob in others}
            messages = st.container()
        fixed = {name: value for name, value in chosen.items() if name in fixed or value != start_of(card.knobs[name])}
    return replace(own, method=method, knobs=fixed, tuned=tuned, by=by), messages


def start_of(knob: Knob):
    """What a knob is set to at first."""
    return (knob.low + knob.high) / 2 if knob.required else knob.default


def ask_knob(study: studies.Study, method: str, knob: Knob, fixed):
    """One knob as a widget; returns its value."""
    key, start = f"knob-{study.id}-{method}-{knob.name}", start_of(knob) if fixed is None else fixed
    if knob.kind == "bool":
        return st.checkbox(knob.name, bool(start), key=key)
    if isinstance(start, list | tuple):
        st.caption(f"{knob.name}: {list(start)}, one per expert")
        return start
    if knob.kind == "int":
        return st.number_input(knob.name, int(knob.low), int(knob.high), int(start), key=key)
    low, high = min(knob.low, start), max(knob.high, start)
    return st.number_input(knob.name, float(low), float(high), float(start), format="%.4g", key=key)


def setting_of(
    study: studies.Study, own: MergeSpec, asked: tuple[MergeSpec, DeltaGenerator | None], points: dict[str, np.ndarray]
) -> Setting:
    """Where the faders stand, and buttons that set them; asked: by `ask_method`."""
    merge, messages = asked
    experts = study.corpus["experts"]
    layers = len({name.rpartition(AT)[2] for name in study.coordinates if AT in name}) - 1
    if layers < 0:
        layers = study.spec["fidelity"]["layers"] if study.spec["fidelity"] else 0
    try:
        names = study.coordinates if merge == own else coordinates(merge, experts, layers)
    except Problem as problem:
        refusal(problem)
        merge, names = own, study.coordinates
    key = f"mix-{study.id}" if merge == own else f"mix-{study.id}-{'/'.join(names)}"
    chosen = st.session_state.setdefault(key, start_values(study, names, merge, points))
    if wanted := st.session_state.pop(f"wanted-{study.id}", None):
        set_desk(key, [float(wanted.get(name, there)) for name, there in zip(names, chosen, strict=True)])
    presets(key, points if merge == own else baselines_of(merge, experts, names))
    return Setting(merge, names, position(study, key, chosen, merge == own), key, merge == own, messages)


def desk(study: studies.Study, setting: Setting, fit: Fit | None, aggregate: Aggregate) -> None:
    """The faders. fit: what predicts at this setting, None where nothing does; then no track is lit."""
    key, names = setting.key, setting.names
    sent = st.session_state.get(f"desk-{key}") or {}
    drawn = draw_desk(
        faders(study, setting, fit, aggregate),
        f"desk-{key}",
        reset_of(key),
        free=True,
        locked=sent.get("locked") or linked_locks(names),
        scenes=linked_scenes(len(names)),
        tried=tried(key, setting.at, fit.surrogate, aggregate) if fit else (),
    )
    keep_locks_in_link(names, drawn.locked)
    keep_scenes_in_link(drawn.scenes)


def faders(study: studies.Study, setting: Setting, fit: Fit | None, aggregate: Aggregate) -> list[Fader]:
    """The faders of the desk, as the component takes them."""
    merge, names, point = setting.merge, setting.names, setting.point
    box, colours = box_of(merge, names), named_of(study).colours
    lower, upper = np.minimum(box.lower, point), np.maximum(box.upper, point)
    values, tracks = box_tracks(point, lower, upper)
    usual = [usual_of(merge, name) for name in names]
    lit = light(fit.surrogate, tracks, aggregate, None, fit.measured.losses) if fit else None
    return [
        Fader(
            name=name,
            colour=colours.get(name.partition(AT)[0], style.INK),
            value=float(point[i]),
            lower=float(lower[i]),
            upper=float(upper[i]),
            mark=usual[i][0],
            mark_name=usual[i][1],
            lit=None if lit is None else list(zip(values[i].tolist(), lit[i].tolist(), strict=True)),
        )
        for i, name in enumerate(names)
    ]


def start_point(study: studies.Study, points: dict[str, np.ndarray]) -> np.ndarray:
    """The point (D,) in the link; else the study's answer: the best predicted, the best measured, or any named one."""
    if (linked := linked_point(study)) is not None:
        return linked
    best = [name for name in points if name == BEST_PREDICTED or name.startswith(BEST_MEASURED)]
    return np.asarray(points[min(best or points, key=lambda name: name != BEST_PREDICTED)], float)


def start_values(
    study: studies.Study, names: list[str], merge: MergeSpec, points: dict[str, np.ndarray]
) -> list[float]:
    """Where a desk starts: at the study's own faders, an expert's value for all of its layers."""
    own = dict(
        zip(study.coordinates, st.session_state.get(f"mix-{study.id}") or start_point(study, points), strict=True)
    )
    return [float(own.get(name, own.get(name.partition(AT)[0], usual_of(merge, name)[0]))) for name in names]


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
