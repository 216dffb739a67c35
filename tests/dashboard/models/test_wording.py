"""What pages say of candidates: rules of approval and verdicts."""

import pytest

from dashboard.models import wording


@pytest.mark.parametrize(
    ("approvals", "alone", "sentence"),
    [
        (1, False, "Needs 1 approval from someone other than the author"),
        (2, False, "Needs 2 approvals, at least one from someone other than the author"),
        (1, True, "Needs 1 approval"),
        (3, True, "Needs 3 approvals"),
        (1, None, "Needs 1 approval from someone other than the author, unless nobody signs in"),
    ],
)
def test_the_rules_of_approval_in_a_sentence(approvals, alone, sentence):
    assert wording.rules_words(approvals, alone) == sentence


@pytest.mark.parametrize(
    ("measured", "half", "verdict"),
    [(-0.1, None, "noise unknown"), (-0.1, 0.2, "within noise"), (-0.3, 0.2, "better"), (0.3, 0.2, "worse")],
)
def test_nothing_is_claimed_within_noise(measured, half, verdict):
    inside = None if half is None else abs(measured) <= half
    assert wording.verdict({"measured": measured, "measured_half": half, "inside_noise": inside}) == verdict


def test_planned_runs_are_counted_in_words():
    assert wording.planned_words({"design": 2, "mirror": 64, "expert": 1}) == (
        "67 runs (2 design points, 64 paired merges, 1 expert)"
    )
