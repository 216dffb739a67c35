"""Runs from elsewhere: each format is read, guesses can be corrected, bad files are refused by row and column."""

import numpy as np
import pytest

from engine import importing
from engine.core.errors import Problem
from engine.importing import read_points, read_runs, read_table, refuse_open
from tests.importing.flat import FLAT, LOSS, QUIZ, SHARES, changed, write


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
    order = np.random.default_rng(0).permutation(24)
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
        ("run", 3, "r0", "row 5 of runs.csv, column 'run'.*'r0' is already in row 2"),
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
    wide = np.random.default_rng(0).dirichlet(np.ones(9), 6)
    wide[1] = wide[0]
    table = {f"w/d{i}": wide[:, i] for i in range(9)} | {"w/never": [0] * 6}
    table |= {"a_loss": [1, 2, 3, 4, 5, 6], "b_loss": [1e4, 2e4, "", 4e4, 5e4, 6e4]}
    found = read(write(tmp_path / "runs.csv", table))
    said = " ".join(found.notes)
    for words in (
        "Fewer different mixtures (5) than domains (10)",
        "never: the share is 0 in every run",
        "mixture: 1 run.",
        "Empty cells: b_loss in 1 run.",
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


def test_what_was_said_to_be_no_such_column_is_not_guessed(tmp_path):
    """A seed column that is only called so, a model size of something else, names that are no key."""
    path = write(tmp_path / "runs.csv", FLAT)
    denied = read(path, seed="", model_size="", key="")
    assert (denied.mapping.seed, denied.mapping.model_size, denied.mapping.key) == (None, None, None)
    assert denied.mapping.n_tokens == "n_tokens" and denied.parameters is None
    second = {"run": FLAT["run"], "other_loss": LOSS.tolist()}
    with pytest.raises(Problem, match="choose one as the run key"):
        read(path, "pair", write(tmp_path / "second.csv", second), key="")
