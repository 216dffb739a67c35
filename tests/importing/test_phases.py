"""Runs of phases that were trained elsewhere: totals are the shares, what is read when is kept, and order is judged."""

import csv

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.people import SYSTEM, as_person
from engine.importing import read, read_runs, read_table
from engine.spec.phases import order_of
from store import phases, studies
from tests.support.measured_study import fit

DOMAINS = ("web", "code", "books")
RUNS = 48
FRACTIONS = np.array([0.8, 0.2])


def write(path, late: float, totals: bool = True, runs: int = 48):
    """A table of runs of two phases, whose loss of code falls by `late` x what of it is read late."""
    rng = np.random.default_rng(0)
    stages = rng.dirichlet(np.ones(3), (runs, 2))
    whole = FRACTIONS @ stages
    losses = 1 + (whole + 0.1) ** -0.3 + 0.003 * rng.standard_normal(whole.shape)
    losses[:, 1] += late * order_of(stages, FRACTIONS)[:, 1]
    heads = [f"phase_{f}_{name}" for f in range(2) for name in DOMAINS]
    heads += [f"exposure_80_20_{name}" for name in DOMAINS] * totals + [f"eval/{name}_loss" for name in DOMAINS]
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["run", *heads])
        for k in range(runs):
            cells = [*stages[k].ravel(), *(whole[k] if totals else ()), *losses[k]]
            rows.writerow([f"r{k}", *(f"{cell:.9f}" for cell in cells)])
    return path


def test_totals_are_the_shares_and_their_phases_are_read(tmp_path):
    reading = read("flat", read_table(write(tmp_path / "runs.csv", 0.0), "runs.csv"))
    assert not reading.questions and list(reading.mapping.weights) == list(DOMAINS)
    assert reading.phases.fractions == (0.8, 0.2) and "80% and 20%" in reading.phases.note
    assert {one.role for one in reading.columns if one.column.startswith("phase_")} == {"share"}
    runs = read_runs(reading)
    np.testing.assert_allclose(np.einsum("f,rfd->rd", FRACTIONS, runs.phases), runs.weights, atol=1e-6)
    assert runs.fractions == (0.8, 0.2)


def test_phases_without_totals_are_asked_about(tmp_path):
    reading = read("flat", read_table(write(tmp_path / "runs.csv", 0.0, totals=False), "runs.csv"))
    assert [list(one.options) for one in reading.questions] == [["phase_0_*", "phase_1_*"]] and reading.phases is None


@pytest.mark.slow
def test_an_imported_study_says_whether_order_matters(store):
    folder = store.workspace.root / "imports"
    folder.mkdir()
    write(folder / "runs.csv", 0.3, runs=RUNS)
    with as_person(SYSTEM):
        told = COMMANDS["import_runs"](store, "Swarm", "flat", "runs.csv", surrogates=["gp"])
        fit(store, studies.get(store, told["study"]))
    assert len(phases.phased(store, told["study"])) == RUNS
    found = COMMANDS["phases"](store, "Swarm")
    assert found["fractions"] == [0.8, 0.2] and found["runs"] == {"done": RUNS, "planned": RUNS}
    assert found["comparisons"]["exact"] is False and found["matters"], found["verdict"]
    assert found["best"]["phases"][1]["code"] > found["best"]["phases"][0]["code"]
