"""Kinds of data beside prose: adding a domain lowers its own loss beyond noise, and adding noise does not."""

import pytest

from benchmarks.kinds import KINDS, NOISE, effects, missing

CLEAR, WITHIN = 4.0, 3.0  # standard errors over five seeds: t of 4 degrees of freedom is 2.8 at 95%


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_domain_moves_its_own_loss_and_a_control_does_not(kind):
    if there := missing(kind):
        pytest.skip(f"needs {', '.join(there)}")
    rows = effects(kind)
    own = [row for row in rows if row["added"] == row["measured"]]
    control = {row["measured"]: row for row in rows if row["added"] == NOISE}
    assert own
    for row in own:
        assert row["effect"] < -CLEAR * row["error"], row
        other = control[row["measured"]]
        assert other["effect"] > -WITHIN * other["error"] or other["effect"] > 0.2 * row["effect"], other
    for row in rows:  # scores of tasks: higher is better
        if row["unit"] == "score" and row["added"] != NOISE and row["measured"].endswith("accuracy"):
            assert row["effect"] > 2 * row["error"], row
