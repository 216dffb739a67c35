"""Which runs are brushed on Runs: ranges of the parallel coordinates, and the states and roles that were chosen.

All parts of the page ask here before they draw, so that curves, coordinates and table show the same runs. The link
holds ranges of losses in bits per byte, whatever unit they are read in.
"""

import contextlib
import math

import numpy as np
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.models.names import Named
from dashboard.models.runs import RunTable
from dashboard.models.units import Shown
from dashboard.models.wording import ROLES
from dashboard.views.shared.plot import plot
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import told_apart
from engine.spec.statistics import ordered
from store import studies

MOST_AXES = 16  # of parallel coordinates: more are unreadable
AXIS_PIXELS, MARGIN = 40, 100  # between two axes, at least: labels of nearer ones would overlap; beside all of them
MOST_DRAWN = 2000  # lines of parallel coordinates; filters see all runs
FILTERS = ("state", "role")  # columns of which some values can be chosen
Ranges = dict[str, list[list[float]]]  # axis -> [[low, high], ...]


def filter_key(column: str) -> str:
    """The key of the widget that chooses values of a column."""
    return f"filter-{column}"


def ask_filters(row, table: RunTable) -> None:
    """Ask, in a container, for the states and roles of the runs; kept in the link."""
    for name in FILTERS:
        options = sorted(set(table.columns[name]))
        if len(options) > 1:
            titles = told_apart({one: ROLES.get(one, one) for one in options})
            look = {"selection_mode": "multi", "bind": "query-params", "width": "content"}
            row.pills(name.capitalize(), options, format_func=titles.get, key=filter_key(name), **look)


def axes_of(table: RunTable, names: Named, merges: bool) -> list[dict]:
    """All axes of the parallel coordinates, as they are read: shares (or coefficients), metrics that some run has, and
    the aggregate. {"label", "name", "values" (R,), "percent", "read": how its values are read}."""
    plain_numbers = reading("")
    shares = [
        {"label": name if merges else f"share {name}", "name": f"share {i}", "values": column, "read": plain_numbers}
        for i, (name, column) in enumerate(zip(names.coordinates, table.weights.T, strict=True))
    ]
    metrics = [
        {
            "label": f"loss {name}" if name in names.coordinates else name,
            "name": f"loss {i}",
            "values": column,
            "read": reading(unit),
        }
        for i, (name, unit, column) in enumerate(zip(names.metrics, names.units, table.losses.T, strict=True))
        if np.isfinite(column).any()
    ]
    by = reading(table.aggregate.unit)
    score = {"label": table.aggregate.title, "name": "score", "values": table.score, "read": by}
    found = [*shares, *metrics, score]
    return [
        {**one, "values": one["read"].level(one["values"]), "percent": one["name"].startswith("share") and not merges}
        for one in found
    ]


def drawing_of() -> str:
    """The key of the chart: with another unit, or after *Clear*, it is another one."""
    return f"parallel-{st.session_state.get('brush-cleared', 0)}-{reading().unit}"


def brush_now(study: str, axes: list[dict]) -> Ranges:
    """The ranges as they are read: as they were drawn on the chart, or as the link had them at first."""
    drawn = (st.session_state.get(drawing_of()) or {}).get("brush")
    if drawn is not None:
        return drawn
    linked, read = linked_brush(study), {axis["name"]: axis["read"] for axis in axes}
    return {
        name: [[float(read[name].level(end)) for end in ends] for ends in ranges]
        for name, ranges in linked.items()
        if name in read
    }


def within(table: RunTable, axes: list[dict], brush: Ranges) -> np.ndarray:
    """(R,) the runs within all ranges, and of the states and roles that were chosen. Without ranges, also those that
    have not finished."""
    kept = np.isfinite(table.score) if brush else np.ones(len(table.score), bool)
    values = {axis["name"]: axis["values"] for axis in axes}
    for name, ranges in brush.items():
        if name in values:
            kept &= np.any([(values[name] >= low) & (values[name] <= high) for low, high in ranges], axis=0)
    for column in FILTERS:
        if chosen := st.session_state.get(filter_key(column)):
            kept &= np.isin(table.columns[column], chosen)
    return kept


def asked(brush: Ranges) -> str:
    """The ranges and the chosen states and roles as text; empty where there are none."""
    chosen = {
        column: st.session_state[filter_key(column)] for column in FILTERS if st.session_state.get(filter_key(column))
    }
    return repr((brush, chosen)) if brush or chosen else ""


def parallel(study: studies.Study, table: RunTable, names: Named, axes: list[dict], brush: Ranges) -> None:
    """The finished runs as lines over the axes, with the brushed ranges; these go into the link."""
    done = np.isfinite(table.score)
    wanted = chosen_axes(axes) | set(brush)
    drawn = evenly(np.flatnonzero(done), MOST_DRAWN)
    shown = [
        {**axis, "values": axis["values"][drawn], "brush": brush.get(axis["name"])}
        for axis in axes
        if axis["name"] in wanted
    ]
    title = f"{table.aggregate.title}, {axes[-1]['read'].unit}"
    figure = run_charts.parallel(shown, axes[-1]["values"][drawn], title, table.aggregate.better)
    plot(figure, key=drawing_of(), narrowest=AXIS_PIXELS * (len(shown) - 1) + MARGIN)
    keep_brush_in_link(study.id, brush, {axis["name"]: axis["read"] for axis in axes})
    part = "" if len(drawn) == done.sum() else f" ({len(drawn):,} drawn)"
    st.caption(
        f"{done.sum():,} finished runs{part}; colour: {plain(title)} ({table.aggregate.better} is better). "
        "Drag along an axis to keep to a range of it, in the curves above and the table below."
    )
    if table.aggregate.note:
        st.caption(plain(table.aggregate.note))


def count(study: str, kept: int, done: int, brush: Ranges) -> None:
    """How many runs the brush keeps, and a button that takes it away; nothing without a brush."""
    if not brush:
        return
    words, button = st.columns([4, 1], vertical_alignment="center")
    words.markdown(f"**{kept:,} of {done:,}** finished runs are within the brushed ranges.")
    button.button("Clear", icon=":material/filter_alt_off:", key="clear-brush", on_click=clear_brush, args=(study,))


def clear_brush(study: str) -> None:
    """Redraw the coordinates without ranges, and take these out of the link."""
    st.session_state[f"brush-{study}"] = []
    st.session_state["brush-cleared"] = st.session_state.get("brush-cleared", 0) + 1
    st.query_params.pop("brush", None)


def linked_brush(study: str) -> Ranges:
    """The ranges of axes in the link with which the page was opened, as they are kept."""
    found: Ranges = {}
    for text in st.session_state.setdefault(f"brush-{study}", st.query_params.get_all("brush")):
        axis, _, ends = text.partition(":")
        with contextlib.suppress(ValueError):  # of a link that somebody typed
            low, high = (float(end) for end in ends.split(","))
            if not math.isfinite(high - low):
                continue
            found.setdefault(axis, []).append([low, high])
    return found


def keep_brush_in_link(study: str, brush: Ranges, read: dict[str, Shown]) -> None:
    """Write the brushed ranges into the link, as they are kept; read: how each axis is read."""
    ends = [
        (name, [float(read[name].kept(end)) for end in one]) for name in brush if name in read for one in brush[name]
    ]
    written = st.session_state[f"brush-{study}"] = [f"{name}:{low!r},{high!r}" for name, (low, high) in ends]
    if written != st.query_params.get_all("brush"):
        st.query_params["brush"] = written


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, in equal steps."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def chosen_axes(axes: list[dict]) -> set[str]:
    """The axes to draw: all if they are few, else the shares that vary most and the first metrics, or as chosen; always
    the aggregate."""
    own = axes[:-1]
    everything = told_apart({axis["name"]: axis["label"] for axis in own})
    if len(everything) <= MOST_AXES:
        return {axis["name"] for axis in axes}
    shares = [axis for axis in own if axis["name"].startswith("share")]
    widest = ordered(-np.array([axis["values"].std() for axis in shares]))[: MOST_AXES // 2]
    start = [shares[i]["name"] for i in sorted(widest)] + [axis["name"] for axis in own[len(shares) :]][
        : MOST_AXES // 3
    ]
    with st.expander(f"Axes, of {len(everything)}", icon=":material/tune:", key="axes-shown"):
        chosen = st.multiselect(
            "Axes", list(everything), default=start, format_func=everything.get, key="axes", bind="query-params"
        )
    return {*(chosen or start), axes[-1]["name"]}
