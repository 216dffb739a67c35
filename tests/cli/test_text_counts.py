"""Real token counts from the command line: given in a file, named in the answer, followed by runs and exports."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.spec.study import StudySpec
from store.database import Store
from tests.support.running import STUDY, answer, copied, engine, said

pytestmark = pytest.mark.slow
COUNTS = "domain,tokens\npython,800000000\nprose,190000000\ndigits,10000000\n"


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    """A copy of the finished workspace in which nothing is trained: no worker runs."""
    return copied(finished, tmp_path_factory.mktemp("counts") / "workspace")


@pytest.fixture
def file(tmp_path):
    """A study file of that name and more settings."""

    def write(name: str, settings: str = "") -> str:
        text = STUDY.replace('"Small"', f'"{name}"').replace("[fidelity]", f"{settings}\n[fidelity]")
        (tmp_path / f"{name}.toml").write_text(text)
        return str(tmp_path / f"{name}.toml")

    return write


def test_counts_of_a_file_win_and_all_follows_them(desk, file, tmp_path):
    (tmp_path / "counts.csv").write_text(COUNTS)
    settings = "target_tokens = 1e9\ndose_runs = 3\navailable_tokens = {python = 5}"
    told = answer(desk, "start", file("Real", settings), "--available-tokens", str(tmp_path / "counts.csv"))
    assert {one["domain"]: (one["tokens"], one["source"]) for one in told["pools"]} == {
        "python": (8e8, "given"),
        "prose": (1.9e8, "given"),
        "digits": (1e7, "given"),
    }
    assert all(0 < one["sample"] < 1e7 for one in told["pools"]) and told["budget"] == 1e9
    assert told["costs"]["dose"]["runs"] == 3 and told["costs"]["dose"]["flops"] > told["costs"]["dose"]["tokens"] > 0
    rows = answer(desk, "runs", "Real")
    natural = next(row for row in rows if row["label"] == "natural")
    np.testing.assert_allclose([natural["weights"][name] for name in ("digits", "prose", "python")], [0.01, 0.19, 0.8])
    doses = [row["doses"] for row in rows if row["role"] == "dose"]
    assert [sorted(cut.values())[1:] for cut in doses] == [[1.0, 1.0]] * 3
    assert min(doses[0], key=doses[0].get) == "digits", "what repeats most comes first"
    out = tmp_path / "recipe"
    engine(desk, "export", "Real", "--candidate", "natural", "--format", "json", "--out", str(out))
    (made,) = out.rglob("*mixture.json")
    assert {row["name"]: row["counted"] for row in json.loads(made.read_text())["domains"]}["digits"] == "given"


def test_a_corpus_read_to_its_end_counts_itself(desk, file):
    told = answer(desk, "start", file("Own"), "--target-tokens", "3e6")
    assert {one["source"] for one in told["pools"]} == {"counted"}
    assert all(one["tokens"] == one["sample"] for one in told["pools"]) and told["budget"] == 3e6


def test_counts_are_given_later_and_the_study_is_searched_again(desk, tmp_path):
    (tmp_path / "counts.json").write_text(json.dumps({"python": 8e8, "prose": 1.9e8}))
    told = answer(desk, "text", "Small", "--available-tokens", str(tmp_path / "counts.json"), "--target-tokens", "1e9")
    assert {one["domain"]: one["source"] for one in told["pools"]} == {
        "digits": "counted",
        "prose": "given",
        "python": "given",
    }
    store = Store(Workspace.open(desk))
    try:
        found = COMMANDS["show"](store, "Small")
        assert found["budget"] == 1e9 and found["pools"] == told["pools"]
        asked = [job for job in found["jobs"] if job["kind"] == "search" and job["state"] == "queued"]
        assert len(asked) == 1, "the same question on other text is another"
        for given, sentence in REFUSED.items():
            with pytest.raises(Problem, match=sentence):
                COMMANDS["give_text"](store, "Small", **json.loads(given))
        with pytest.raises(Problem, match="on the counts that it began with"):
            COMMANDS["give_text"](store, "Real", target_tokens=2e9)
        assert COMMANDS["show"](store, "Small")["budget"] == 1e9
    finally:
        store.close()


REFUSED = {
    "{}": "give tokens of a domain",
    '{"available_tokens": {"latin": 5}}': "'latin'",
    '{"available_tokens": {"python": 0}}': "Cannot use 0",
    '{"target_tokens": 1e14}': "within 4 epochs",
    '{"target_tokens": 0}': "budget of the real run",
}


def test_counts_that_cannot_be_followed_start_nothing(desk, file):
    wrong = {
        "target_tokens = 1e13": "within 4 epochs",
        "available_tokens = {latin = 1e9}": "no domain 'latin'",
        "dose_runs = 3": "need target_tokens",
    }
    assert "within 4 epochs" in said(desk, "start", file("Bad", "target_tokens = 1e13"))
    store = Store(Workspace.open(desk))
    try:
        for settings, sentence in wrong.items():
            spec = StudySpec.from_toml(Path(file("Bad", settings)))
            with pytest.raises(Problem, match=sentence):
                COMMANDS["start"](store, spec.to_dict())
        assert all(one["name"] != "Bad" for one in COMMANDS["list_studies"](store))
    finally:
        store.close()
