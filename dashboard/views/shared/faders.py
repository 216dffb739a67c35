"""Where the faders of a study stand: in the link, set from other pages, and what was tried."""

import numpy as np
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.components.desk import Position, position_sent
from dashboard.views.shared.text import plain
from engine.spec.objectives import Aggregate
from engine.surrogates import Surrogate
from store import studies

DIGITS = 5  # of a fader's value: the desk sends as many
SCENES = "ABCD"  # scenes.js
TRIED = 30  # positions that are remembered


def in_link(text: str, count: int) -> list[float] | None:
    """Numbers as a link holds them; None unless there are `count` finite ones."""
    try:
        values = [float(x) for x in text.split(",")]
    except ValueError:
        return None
    return values if len(values) == count and np.isfinite(values).all() else None


def as_link(values: list[float]) -> str:
    """Numbers as a link holds them."""
    return ",".join(f"{value:.{DIGITS}f}" for value in values)


def linked_point(study: studies.Study) -> np.ndarray | None:
    """The faders' values (D,) in the link; None if it has none that fit the study."""
    values = in_link(st.query_params.get("mix", ""), len(study.coordinates))
    if values is None or (study.kind == "mixture" and (min(values) < 0 or not sum(values) > 0)):
        return None
    return np.array(values)


def linked_locks(names: list[str]) -> list[bool]:
    """Which faders the link locks."""
    locked = st.query_params.get_all("lock")
    return [name in locked for name in names]


def linked_scenes(count: int) -> dict[str, list[float]]:
    """The scenes in the link that fit a desk of `count` faders, by letter."""
    found = {letter: in_link(st.query_params.get(f"scene{letter}", ""), count) for letter in SCENES}
    return {letter: values for letter, values in found.items() if values is not None}


def keep_locks_in_link(names: list[str], locked: list[bool] | None) -> None:
    """Write which faders are locked into the link; None: the desk has not said yet."""
    if locked is not None and len(locked) == len(names):
        st.query_params["lock"] = [name for name, held in zip(names, locked, strict=True) if held]


def keep_scenes_in_link(scenes: dict[str, list[float]] | None) -> None:
    """Write the scenes of a desk into the link; None: none was kept since it was drawn."""
    for letter, values in (scenes or {}).items():
        st.query_params[f"scene{letter}"] = as_link(values)


def reset_of(key: str) -> str:
    """Changes whenever the desk whose values the session keeps under `key` is set from outside."""
    return f"{key}-{st.session_state.get('desk-reset', 0)}"


def set_desk(key: str, point: np.ndarray) -> None:
    """Set the desk whose values the session keeps under `key` to a point (D,), when it is next drawn."""
    st.session_state[key] = np.asarray(point, float).tolist()
    st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1


def position(study: studies.Study, key: str, start: list[float], own: bool = True) -> Position:
    """Where the desk under `key` stands, at first at `start`. own: its faders are the study's coordinates, so they are
    in the link: settled positions are written there, and whoever goes back in the browser's history, or follows a link,
    finds the faders where it says. In any other run the link may be older than the faders: it was on its way while they
    moved."""
    session = st.session_state
    session.setdefault(key, start)
    linked = linked_point(study) if own and (goes_through_history() or is_drawn_anew(key)) else None
    if linked is not None and session.get(f"linked-{key}", as_link(linked)) != as_link(linked):
        set_desk(key, linked)
    sent = position_sent(f"desk-{key}", reset_of(key), len(start))
    if sent is not None:
        session[key] = sent.values
    settled = sent is None or sent.settled
    if own and settled:  # readers of the link see the same numbers
        session[f"linked-{key}"] = st.query_params["mix"] = as_link(session[key])
        session[key] = in_link(st.query_params["mix"], len(start))
    return Position(session[key], settled)


def goes_through_history() -> bool:
    """Whether the browser's Back or Forward asked for this run of the page."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def is_drawn_anew(key: str) -> bool:
    """Whether the desk under `key` was not on the page in the last run: Streamlit forgets components left out."""
    return f"desk-{key}" not in st.session_state


def tried(key: str, now: Position, surrogate: Surrogate, aggregate: Aggregate) -> list[tuple[list[float], float]]:
    """The positions at which the desk under `key` has rested before, each with 0 (the best predicted of them) to 1."""
    rests = st.session_state.setdefault(f"tried-{key}", [])
    if now.settled and now.values not in rests:
        st.session_state[f"tried-{key}"] = rests = [*rests, now.values][-TRIED:]
    if len(rests) < 2:
        return []
    values = aggregate.of(surrogate.mean(np.array(rests)))
    span = float(np.ptp(values)) or 1.0
    worse = ((values - values.min()) / span).tolist()
    return [one for one in zip(rests, worse, strict=True) if one[0] != now.values]


def presets(key: str, points: dict[str, np.ndarray]) -> None:
    """A row of buttons that set the desk under `key` to named points, behind a label like those of boxes beside it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.html('<div class="mixdesk-label">Presets</div>', width="content")
        for label, point in points.items():
            if st.button(plain(label), key=f"set-{label}"):
                set_desk(key, point)


def set_faders(study: studies.Study, point: np.ndarray) -> None:
    """Set the faders of Explore to a point (D,), and say so."""
    set_desk(f"mix-{study.id}", point)
    st.toast("The faders on Explore are set to this point.")
