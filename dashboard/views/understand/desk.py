"""The desk of a mixture study: its faders, beside what they are predicted to give."""

from dataclasses import replace

import numpy as np
import streamlit as st

from dashboard.components.desk import MANY, Fader, GroupFader, Position, desk
from dashboard.models.colours import GROUP
from dashboard.models.names import Named
from dashboard.views.shared.faders import (
    keep_locks_in_link,
    keep_scenes_in_link,
    linked_locks,
    linked_point,
    linked_scenes,
    presets,
    reset_of,
    set_desk,
    tried,
)
from dashboard.views.shared.predicted import Compared, ask_reference, headline, levels
from dashboard.views.shared.study import named_of, too_few
from dashboard.views.shared.text import plain
from engine.analysis.tracks import light, simplex_tracks
from engine.core.errors import Problem
from engine.core.short_names import listed, told_apart
from engine.space.broken import broken
from engine.space.simplex import Simplex
from engine.spec.frame import SAMPLED, Frame
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study
from engine.studies.moments import Moment
from engine.studies.points import BEST_PREDICTED, best_measured, named_points
from store import studies

PRIORS = {
    "natural": "the natural share",
    SAMPLED: "the share in the sample that was read, as the size of each domain is unknown",
    "prior": "the share in the prior",
    "mean of the runs": "the mean of the runs, as there is no prior and the size of each domain is unknown",
}
TOLD = 3  # broken constraints that are named
ALL = -1  # the choice that no domain alone gives way: a box whose choice is None looks as if it could be emptied


def key_of(study: studies.Study) -> str:
    """The key under which the session keeps the faders' values."""
    return f"mix-{study.id}"


def start_of(study: studies.Study, points: dict[str, np.ndarray]) -> list[float]:
    """Where the faders stand at first: at the link's mixture, or the first named one."""
    linked = linked_point(study)
    return (next(iter(points.values())) if linked is None else linked / linked.sum()).tolist()


def ask_giver(study: studies.Study) -> int | None:
    """Which domain gives way when another fader moves; None: all others, proportionally. Kept in the link."""
    names = named_of(study)
    linked = st.query_params.get("from")
    titles = told_apart({ALL: "All others, proportionally", **dict(enumerate(names.coordinates))})
    start = study.domains.index(linked) + 1 if linked in study.domains else 0
    giver = st.selectbox(
        "Take tokens from",
        list(titles),
        index=start,
        key=f"giver-{study.id}",
        format_func=titles.get,
    )
    if giver != ALL:
        st.query_params["from"] = study.domains[giver]
        return giver
    if linked:
        del st.query_params["from"]
    return None


def controls(study: studies.Study, points: dict[str, np.ndarray]) -> tuple[int | None, str]:
    """One row above the desk: which domain gives way, what to compare with, and mixtures to start from."""
    left, middle, right = st.columns([2, 2, 6], vertical_alignment="bottom")
    with left:
        giver = ask_giver(study)
    with middle:
        reference = ask_reference(points)
    with right:
        presets(key_of(study), points)
    return giver, reference


def desk_beside_meters(moment: Moment, fit: Fit, at: Position, one: Compared, giver: int | None) -> None:
    """The faders, and what they are predicted to give, against a reference. fit: the moment's, or at the target, where
    no run compares; giver: who gives way."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        faders(moment, fit, at, giver)
    with right:
        headline(one, moment.aggregate, bool(too_few(moment.study)))
        tick = None
        if fit is moment.fit and moment.compares and moment.best is not None:
            tick = (best_measured(moment), moment.measured.losses[moment.best])
        levels(moment.study, fit, moment.aggregate, one, tick)


def legend(moment: Moment, fit: Fit, one: Compared, elsewhere: bool) -> None:
    """What the desk shows, and what stands behind the prediction."""
    study = moment.study
    reach = (
        f"The nearest of {len(fit.measured.ids)} runs differs in {100 * one.support.distance[0]:.0f}% of the tokens "
        f"(runs are up to {100 * one.support.reach:.0f}% apart). Intervals are 95%, for one run."
    )
    budget = "No run had this size or budget: what changes on the way there is extrapolated. "
    st.caption(budget * elsewhere + reach)
    near = "; the line beside it spans the near-optimal mixtures" if near_optimal(moment) else ""
    scale = " Tracks have a square-root scale." if len(study.domains) > MANY else ""
    tree = ""
    if named_of(study).levels:
        tree = " A group's fader moves its domains together; the line beside it spans its bounds."
    st.caption(
        f"Tick: {PRIORS[frame_of_study(study).prior_name]}. Small marks: positions tried, from better to worse. "
        f"Lit: moving that fader alone there is predicted to come near the best mixture{near}.{scale}{tree}"
    )


def faders(moment: Moment, fit: Fit, at: Position, giver: int | None) -> None:
    """The desk. What it is told is read by `position` when the page runs next."""
    study, aggregate, best = moment.study, moment.aggregate, named_points(moment).get(BEST_PREDICTED)
    near, key, names = near_optimal(moment), key_of(study), named_of(study)
    frame, locked = frame_of_study(study), locks(study)
    mixture = np.array(at.values) / sum(at.values)
    shares, tracks = simplex_tracks(mixture, np.array(locked), giver)
    lit = light(fit.surrogate, tracks, aggregate, best, fit.measured.losses)
    rows = [
        Fader(
            name=domain,
            colour=names.colours[domain],
            value=at.values[i],
            lower=0.0,
            upper=1.0,
            mark=float(frame.prior[i]),
            mark_name=frame.prior_name,
            low=near and near["lowest"][i],
            high=near and near["highest"][i],
            lit=list(zip(shares.tolist(), lit[i].tolist(), strict=True)),
        )
        for i, domain in enumerate(names.coordinates)
    ]
    drawn = desk(
        rows,
        f"desk-{key}",
        reset_of(key),
        giver=giver,
        locked=locked,
        scenes=linked_scenes(len(rows)),
        tried=tried(key, at, fit.surrogate, aggregate),
        needed=float(np.max([fit.measured.weights.max(), frame.prior.max(), *(near["highest"] if near else [])])),
        groups=group_faders(names, frame),
    )
    keep_locks_in_link(study.domains, drawn.locked)
    keep_scenes_in_link(drawn.scenes)


def locks(study: studies.Study) -> list[bool]:
    """Which faders are locked, as the desk or the link says."""
    sent = st.session_state.get(f"desk-{key_of(study)}") or {}
    return sent.get("locked") or linked_locks(study.domains)


def group_faders(names: Named, frame: Frame) -> list[GroupFader]:
    """A fader for each part of each level, with the bounds of the group that it is."""
    assert isinstance(frame.space, Simplex)
    places = {name: place for place, name in enumerate(frame.space.names)}
    bounded = {
        (group.name, *sorted(places[name] for name in group.members)): (group.lower, group.upper)
        for group in frame.space.groups
        if (group.lower, group.upper) != (0, 1)
    }
    made = []
    for level in names.levels:
        for name, members in level.parts.items():
            low, high = bounded.get((name, *sorted(members.tolist())), (None, None))
            mark = float(frame.prior[members].sum())
            made.append(GroupFader(level.name, name, GROUP, members.tolist(), mark, frame.prior_name, low, high))
    return made


def note_outside(study: studies.Study, frame: Frame, mixture: np.ndarray) -> None:
    """What of the study's constraints the faders' mixture (D,) breaks, and the way back inside."""
    assert isinstance(frame.space, Simplex)
    if not (lines := broken(frame.space, mixture)):
        return
    nearest = nearest_inside(frame.space, mixture, locks(study))
    kept = "The nearest mixture that keeps all of them, and the locks."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/block: Outside the study's constraints: {plain(listed(lines, TOLD, between='; '))}.")
        st.button(
            "Nearest inside",
            key="nearest-inside",
            help=kept if nearest is not None else "The locked shares leave none inside: unlock some.",
            disabled=nearest is None,
            on_click=set_desk,
            args=(key_of(study), nearest),
        )


def nearest_inside(space: Simplex, mixture: np.ndarray, locked: list[bool]) -> np.ndarray | None:
    """(D,) the nearest mixture to one (D,) that keeps the space's constraints and the locked shares; None where none
    does."""
    low, high = np.where(np.array(locked, bool), mixture, [space.lower, space.upper])
    try:
        found: np.ndarray = replace(space, lower=low, upper=high).project(mixture[None])[0]
    except Problem:
        return None
    return found


def near_optimal(moment: Moment) -> dict | None:
    """The near-optimal ranges of the search in use, or None before one."""
    return moment.search and moment.search["found"]["near_optimal"]
