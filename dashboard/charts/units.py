"""Figures of losses in another unit: what is drawn in bits per byte is converted, point by point and end by end.

An axis is one of losses if its title names their unit. Figures say in `layout.meta` which of these have losses
themselves; others have differences. Perplexities stand on a logarithmic scale, on which they look as the bits do: the
interval of a metric that nobody knows would flatten all others.
"""

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import LEVELS
from dashboard.models.units import Shown
from engine.spec.objectives import BITS


def read_in(fig: go.Figure, shown: Shown) -> go.Figure:
    """The figure with its axes of losses in the unit shown. Colours and texts are converted where they are made."""
    levels = (fig.layout.meta or {}).get(LEVELS, "")
    for letter in "xy":
        axis = fig.layout[f"{letter}axis"]
        if BITS not in (axis.title.text or ""):
            continue
        is_level = letter in levels
        unit, convert = (shown.unit, shown.level) if is_level else (shown.gap_unit, shown.gap)
        for trace in fig.data:
            _trace(trace, letter, convert)
        axis.title.text = axis.title.text.replace(BITS, unit)
        is_log = is_level and shown.exponential
        if axis.range is not None:  # Plotly has the exponents of 10 there
            axis.range = [float(end * np.log10(2) if is_log else convert(end)) for end in map(np.float64, axis.range)]
        axis.type = "log" if is_log else axis.type
        _marks(fig, letter, convert, is_log)
        for trace in fig.data:
            if trace.hovertemplate:
                trace.hovertemplate = trace.hovertemplate.replace(BITS, unit)
    return fig


def _trace(trace, letter: str, convert) -> None:
    """One trace's values along an axis, with the ends of its intervals."""
    if trace[letter] is None:
        return
    values = np.asarray(trace[letter], float)
    error = trace[f"error_{letter}"]
    if error is not None and error.array is not None:
        half = np.asarray(error.array, float)
        low = half if error.arrayminus is None else np.asarray(error.arrayminus, float)
        middle = convert(values)
        error.array, error.arrayminus = convert(values + half) - middle, middle - convert(values - low)
        error.symmetric = False
    trace[letter] = convert(values)


def _marks(fig: go.Figure, letter: str, convert, is_log: bool) -> None:
    """Lines and notes that stand at a value of an axis; on a logarithmic one, notes stand at its exponent of 10."""
    for shape in fig.layout.shapes:
        if shape[f"{letter}ref"] == letter:
            for end in (f"{letter}0", f"{letter}1"):
                shape[end] = float(convert(np.float64(shape[end])))
    for note in fig.layout.annotations:
        if note[f"{letter}ref"] == letter:
            note[letter] = float(note[letter] * np.log10(2) if is_log else convert(np.float64(note[letter])))
