"""A study with phases from its file to its verdict: planned, costed, trained with branches, judged and exported."""

import json

import numpy as np
import pytest

from tests.support.running import STUDY, answer, copied, engine

pytestmark = pytest.mark.slow
PHASES = """
order_triples = 6
branches = 2
[[phases]]
fraction = 0.75
[[phases]]
fraction = 0.25
[fidelity]"""


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    return copied(finished, tmp_path_factory.mktemp("phases") / "workspace")


def file(folder, name: str = "Phased", first: str = "0.75") -> str:
    text = (
        STUDY.replace("Small", name)
        .replace("[fidelity]", PHASES)
        .replace("tokens = 32768", "tokens = 8192")
        .replace("fraction = 0.75", f"fraction = {first}")
    )
    (folder / f"{name}.toml").write_text(text.replace('["log_linear", "ridge", "gp", "stack"]', '["ridge"]'))
    return str(folder / f"{name}.toml")


def test_a_phased_study_is_costed_trained_judged_and_exported(desk, tmp_path):
    told = answer(desk, "start", file(tmp_path))
    one = told["costs"]["design"]["tokens"] / told["costs"]["design"]["runs"]
    assert told["costs"]["phased"] == {
        "runs": 14,
        "tokens": pytest.approx(12 * one + 2 * 0.25 * one),
        "flops": pytest.approx(told["costs"]["design"]["flops"] / 16 * 12.5),
    }, "a branch costs its last phase"
    answer(desk, "start", file(tmp_path), "--wait")
    rows = [row for row in answer(desk, "runs", "Phased") if row["state"] == "done"]
    phased = [row for row in rows if row["role"] == "phased"]
    assert len(phased) == 14 and sum(row["trunk"] is not None for row in phased) == 2
    for row in phased:
        seen = np.array([row["shares"][name] for name in row["weights"]])
        np.testing.assert_allclose(seen, list(row["weights"].values()), atol=0.05)
    found = answer(desk, "phases", "Phased")
    assert found["comparisons"] == {"measured": 6, "planned": 6, "exact": True} and found["verdict"]
    assert found["best"]["total"] and len(found["best"]["phases"]) == 2
    names = list(found["best"]["total"])
    even = ",".join(f"{name}={1 / len(names):.6f}" for name in names[:-1])
    even += f",{names[-1]}={1 - (len(names) - 1) * round(1 / len(names), 6):.6f}"
    asked = answer(desk, "phases", "Phased", "--phase", even, "--phase", even)["asked"]
    assert asked["change"] == 0, "one mixture throughout has no order"
    out = tmp_path / "recipe"
    engine(desk, "export", "Phased", "--candidate", phased[0]["id"], "--format", "json", "--out", str(out))
    (made,) = out.rglob("*mixture.json")
    assert [phase["fraction"] for phase in json.loads(made.read_text())["phases"]] == [0.75, 0.25]


def test_a_schedule_is_nominated_and_confirmed_beside_one_mixture_with_its_totals(desk):
    """Follows the test above: its study is trained."""
    run = next(row for row in answer(desk, "runs", "Phased") if row["role"] == "phased" and row["trunk"] is None)
    made = answer(desk, "nominate", "Phased", "In order", "--because", "x", "--candidate", run["id"])["candidate"]
    answer(desk, "confirm-candidate", made, "--times", "1", "--seeds", "2", "--wait")
    (measured,) = answer(desk, "candidate", made)["evidence"]
    assert measured["own"] and measured["points"]["candidate"]["seeds"] == 2 and measured["gap"] is not None
    told = measured["differences"]["one mixture with the same totals"]
    assert told["measured"] is not None and told["measured_half"] > 0
    trained = [row for row in answer(desk, "runs", "Phased") if row["role"] == "confirm"]
    assert [row["phases"] is not None for row in trained] == [True, True] + [False] * (len(trained) - 2)
    (size,) = answer(desk, "trust", "Phased")
    assert size["mixtures"][:2] == ["In order", "one mixture with the same totals"] and len(size["predicted"]) >= 4


def test_phases_that_cannot_be_are_refused_as_the_study_starts(desk, tmp_path):
    refused = engine(desk, "start", file(tmp_path, "Wrong", "0.9"), check=False)
    assert refused.returncode == 1 and "sum to 1.15, past 1" in refused.stderr
    refused = engine(desk, "phases", "Small", check=False)
    assert refused.returncode == 1 and "it has none" in refused.stderr
