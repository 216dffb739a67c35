"""How many runs a study will have: what is said before its corpus is built, at its start, and what is planned."""

from collections import Counter

import pytest

from engine.commands import COMMANDS
from engine.core.people import SYSTEM, as_person
from engine.spec.frame import frame_of
from engine.spec.study import plan_runs, planned_roles
from tests.spec.test_pools import DOMAINS, manifest, spec

STUDIES = {
    "plain": {},
    "repeats": {"runs": 9, "repeats": 3},
    "one baseline in two": {"available_tokens": dict.fromkeys(DOMAINS, 1e9), "target_tokens": 1e8},
    "bounded": {"bounds": {"web": [0.2, 0.4], "code": [0.3, 0.3]}, "runs": 8},
    "doses": {"target_tokens": 2e8, "available_tokens": {"web": 8e9, "code": 3e9, "books": 2e6}, "dose_runs": 5},
}


@pytest.mark.parametrize("case", STUDIES)
def test_what_is_announced_is_what_is_planned(case):
    asked = spec(**STUDIES[case])
    frame = frame_of(asked, DOMAINS, manifest())
    planned = Counter(run["role"] for run in plan_runs(asked, "s", frame))
    assert planned_roles(asked, frame) == planned
    most = planned_roles(asked, None)
    assert set(most) == set(planned) and all(most[role] >= count for role, count in planned.items())


def test_the_start_of_a_study_says_its_runs(store):
    """At most so many, as its card says, until the corpus is built."""
    asked = spec(runs=9, repeats=2)
    with as_person(SYSTEM):
        told = COMMANDS["start"](store, spec=asked.to_dict())
    assert told["roles"] == planned_roles(asked, None) and told["runs"] == sum(told["roles"].values())
