"""A chart on the page, its losses in the unit that was chosen."""

import plotly.graph_objects as go

from dashboard.charts.units import read_in
from dashboard.components.plot import plot as draw
from dashboard.views.shared.units import reading

CELL, BESIDE = 62, 190  # pixels of a cell that a number and its interval fit into; of labels and scale beside all


def cells(figure: go.Figure, key: str, columns: int):
    """A chart of cells with numbers: a narrower window scrolls it, so that these can be read."""
    return plot(figure, key, narrowest=min(900, BESIDE + CELL * columns))


def plot(figure: go.Figure, key: str, narrowest: int = 0):
    """As `dashboard.components.plot.plot`, after what is in bits per byte has been converted."""
    return draw(read_in(figure, reading()), key, narrowest)
