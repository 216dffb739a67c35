"""Imported runs as a study: recorded once, rebuilt, with a frame; from the command line and through the page."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.studies import imports
from store import runs, studies
from store.database import Store
from store.from_journals import rebuild
from tests.importing.flat import FLAT, LOSS, QUIZ, SHARES, changed, table_of, write
from tests.support.running import Page, engine


@pytest.fixture
def adopted(store, tmp_path):
    """The id of a study of the flat table, in a store."""
    (store.workspace.root / "imports").mkdir()
    write(store.workspace.root / "imports" / "runs.csv", FLAT)
    return imports.import_runs(store, "Mine", "flat", "runs.csv")["study"]


def test_an_import_is_a_study_and_survives_a_rebuild(store, adopted, workspace, tmp_path):
    study = studies.get(store, "Mine")
    assert study.id == adopted and study.done == 24 and study.metrics == ["web_val_loss", "quiz_acc"]
    measured = runs.measured(store, adopted)
    assert measured.labels[:2] == ["r0", "r1"] and set(measured.roles) == {"imported"}
    np.testing.assert_allclose(measured.losses, np.stack([LOSS, QUIZ], axis=1))
    count, flops, tokens = runs.spent(store, adopted)
    assert (count, flops, tokens) == (24, 24 * 6e14, 24 * 10**8)
    tables = ("studies", "runs", "jobs")
    before = [sorted(map(repr, store.rows(f"SELECT * FROM {table}"))) for table in tables]
    rebuild(workspace, tmp_path / "again.duckdb")
    again = Store(workspace, tmp_path / "again.duckdb")
    assert [sorted(map(repr, again.rows(f"SELECT * FROM {table}"))) for table in tables] == before
    again.close()


def test_the_same_import_twice_is_one_study_and_another_one_needs_another_name(store, adopted):
    assert imports.import_runs(store, "Mine", "flat", "runs.csv")["already_there"]
    write(store.workspace.root / "imports" / "other.csv", changed("web_val_loss", 0, 9.0))
    with pytest.raises(Problem, match="a study of that name with other runs"):
        imports.import_runs(store, "Mine", "flat", "other.csv")
    assert len(studies.all_studies(store)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"available_tokens": {"web": 1e9}}, "available tokens of 'code'"),
        ({"prior": {"web": 1, "code": -1, "news": 0}}, "-1"),
        ({"priorities": {"x": 1.0}}, "'x'"),
        ({"available_tokens": {"web": 1e9, "code": 1e9, "w/news": 1e9, "x": 1}}, "'x'"),
        ({"bounds": {"web": [0.5, 0.1]}}, "bounds of 'web'"),
        ({"bounds": {"latin": 0.1}}, "'latin'"),
        ({"groups": [{"name": "g", "domains": ["web"], "share": [0.9, 1.0]}], "bounds": {"code": 0.5}}, "group g 0.9"),
        ({"seed": "quiz_acc"}, "whole number"),
        ({"surrogates": ["magic"]}, "magic"),
        ({"surrogates": "gp"}, "surrogates"),
        ({"weights": "../../etc/passwd"}, "no such file"),
    ],
)
def test_nothing_is_imported_while_anything_is_wrong(store, options, said):
    (store.workspace.root / "imports").mkdir()
    write(store.workspace.root / "imports" / "runs.csv", FLAT)
    with pytest.raises(Problem, match=said):
        imports.import_runs(store, "Mine", "flat", **{"weights": "runs.csv", **options})
    assert studies.all_studies(store) == []


def test_tokens_priors_and_constraints_make_the_frame(store, adopted):
    from engine.studies.measured import frame_of_study

    frame = frame_of_study(studies.get(store, adopted))
    assert frame.prior_name == "mean of the runs" and frame.available is None
    np.testing.assert_allclose(frame.prior, (SHARES / SHARES.sum(axis=1, keepdims=True)).mean(axis=0))
    tokens = {"web": 6e9, "code": 3e9, "w/news": 1e9}
    given = {"available_tokens": tokens, "target_tokens": 1e10, "bounds": {"code": 0.2}}
    told = imports.import_runs(store, "Known", "flat", "runs.csv", **given)
    frame = frame_of_study(studies.get(store, told["study"]))
    assert told["prior"] == "natural" and list(frame.baselines) == ["natural", "uniform", "unimax"]
    np.testing.assert_allclose(frame.space.upper, [1, 0.2, 0.4])


# From the command line, and through the page ----------------------------------------------------------------------


@pytest.mark.slow
def test_counts_of_an_imported_study_may_come_later(store, adopted):
    from engine.studies.measured import frame_of_study
    from engine.studies.text import give_text

    study = studies.get(store, adopted)
    with pytest.raises(Problem, match=r"they lack .*were imported"):
        give_text(store, study, {"web": 6e9}, 1e10)
    with pytest.raises(Problem, match="'latin'"):
        give_text(store, study, {"latin": 6e9}, 1e10)
    give_text(store, study, dict(zip(study.domains, (6e9, 3e9, 1e9), strict=True)), 1e10)
    frame = frame_of_study(studies.get(store, adopted))
    assert frame.prior_name == "natural" and frame.budget == 1e10 and frame.pools.sources == ("given",) * 3
    np.testing.assert_allclose(frame.space.upper, [1, 1, 0.4])


def test_import_and_predict_without_a_server(tmp_path):
    """A surrogate by name is fitted alone; the predictions have the input's rows, keys and order."""
    path, workspace = write(tmp_path / "runs.csv", FLAT), tmp_path / "workspace"
    told = json.loads(engine(workspace, "import", "--study", "Mine", "--format", "flat", "--weights", str(path)).stdout)
    assert (
        told["columns"]["metrics"]["quiz_acc"]["better"] == "higher"
        and told["aggregate"]["unit"] == "standard deviations"
    )
    columns = {"w/news": [0.2, 0.1, 1], "index": ["x", "y", "z"], "w/web": [0.5, 0.1, 0], "w/code": [0.3, 0.8, 0]}
    new, out = write(tmp_path / "new.csv", columns), tmp_path / "p.csv"
    wish = ("predict", "--study", "Mine", "--surrogate", "linear", "--weights", str(new), "--out", str(out))
    done = engine(workspace, *wish)
    assert "linear is not fitted yet" in done.stderr
    rows = table_of(out)
    assert list(rows[0]) == ["index", "web_val_loss", "web_val_loss_std", "quiz_acc", "quiz_acc_std", "place"]
    assert [row["index"] for row in rows] == ["x", "y", "z"]
    assert float(rows[0]["web_val_loss"]) == pytest.approx(2.5, abs=0.05)
    assert float(rows[1]["quiz_acc"]) == pytest.approx(0.62, abs=0.05) and float(rows[0]["quiz_acc_std"]) > 0
    assert [row["place"] for row in rows] == ["interpolated", "interpolated", "extrapolated"], "as Explore says"
    assert "1 of 3 predictions are extrapolated" in done.stderr and json.loads(done.stdout)["extrapolated"] == 1
    assert "add --force" in engine(workspace, *wish, check=False).stderr and table_of(out) == rows
    assert "not fitted yet" not in engine(workspace, *wish, "--force").stderr, "it is kept"
    bad = write(tmp_path / "bad.csv", {"w/news": [0.2], "w/web": [0.5], "w/code": [0.5]})
    failed = engine(workspace, *wish[:-3], str(bad), *wish[-2:], "--force", check=False)
    assert failed.returncode == 1 and "row 2 of bad.csv" in failed.stderr and len(rows) == 3


@pytest.mark.slow
def test_import_and_predict_through_the_page(tmp_path):
    path, workspace = write(tmp_path / "runs.csv", FLAT), tmp_path / "workspace"
    page = Page(workspace)
    try:
        engine(workspace, "import", "--study", "Mine", "--format", "flat", "--weights", str(path))
        new = write(tmp_path / "new.csv", {name: FLAT[name] for name in FLAT if name.startswith("w/")})
        engine(
            workspace,
            "predict",
            "--study",
            "Mine",
            "--surrogate",
            "linear",
            "--weights",
            str(new),
            "--out",
            str(tmp_path / "p.csv"),
        )
    finally:
        page.stop()
    predicted = np.array([float(row["web_val_loss"]) for row in table_of(tmp_path / "p.csv")])
    assert np.abs(predicted - LOSS).mean() < 0.02


@pytest.mark.slow
def test_predict_waits_for_the_league_where_no_surrogate_is_named(tmp_path):
    path, workspace = write(tmp_path / "runs.csv", FLAT), tmp_path / "workspace"
    few = ("--surrogates", "ridge", "gp", "power_law", "lightgbm")
    engine(workspace, "import", "--study", "Mine", "--format", "flat", "--weights", str(path), "--wait", *few)
    new = write(tmp_path / "new.csv", {name: FLAT[name] for name in FLAT if name.startswith("w/")})
    done = engine(workspace, "predict", "--study", "Mine", "--weights", str(new), "--out", str(tmp_path / "p.csv"))
    assert json.loads(done.stdout)["rows"] == 24
    found = json.loads(engine(workspace, "searches", "Mine").stdout)[0]
    assert (
        found["settings"]["aggregate"]["unit"] == "standard deviations"
        and "mean of the runs" in found["found"]["differences"]
    )
