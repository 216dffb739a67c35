"""Runs from elsewhere: each format is read, guesses can be corrected, bad files are refused by row and column."""

import csv
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from engine import importing
from engine.core.errors import Problem
from engine.importing import read_points, read_runs, read_table, refuse_open
from engine.studies import imports
from store import runs, studies
from store.database import Store
from store.rebuild import rebuild
from tests.support.running import Page, engine

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.ones(3), 24).round(4)
LOSS = 3 - SHARES[:, 0] + 0.01 * RNG.normal(size=24)
QUIZ = 0.3 + 0.4 * SHARES[:, 1] + 0.01 * RNG.normal(size=24)
FLAT = {
    "run": [f"r{i}" for i in range(24)],
    "w/web": SHARES[:, 0],
    "w/code": SHARES[:, 1],
    "w/news": SHARES[:, 2],
    "web_val_loss": LOSS,
    "quiz_acc": QUIZ,
    "seed": range(24),
    "model_size": [1_000_000] * 24,
    "n_tokens": [10**8] * 24,
}


def write(path, columns: dict):
    """A CSV or Parquet file of columns."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({name: list(cells) for name, cells in columns.items()}), path)
        return path
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def table_of(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def changed(column: str, place: int, value, columns: dict = FLAT) -> dict:
    """The flat table with one cell changed."""
    cells = list(columns[column])
    cells[place] = value
    return {**columns, column: cells}


def read(path, format="flat", second=None, **given):
    """The runs of a file or two, with every question answered."""
    answers = given.get("answers")
    tables = [one and read_table(one, answers=answers) for one in (path, second)]
    reading = importing.read(format, *tables, **given)
    refuse_open(reading.questions, reading.answers)
    return read_runs(reading)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_flat_table_is_guessed(tmp_path, suffix):
    found = read(write(tmp_path / f"runs{suffix}", FLAT))
    mapping = found.mapping
    assert mapping.weights == {"web": "w/web", "code": "w/code", "news": "w/news"}
    assert [(one.metric, one.unit, one.higher_is_better, one.domain) for one in mapping.objectives] == [
        ("web_val_loss", "loss", False, "web"),
        ("quiz_acc", "accuracy", True, None),
    ]
    assert (mapping.key, mapping.seed) == ("run", "seed")
    assert (mapping.model_size, mapping.n_tokens) == ("model_size", "n_tokens")
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    np.testing.assert_allclose(found.values, np.stack([LOSS, QUIZ], axis=1))
    assert found.seeds == list(range(24)) and set(found.parameters) == {1_000_000}


def test_shares_without_a_prefix_are_the_neighbours_that_sum_to_one(tmp_path):
    bare = {name.removeprefix("w/"): cells for name, cells in FLAT.items()}
    found = read(write(tmp_path / "runs.csv", bare))
    assert list(found.mapping.weights) == ["web", "code", "news"]
    assert [one.metric for one in found.mapping.objectives] == ["web_val_loss", "quiz_acc"]


def test_a_guess_can_be_corrected(tmp_path):
    path = write(tmp_path / "runs.csv", FLAT)
    found = read(
        path, weight_columns=["w/*"], metric_columns=["quiz_*"], higher_is_better=[], unit="points", key="seed"
    )
    (quiz,) = found.mapping.objectives
    assert (quiz.metric, quiz.unit, quiz.higher_is_better) == ("quiz_acc", "points", False)
    assert found.keys[:2] == ["0", "1"]


@pytest.mark.parametrize(("column", "value"), [("w/web", "much"), ("web_val_loss", "n.a."), ("quiz_acc", "inf")])
def test_a_damaged_cell_does_not_hide_its_column_from_the_guess(tmp_path, column, value):
    with pytest.raises(Problem, match=f"row 5 of runs.csv, column '{column}'"):
        read(write(tmp_path / "runs.csv", changed(column, 3, value)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weight_columns": ["x*"]}, r"'x\*'.*w/web"),
        ({"metric_columns": ["w/web"]}, "'w/web' as a share and"),
        ({"higher_is_better": ["seed"]}, "'seed'.*none of the metrics"),
        ({"key": "nope"}, "no column 'nope'"),
        ({"weight_columns": ["w/web"]}, "at least two domains"),
    ],
)
def test_corrections_that_cannot_be(tmp_path, given, said):
    with pytest.raises(Problem, match=said):
        read(write(tmp_path / "runs.csv", FLAT), **given)


def test_pairs_are_joined_by_their_key_in_any_order(tmp_path):
    order = RNG.permutation(24)
    shares = {f"train_{name}": SHARES[:, i] for i, name in enumerate("abc")}
    weights = write(tmp_path / "w.csv", {"index": range(24), **shares})
    metrics = write(tmp_path / "m.csv", {"index": order, "metric/a_val_loss": LOSS[order]})
    found = read(weights, "regmix", metrics)
    assert list(found.mapping.weights) == ["a", "b", "c"] and found.mapping.objectives[0].unit == "nats per token"
    assert found.mapping.objectives[0].domain == "a"
    np.testing.assert_array_equal(found.values[:, 0], LOSS)


def test_olmix_pairs(tmp_path):
    head = {"run": [f"r{i}" for i in range(24)], "name": [f"mix {i}" for i in range(24)], "index": range(24)}
    weights = write(tmp_path / "w.csv", {**head, "web:news": SHARES[:, 0], "code": SHARES[:, 1:].sum(axis=1)})
    metrics = write(tmp_path / "m.csv", {**head, "arc_bpb": LOSS, "mmlu_acc": QUIZ})
    found = read(weights, "olmix", metrics)
    assert list(found.mapping.weights) == ["web:news", "code"] and found.keys[0] == "mix 0"
    assert [(one.unit, one.higher_is_better) for one in found.mapping.objectives] == [
        ("bits per byte", False),
        ("accuracy", True),
    ]


@pytest.mark.parametrize(
    ("column", "place", "value", "said"),
    [
        ("w/web", 3, -0.1, "row 5 of runs.csv, column 'w/web'.*-0.1 is below 0"),
        ("w/web", 3, "", "row 5 of runs.csv, column 'w/web'.*an empty cell"),
        ("w/web", 3, "nan", "row 5 of runs.csv, column 'w/web'"),
        ("w/web", 3, "much", "row 5 of runs.csv, column 'w/web'.*'much'"),
        ("w/web", 3, SHARES[3, 0] + 0.03, "row 5 of runs.csv, columns 'w/web' to 'w/news'.*sum to 1.03.*within 2%"),
        ("run", 3, "r0", "row 5 of runs.csv, column 'run'.*'r0' already stands in row 2"),
        ("run", 3, "", "row 5 of runs.csv, column 'run'.*empty"),
        ("web_val_loss", 3, "inf", "row 5 of runs.csv, column 'web_val_loss'.*'inf'"),
        ("web_val_loss", 3, "1_0", "row 5 of runs.csv, column 'web_val_loss'.*'1_0'"),
        ("n_tokens", 3, 1.5, "row 5 of runs.csv, column 'n_tokens'.*1.5 is not a whole number"),
    ],
)
def test_bad_cells_are_named(tmp_path, column, place, value, said):
    path = write(tmp_path / "runs.csv", changed(column, place, value))
    with pytest.raises(Problem, match=said):
        read(path, weight_columns=["w/*"], metric_columns=["web_val_loss", "quiz_acc"], key="run")


def test_bad_columns_and_files_are_named(tmp_path):
    constant = write(tmp_path / "runs.csv", {**FLAT, "quiz_acc": [0.5] * 24})
    with pytest.raises(Problem, match=r"'quiz_acc' of runs\.csv: it is 0\.5 in every run"):
        read(constant)
    empty = {**FLAT, "quiz_acc": [0.1, 0.2] + [""] * 22}
    with pytest.raises(Problem, match=r"'quiz_acc'.*measured in 2 runs"):
        read(write(tmp_path / "few.csv", empty))
    twice = {name: [*cells, next(iter(cells))] for name, cells in FLAT.items()}
    twice["run"][-1] = "again"
    with pytest.raises(Problem, match=r"row 26 of twice\.csv: it is the same as row 2 of twice\.csv"):
        read(write(tmp_path / "twice.csv", twice))
    percent = {**FLAT, **{f"w/{n}": 100 * SHARES[:, i] for i, n in enumerate(("web", "code", "news"))}}
    taken = read(write(tmp_path / "percent.csv", percent))
    assert "percent" in taken.notes[0] and np.allclose(taken.weights, SHARES, atol=1e-3)
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(Problem, match=r"line 3 of ragged\.csv"):
        read_table(tmp_path / "ragged.csv")
    (tmp_path / "double.csv").write_text("a,a\n1,2\n")
    with pytest.raises(Problem, match="called 'a'"):
        read_table(tmp_path / "double.csv")
    for name in ("junk.parquet", "none.csv"):
        (tmp_path / "junk.parquet").write_bytes(b"\x00\xff" * 50)
        with pytest.raises(Problem, match=f"Cannot read {name}"):
            read_table(tmp_path / name)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(Problem, match=r"Cannot read binary\.csv"):
        read_table(tmp_path / "binary.csv")


def test_a_row_without_a_partner_is_named(tmp_path):
    weights = write(tmp_path / "w.csv", {"index": range(24), "train_a": SHARES[:, 0], "train_b": 1 - SHARES[:, 0]})
    metrics = write(tmp_path / "m.csv", {"index": range(1, 25), "metric/a_val_loss": LOSS})
    with pytest.raises(Problem, match=r"row 2 of w\.csv, column 'index': '0' has no partner in m\.csv"):
        read(weights, "regmix", metrics)


def test_warnings_are_said(tmp_path):
    """Few runs, a domain never used, repeats, failed evaluations, wildly different scales: taken, with a word each."""
    wide = RNG.dirichlet(np.ones(9), 6)
    wide[1] = wide[0]
    table = {f"w/d{i}": wide[:, i] for i in range(9)} | {"w/never": [0] * 6}
    table |= {"a_loss": [1, 2, 3, 4, 5, 6], "b_loss": [1e4, 2e4, "", 4e4, 5e4, 6e4]}
    found = read(write(tmp_path / "runs.csv", table))
    said = " ".join(found.notes)
    for words in (
        "Fewer runs (6) than domains (10)",
        "never: the share is 0 in every run",
        "mixture: 1 run.",
        "Without some metric: 1 run.",
        "Wildly different scales",
    ):
        assert words in said
    assert found.unseen == ("never",) and np.isnan(found.values[2, 1])


def test_points_are_matched_by_name_in_any_order(tmp_path):
    columns = {"web": "train_web", "code": "train_code"}
    path = write(tmp_path / "new.csv", {"train_code": [0.3, 0.5], "other": ["x", "y"], "web": [0.7, 0.495]})
    points, notes = read_points(read_table(path), columns)
    assert points[0].tolist() == [0.7, 0.3] and "1 run did not sum to 1" in notes[0]
    with pytest.raises(Problem, match="no column 'train_news'"):
        read_points(read_table(path), {**columns, "news": "train_news"})


# As a study -----------------------------------------------------------------------------------------------------


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


# From the command line, and through the page ----------------------------------------------------------------------


@pytest.mark.slow
def test_import_and_predict_without_a_server(tmp_path):
    """A surrogate by name is fitted alone; the predictions have the input's rows, keys and order."""
    path, workspace = write(tmp_path / "runs.csv", FLAT), tmp_path / "workspace"
    told = json.loads(engine(workspace, "import", "--study", "Mine", "--format", "flat", "--weights", str(path)).stdout)
    assert (
        told["columns"]["metrics"]["quiz_acc"]["better"] == "higher"
        and told["aggregate"]["unit"] == "standard deviations"
    )
    columns = {"w/news": [0.2, 0.1], "index": ["x", "y"], "w/web": [0.5, 0.1], "w/code": [0.3, 0.8]}
    new, out = write(tmp_path / "new.csv", columns), tmp_path / "p.csv"
    wish = ("predict", "--study", "Mine", "--surrogate", "linear", "--weights", str(new), "--out", str(out))
    done = engine(workspace, *wish)
    assert "linear is not fitted yet" in done.stderr
    rows = table_of(out)
    assert list(rows[0]) == ["index", "web_val_loss", "web_val_loss_std", "quiz_acc", "quiz_acc_std"]
    assert [row["index"] for row in rows] == ["x", "y"]
    assert float(rows[0]["web_val_loss"]) == pytest.approx(2.5, abs=0.05)
    assert float(rows[1]["quiz_acc"]) == pytest.approx(0.62, abs=0.05) and float(rows[0]["quiz_acc_std"]) > 0
    assert "add --force" in engine(workspace, *wish, check=False).stderr and table_of(out) == rows
    assert "not fitted yet" not in engine(workspace, *wish, "--force").stderr, "it is kept"
    bad = write(tmp_path / "bad.csv", {"w/news": [0.2], "w/web": [0.5], "w/code": [0.5]})
    failed = engine(workspace, *wish[:-3], str(bad), *wish[-2:], "--force", check=False)
    assert failed.returncode == 1 and "row 2 of bad.csv" in failed.stderr and len(rows) == 2


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
    engine(workspace, "import", "--study", "Mine", "--format", "flat", "--weights", str(path), "--wait")
    new = write(tmp_path / "new.csv", {name: FLAT[name] for name in FLAT if name.startswith("w/")})
    done = engine(workspace, "predict", "--study", "Mine", "--weights", str(new), "--out", str(tmp_path / "p.csv"))
    assert json.loads(done.stdout)["rows"] == 24
    found = json.loads(engine(workspace, "searches", "Mine").stdout)[0]
    assert (
        found["settings"]["aggregate"]["unit"] == "standard deviations"
        and "mean of the runs" in found["found"]["differences"]
    )
