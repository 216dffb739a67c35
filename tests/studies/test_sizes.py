"""A study of several sizes: its surrogates take one of them, all serve predictions at a size, and both are said."""

import csv
import json

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.spool import Job
from engine.league import run as run_league
from engine.studies import advance, fits, imports
from engine.studies.fits import fit_of
from engine.studies.measured import for_fitting
from store import runs, studies
from store.database import Store
from tests.analysis.test_sizes import runs_at, truth
from tests.importing.flat import write
from tests.support.running import engine

SIZES = {(1e8, 2e9): 24, (3e8, 2e9): 12, (3e8, 2e10): 10}
NEW = [{"web": 0.5, "code": 0.3, "news": 0.2}, {"web": 0.2, "code": 0.2, "news": 0.6}]
ALL = {"size": "all", "budget": "all"}


def columns_of(sizes: dict) -> dict:
    weights, fidelity, losses = runs_at(sizes)
    shares = {f"w/{name}": weights[:, i].round(9) for i, name in enumerate(NEW[0])}
    return {
        **shares,
        "web_loss": losses[:, 0],
        "code_loss": losses[:, 1],
        "model_size": fidelity[:, 0].astype(int),
        "n_tokens": fidelity[:, 1].astype(int),
    }


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace.open(tmp_path_factory.mktemp("sizes") / "workspace")


@pytest.fixture(scope="module")
def store(workspace):
    opened = Store(workspace)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def imported(store, workspace) -> dict:
    (workspace.root / "imports").mkdir()
    write(workspace.root / "imports" / "runs.csv", columns_of(SIZES))
    return imports.import_runs(store, "Sizes", "flat", "runs.csv", answers=ALL)


@pytest.fixture(scope="module")
def study(store, imported) -> studies.Study:
    return studies.get(store, imported["study"])


def test_surrogates_of_shares_take_one_size_and_it_is_said(store, imported, study):
    assert len(for_fitting(store, study.id).ids) == 24 and study.done == 46
    assert len(runs.measured_at_all_sizes(store, study.id).ids) == 46
    said = "3 sizes: 24 runs at 100M parameters and 2B tokens; 12 runs at 300M parameters and 2B tokens; 10 runs at"
    assert any(said in note and "only the 24 runs at 100M" in note for note in imported["notes"])
    told = COMMANDS["show"](store, "Sizes")["sizes"]
    assert [one["runs"] for one in told["sizes"]] == [24, 12, 10] and said in told["notes"][0]
    assert [one["in_use"] for one in told["sizes"]] == [True, False, False]


def test_predictions_follow_the_size(store, study):
    points = np.array([list(one.values()) for one in NEW])
    for size in ((3e8, 2e10), (1e8, 2e9), (3e8, 8e9)):
        rows = COMMANDS["predict"](store, "Sizes", NEW, parameters=size[0], tokens=size[1])
        mean, std = (np.array([[one[m][what] for m in study.metrics] for one in rows]) for what in ("mean", "std"))
        assert (np.abs(mean - truth(points, *size)) < 2.5 * std).all()
    own = runs.measured_at_all_sizes(store, study.id).weights[0]
    at_a_run = [dict(zip(study.domains, own.tolist(), strict=True))]
    for parameters, place in ((3e8, "measured"), (2e8, "measured"), (3e9, "extrapolated")):
        (row,) = COMMANDS["predict"](store, "Sizes", at_a_run, parameters=parameters, tokens=2e10)
        assert {row[m]["place"] for m in study.metrics} == {place}, "no run had the size beyond"
    told = COMMANDS["list_sizes"](store, "Sizes", 3e9, 2e10)
    assert any("Far from the runs: 3B parameters" in note for note in told["notes"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"parameters": 3e8}, "without its tokens"),
        ({"parameters": 300, "tokens": 2e10}, "two units"),
        ({"parameters": 3e8, "tokens": 2e10, "surrogate": "gp"}, "knows shares alone"),
    ],
)
def test_a_size_that_cannot_be_predicted_is_refused(store, study, given, said):
    with pytest.raises(Problem, match=said):
        COMMANDS["predict"](store, "Sizes", NEW, **given)


def test_a_fit_of_one_size_stays_of_it_when_another_has_more_runs(store, study):
    folder = store.spool.find(fits.queue_fit(store, study) or fits.fit_id(study, for_fitting(store, study.id)))
    spec = json.loads((folder / "spec.json").read_text()) | {"surrogates": ["own_share", "power_law"], "repeats": 1}
    run_league(Job(folder, store.workspace.root, spec))
    store.ingest()
    assert studies.league(store, study.id)["runs"] == len(fit_of(store, study).measured.ids) == 24
    weights, fidelity, losses = runs_at({(3e8, 2e9): 40}, seed=5)
    rows = [
        {
            "id": f"more-{i}",
            "weights": dict(zip(study.domains, weights[i].tolist(), strict=True)),
            "losses": dict(zip(study.metrics, losses[i].tolist(), strict=True)),
            "parameters": int(fidelity[i, 0]),
            "tokens": int(fidelity[i, 1]),
        }
        for i in range(40)
    ]
    COMMANDS["submit_runs"](store, "Sizes", rows)
    assert len(for_fitting(store, study.id).ids) == 52
    assert len(fit_of(store, study).measured.ids) == 24  # until the new ones are fitted
    assert not advance.is_settled(store, studies.get(store, study.id))


def test_the_command_line_predicts_at_a_size(tmp_path):
    home, runs_file, new, out = (tmp_path / name for name in ("home", "runs.csv", "new.csv", "out.csv"))
    write(runs_file, columns_of(SIZES))
    write(new, {name: [one[name] for one in NEW] for name in NEW[0]})
    answers = [word for name in ALL for word in ("--answer", f"{name}=all")]
    engine(home, "import", "--study", "S", "--format", "flat", "--weights", str(runs_file), *answers)
    asked = ["predict", "--study", "S", "--weights", str(new), "--out", str(out)]
    done = engine(home, *asked, "--parameters", "3e9", "--tokens", "2e10")
    assert "Far from the runs: 3B parameters" in done.stderr
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["web_loss_std"]) > 0 for row in rows] == [True, True]


def test_a_budget_is_planned_over_sizes_by_what_runs_tell(store, study):
    told = COMMANDS["plan_runs"](store, "Sizes", parameters=3e8, tokens=2e10, flops=2e20)
    assert told["reference"] and told["gap"] >= 0 and told["std_after"] < told["std_now"]
    assert sum(one["flops"] for one in told["runs"]) <= 2e20
    assert all(sum(row.values()) == pytest.approx(1, abs=1e-5) for one in told["runs"] for row in one["mixtures"])
    assert {(one["parameters"], one["tokens"]) for one in told["alone"]} == set(SIZES)
    assert "decided" in told["verdict"] or "open" in told["verdict"]
    with pytest.raises(Problem, match="Cannot buy a run"):
        COMMANDS["plan_runs"](store, "Sizes", parameters=3e8, tokens=2e10, flops=1e10)
    for wrong in (float("nan"), -1, "much"):
        with pytest.raises(Problem, match="budget"):
            COMMANDS["plan_runs"](store, "Sizes", parameters=3e8, tokens=2e10, flops=wrong)
