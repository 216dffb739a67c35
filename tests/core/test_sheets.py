"""Cells that a spreadsheet would run are written as text, and come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.sheets import STARTS, as_text, as_typed


@given(st.text(max_size=6) | st.sampled_from(["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1", "''", "'", "", "x=1"]))
@pytest.mark.slow
def test_no_cell_is_a_formula_and_all_come_back(text):
    assert not as_text(text).startswith(STARTS) and as_typed(as_text(text)) == text


@pytest.mark.parametrize("text", ["web", "loss/web", "3.5", " =x"])
def test_other_cells_stay_as_they_are(text):
    assert as_text(text) == text
