"""Kinds of data beside prose: adding a domain lowers its own loss beyond noise; other prose and noise do not."""

import pytest

from benchmarks.kinds import KINDS, MORE, NOISE, effects, missing

CLEAR = 4.6  # standard errors over five seeds: Student's t of 4 degrees of freedom at 99%, on both sides


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_domain_moves_its_own_loss_and_a_control_does_not(kind):
    if there := missing(kind):
        pytest.skip(f"needs {', '.join(there)}")
    rows = effects(kind)
    own = [row for row in rows if row["added"] == row["measured"]]
    assert own
    assert all(row["effect"] < -CLEAR * row["error"] for row in own), own
    for row in rows:
        within = CLEAR * row["error"]
        if row["added"] == MORE or (row["added"] == NOISE and row["unit"] == "score"):  # moves nothing, either way
            assert abs(row["effect"]) <= within, row
        elif row["added"] == NOISE:  # takes the place of prose, which may cost, and lowers nothing
            assert row["effect"] >= -within, row
        elif row["measured"].endswith("accuracy"):  # higher is better
            assert row["effect"] > 2 * row["error"], row
