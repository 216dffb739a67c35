"""Explore, of a merge study: faders over coefficients, losses predicted at once and measured a moment later."""

import json
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard import charts, components, state
from dashboard.views import parts
from dashboard.views.forward import put_forward
from dashboard.views.merge_looks import closer_look
from engine import explain, merge_asking
from engine.candidates import Fit, named_points
from engine.errors import Problem
from engine.merge_catalogue import Knob, card_of, catalogue
from engine.merge_study import AT, MergeSpec, baselines_of, box_of, coordinates, knob_start
from engine.objectives import Aggregate, common_scale
from engine.search.prediction import difference, predict
from engine.study import StudySpec
from store import studies

PATIENCE = 0.1  # seconds of one look whether the measurement is there: a fader that moves on is heard in between
LOOKS = 12


@dataclass(frozen=True)
class Turned:
    """Where the desk stands. merge, names: what is turned, the study's own or another method on the same experts;
    point (D,); own: whether the study's surrogate speaks of it."""

    merge: MergeSpec
    names: list[str]
    point: np.ndarray
    own: bool


def render(study: studies.Study) -> None:
    """The whole page, below its title."""
    fit, whole = parts.fit_of(study), parts.priorities_of(study)
    st.caption(described(study))
    own = StudySpec.from_dict(study.spec).merge

    @st.fragment
    def turning():
        points = named_points(state.store(), study, whole)
        turned = desk(study, own, ask_method(study, own), points)
        if turned.own and fit is not None:
            predictions(study, fit, whole, turned, points)
            with st.container(horizontal=True):
                keep(study, turned.point)
                put_forward(study, {"the faders": turned.point}, "merge-desk", fit.name, whole)
            closer_look(study, fit, whole, turned.point, points)
        else:
            measured_only(study, whole, turned)

    turning()


def described(study: studies.Study) -> str:
    """What is merged, in a line."""
    merge = study.spec["merge"]
    where = "checkpoints from elsewhere" if merge["base"] else "proxies trained here from one base"
    experts = ", ".join(parts.plain(name) for name in study.corpus["experts"])
    return f"{len(study.corpus['experts'])} experts, {where}: {experts}. Method of the study: {merge['method']}."


# What is turned ----------------------------------------------------------------------------------------------


def ask_method(study: studies.Study, own: MergeSpec) -> MergeSpec:
    """The study's method, or another one to try on the same experts, with its knobs."""
    experts = len(study.corpus["experts"])
    fits = [
        name for name, card in catalogue().items()
        if card.least <= experts and (not card.most or experts <= card.most)
    ]  # fmt: skip
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    key = f"method-{study.id}"
    st.session_state.setdefault(key, own.method)
    method = left.selectbox(
        "Method", fits, key=key,
        format_func=lambda name: catalogue()[name].title + (" · the study's" if name == own.method else ""),
        help="Another method is measured live on the same experts; the study's surrogate knows its own method only.",
    )  # fmt: skip
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
        fixed = {
            name: value for name, value in chosen.items() if name in fixed or value != start_of(card.knobs[name])
        }
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
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Set the faders to**")
        for label, point in presets.items():
            if st.button(parts.plain(label), key=f"set-{label}"):
                chosen = st.session_state[key] = np.asarray(point, float).tolist()
                st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    box, colours = box_of(merge, names), parts.named_of(study).colours
    rows = [
        {
            "name": name, "colour": colours.get(name.partition(AT)[0], charts.INK), "value": chosen[i],
            "lower": float(min(box.lower[i], chosen[i])), "upper": float(max(box.upper[i], chosen[i])),
            "mark": 0.3 if name not in merge.tuned else knob_start(merge, name),
            "mark_name": "0.3, usual in task arithmetic" if name not in merge.tuned else "its default",
            "low": None, "high": None,
        }
        for i, name in enumerate(names)
    ]  # fmt: skip
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


# What becomes of it ------------------------------------------------------------------------------------------


def predictions(study, fit: Fit, whole: Aggregate, turned: Turned, points: dict[str, np.ndarray]) -> None:
    """Predicted losses at once, measured ones beside them as soon as they are there."""
    at = turned.point
    here = predict(fit.surrogate, at, whole.weights)
    support = explain.support(at[None], fit.measured.weights)
    live = measured_now(study, turned, patience=0.0)
    left, right = st.columns([1, 2])
    with left:
        names = [name for name in points if name != "best"] + ["best"] * ("best" in points)
        reference = st.selectbox("Compare with", names, key="reference")
        gap = difference(fit.surrogate, at, points[reference], whole.weights)
        st.metric(
            f"{whole.title.capitalize()}, predicted ({parts.plain(whole.unit)})",
            f"{parts.number(whole.sign * here.aggregate)} ± {parts.number(1.96 * here.aggregate_std)}",
            f"{parts.number(whole.sign * gap.aggregate, '+')} ± {parts.number(1.96 * gap.aggregate_std)} against "
            f"{reference}",
            delta_color="off" if gap.inside_noise else "inverse" if whole.sign > 0 else "normal",
        )  # fmt: skip
        verdict = (
            "**Inside the noise**: no difference can be claimed." if gap.inside_noise else "Outside the noise (95%)."
        )
        st.markdown(f"{verdict} {parts.SUPPORT[support.badge[0]]}")
        if live is not None:
            st.metric(f"{whole.title.capitalize()}, measured now", parts.number(whole.sign * whole.of(live.losses)))
        st.caption(
            f"The coefficients differ by {2 * support.distance[0]:.2f} in sum from the nearest of "
            f"{len(fit.measured.ids)} merges measured (up to {2 * support.reach:.2f} apart). Intervals are 95%. The "
            "same merge measures the same again: what is unknown here is the surrogate's, not noise of training."
        )
    with right:
        figure = charts.losses_with_intervals(
            parts.named_of(study), (reference, gap.baseline.mean), (here.mean, gap.std),
            None if live is None else ("this merge, now", live.losses),
            common_scale(study.objectives, fit.measured.losses),
        )  # fmt: skip
        components.plot(figure, key="losses")
    if live is None:
        wait_for(study, turned)


def measured_only(study: studies.Study, whole: Aggregate, turned: Turned) -> None:
    """What a merge measures that no surrogate speaks of."""
    if not can_measure_live(study):
        st.info("No surrogate speaks of this method, and large models are not measured while a fader moves. "
                "Start a merge study of it on the page Studies.")  # fmt: skip
        return
    live = measured_now(study, turned, patience=0.0)
    names = parts.named_of(study)
    if live is None:
        st.caption("Measuring this merge: its losses stand here in a moment.")
    else:
        shown = whole.sign * whole.of(live.losses)
        st.metric(f"{whole.title.capitalize()}, measured now ({parts.plain(whole.unit)})", parts.number(shown))
        st.dataframe(
            {"metric": names.metrics, "measured": live.losses, "± (95%, over windows)": 1.96 * live.losses_se},
            hide_index=True,
        )
        if not turned.own:
            st.caption("Measured, not predicted: the study's surrogate knows its own method and coordinates only. To "
                       "search with these, start a merge study of them on the page Studies.")  # fmt: skip
    if live is None:
        wait_for(study, turned)


def can_measure_live(study: studies.Study) -> bool:
    """Whether merges of this study are measured while a fader moves: proxies', once their experts are trained."""
    return study.spec["fidelity"] is not None


def measured_now(study: studies.Study, turned: Turned, patience: float):
    """What this merge measures, or None while that is not known."""
    if not can_measure_live(study):
        return None
    spec = StudySpec.from_dict(study.spec)
    task = merge_asking.task_of(study, spec) | {
        "study": study.id, "merge": turned.merge.to_dict(), "names": turned.names,
    }  # fmt: skip
    try:
        return state.live().measure(json.loads(json.dumps(task)), turned.point, spec.fidelity.eval_tokens, patience)
    except Problem as problem:
        st.caption(f":material/info: {parts.plain(problem)}")
        return None


def wait_for(study: studies.Study, turned: Turned) -> None:
    """Wait for the measurement, and draw it; faders that move in between are heard."""
    if not can_measure_live(study):
        return
    place = st.empty()
    for _ in range(LOOKS * 10):
        place.caption("measuring this merge…")
        if measured_now(study, turned, PATIENCE) is not None:
            draw_again()
    place.empty()


def draw_again() -> None:
    """Run the fragment again; where the whole page runs, that one."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:  # this is no rerun of a fragment
        st.rerun()


def keep(study: studies.Study, at: np.ndarray) -> None:
    """Queue the true measurement of this merge, as a run of the study."""
    words = "Measure this merge in full" if study.spec["fidelity"] is None else "Keep this merge as a run"
    told = "It becomes a run of the study, and surrogates learn from it."
    if st.button(words, **{"icon": ":material/add_task:", "help": told, **parts.takes("operator")}):
        try:
            merge_asking.measure_points(state.store(), study, at, "from the faders")
            st.toast("Queued. The surrogates learn from it when it is measured.")
        except Problem as problem:
            parts.refusal(problem)
