"""Siblings of the layouts that people have: other trackers, spellings and phases are read, asked about, or named."""

import gzip
import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.importing import read_runs
from tests.importing.made import LOSS, MIX, PLAIN, RUN, RUNS, SHARES, mixtures, text, under
from tests.importing.reading import reading, runs_of, written

LOSSES = LOSS.tolist()
LATER = {name: cells[::-1] for name, cells in MIX.items()}


def with_mixture(write) -> str:
    """A table whose mixture stands in one cell."""
    return text({**RUN, "mixture": [write(mix) for mix in mixtures()], "val_loss": LOSSES})


READ = {
    "NumPy's numbers": with_mixture(lambda mix: str({name: np.float64(share) for name, share in mix.items()})),
    "pairs and blanks": with_mixture(lambda mix: " ".join(f"{name}={share}" for name, share in mix.items())),
    "a pair a line": with_mixture(lambda mix: "\n".join(f"{name}: {share}" for name, share in mix.items())),
    "a quoted first line": '"sep=|"\n' + text(PLAIN, "|"),
    "runs beside a project's name": json.dumps(
        {"project": "p", "runs": [{**mix, "val_loss": loss} for mix, loss in zip(mixtures(), LOSSES, strict=True)]}
    ),
    "pandas' table": json.dumps(
        {
            "schema": {"fields": [{"name": "web", "type": "number"}]},
            "data": [{**mix, "val_loss": loss} for mix, loss in zip(mixtures(), LOSSES, strict=True)],
        }
    ),
    "pandas' table, split, of names in levels": json.dumps(
        {
            "columns": [["run", ""], *(["mix", one] for one in MIX), ["val_loss", ""]],
            "data": [list(row) for row in zip(range(RUNS), *MIX.values(), LOSSES, strict=True)],
        }
    )
    .replace('"run", ""', '"run"')
    .replace('"val_loss", ""', '"val_loss"'),
    "how much a part of the loss counts": {
        "z_loss_weight": [0.0, 1e-4] * (RUNS // 2),
        **MIX,
        "router_aux_loss_coef": [0.001] * RUNS,
        "val_loss": LOSSES,
    },
    "what a tracker says of the machine": {"sys/size": list(range(RUNS)), "sys/id": list(range(RUNS)), **PLAIN},
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_without_a_question(tmp_path, name):
    found = reading(written(tmp_path / "runs", READ[name]))
    assert found.questions == () and list(found.mapping.weights) == list(MIX), found.why
    runs = read_runs(found)
    np.testing.assert_allclose(runs.weights, SHARES, atol=2e-4)
    assert [one.metric for one in runs.mapping.objectives] == ["val_loss"] and runs.parameters is None


ABOUT = ("n", "q05", "p95", "rank", "pred", "baseline", "p_value", "rel_error", "initial")
ABOUT += ("vs_uniform", "improvement", "normalised", "smoothed", "ema")


@pytest.mark.parametrize("word", ABOUT)
def test_what_is_said_about_a_metric_is_none(tmp_path, word):
    table = {**RUN, **MIX, "val_loss": LOSSES, f"val_loss_{word}": [0.1 + loss for loss in LOSSES]}
    found = reading(written(tmp_path / "runs.csv", table))
    assert [one.metric for one in found.mapping.objectives] == ["val_loss"]
    (told,) = [one for one in found.columns if one.column == f"val_loss_{word}"]
    assert told.role in ("noise", "about", "aggregate") and "'val_loss'" in told.reason


def test_bounds_are_none_and_languages_are(tmp_path):
    """Lower and upper bounds stand side by side; Hindi stands alone."""
    both = {**RUN, **MIX, "val_loss": LOSSES, "val_loss_lo": LOSSES[::-1], "val_loss_hi": LOSSES[::-1]}
    assert [one.metric for one in reading(written(tmp_path / "a.csv", both)).mapping.objectives] == ["val_loss"]
    both.pop("val_loss_lo")
    assert len(reading(written(tmp_path / "b.csv", both)).mapping.objectives) == 2


GONE = {
    "oom": ("outcome", ["ok"] * (RUNS - 1) + ["OOM"]),
    "a code": ("exit_code", [0] * (RUNS - 1) + [137]),
    "no success": ("success", ["True"] * (RUNS - 1) + ["False"]),
    "unfinished": ("finished", ["yes"] * (RUNS - 1) + ["no"]),
    "failed": ("sys/failed", ["false"] * (RUNS - 1) + ["true"]),
    "more words": ("State", ["Finished"] * (RUNS - 1) + ["Crashed (137)"]),
}


@pytest.mark.parametrize("case", GONE)
def test_runs_that_did_not_finish_are_left_out_however_that_is_said(tmp_path, case):
    column, cells = GONE[case]
    runs = runs_of(written(tmp_path / "runs.csv", {**PLAIN, column: cells}))
    assert len(runs.values) == RUNS - 1
    assert any(f"row {RUNS + 1}" in note and f"'{column}' says" in note for note in runs.notes)


def test_a_state_that_nobody_knows_is_asked_about(tmp_path):
    path = written(tmp_path / "runs.csv", {**PLAIN, "status": ["done"] * (RUNS - 2) + ["terminated", "evicted"]})
    with pytest.raises(Problem, match=r"'state'.*'terminated' \(1 of 16 rows\), 'evicted'"):
        runs_of(path)
    assert len(runs_of(path, answers={"state": "leave out"}).values) == RUNS - 2
    assert len(runs_of(path, answers={"state": "keep"}).values) == RUNS
    times = {**PLAIN, "finished": [f"2026-01-{day:02d}" for day in range(1, RUNS + 1)]}
    assert reading(written(tmp_path / "times.csv", times)).questions == ()


def interleaved(first: str, second: str, before: str = "") -> dict:
    columns = {}
    for one in MIX:
        columns |= {f"{before}{one}{first}": MIX[one], f"{before}{one}{second}": LATER[one]}
    return {**RUN, **columns, "val_loss": LOSSES}


@pytest.mark.parametrize("ends", [("_start", "_end"), ("_p1", "_p2"), ("/stable", "/anneal")])
@pytest.mark.parametrize("before", ["", "w_"])
def test_phases_column_by_column_are_asked_about(tmp_path, ends, before):
    path = written(tmp_path / "runs.csv", interleaved(*ends, before))
    with pytest.raises(Problem, match=rf"'shares'.*\*{ends[0]}.*\*{ends[1]}"):
        runs_of(path)
    later = runs_of(path, answers={"shares": f"*{ends[1]}"})
    assert list(later.mapping.weights) == list(MIX)
    np.testing.assert_allclose(later.weights, SHARES[::-1], atol=2e-4)


def test_phases_row_by_row_are_asked_about_whatever_they_are_called(tmp_path):
    """One is called decay, which is otherwise a setting."""
    rows = ["run,phase,web,code,books,val_loss"]
    for i in range(RUNS):
        rows += [f"{i},stable,{','.join(map(str, SHARES[i]))},{LOSSES[i] + 1}"]
        rows += [f"{i},decay,{','.join(map(str, SHARES[-1 - i]))},{LOSSES[i]}"]
    found = reading(written(tmp_path / "runs.csv", "\n".join(rows)), answers={"long": "wide"})
    assert [one.id for one in found.questions] == ["long", "shares"]
    assert "*/phase=decay" in found.questions[1].options


@pytest.mark.parametrize(
    "names", [("kind", "domain"), ("domain", "metric"), ("type", "source"), ("measure", "dataset")]
)
def test_shares_and_losses_of_a_domain_in_rows_of_their_own(tmp_path, names):
    """Two columns say what a row is about: neither tells the rows of a run apart by itself."""
    rows = [f"run,{','.join(names)},value"]
    for i in range(RUNS):
        for k, one in enumerate(MIX):
            for kind, value in (("share", MIX[one][i]), ("loss", LOSSES[i - k])):
                rows += [f"{i},{one},{kind},{value}" if names[0] == "domain" else f"{i},{kind},{one},{value}"]
    runs = runs_of(written(tmp_path / "runs.csv", "\n".join(rows)))
    assert list(runs.mapping.weights) == list(MIX)
    assert [(one.metric, one.domain) for one in runs.mapping.objectives] == [(f"loss/{one}", one) for one in MIX]
    np.testing.assert_allclose(runs.weights, SHARES, atol=2e-4)
    again = written(tmp_path / "again.csv", "\n".join([*rows, rows[1]]))
    with pytest.raises(
        Problem, match=rf"row {len(rows) + 1} of again.csv: 'share/web' in column .* already in row 2 of"
    ):
        runs_of(again)


def test_over_how_many_seeds_is_no_seed(tmp_path):
    found = reading(written(tmp_path / "runs.csv", {**PLAIN, "n_seeds": [3] * RUNS, "num_runs": [3] * RUNS}))
    assert found.mapping.seed is None and {"n_seeds", "num_runs"} <= {
        one.column for one in found.columns if not one.read
    }


def test_a_second_phase_of_some_runs_is_told(tmp_path):
    later = {f"phase2_{name}": [""] * (RUNS // 2) + cells[RUNS // 2 :] for name, cells in LATER.items()}
    found = reading(written(tmp_path / "runs.csv", {**RUN, **under("w_"), **later, "val_loss": LOSSES}))
    assert (tuple(later), "they sum to 1") in found.others


def test_logits_by_their_name_are_asked_about(tmp_path):
    logits = {name: np.log(np.maximum(cells, 1e-3)).round(3).tolist() for name, cells in MIX.items()}
    path = written(tmp_path / "runs.csv", {**RUN, **under("params_logit_", logits), "val_loss": LOSSES})
    with pytest.raises(Problem, match=r"'scale'.*softmax"):
        runs_of(path)
    np.testing.assert_allclose(runs_of(path, answers={"scale": "softmax"}).weights, SHARES, atol=0.01)


def test_raw_weights_by_the_ends_of_their_names_are_asked_about(tmp_path):
    raw = {f"{name}_weight": [round(7 * cell + len(name), 3) for cell in cells] for name, cells in MIX.items()}
    path = written(tmp_path / "runs.csv", {**RUN, **raw, "val_loss": LOSSES})
    with pytest.raises(Problem, match=r"'scale'.*divide"):
        runs_of(path)
    assert list(runs_of(path, answers={"scale": "divide"}).mapping.weights) == list(MIX)


def test_tokens_of_domains_are_no_budget(tmp_path):
    mixtures_told = [{one: {"weight": x, "tokens": round(1e9 * x)} for one, x in mix.items()} for mix in mixtures()]
    rows = [{"mixture": mix, "val_loss": loss} for mix, loss in zip(mixtures_told, LOSSES, strict=True)]
    found = reading(written(tmp_path / "runs.json", json.dumps(rows)))
    assert found.questions == () and found.mapping.n_tokens is None
    np.testing.assert_allclose(read_runs(found).weights, SHARES, atol=2e-4)


def test_budgets_are_called_budgets(tmp_path):
    table = {**RUN, **under("w_"), "budget": ["1B", "2B"] * (RUNS // 2), "val_loss": LOSSES}
    (question,) = reading(written(tmp_path / "runs.csv", table)).questions
    assert "2 budgets (column 'budget')" in question.text


@pytest.mark.parametrize(
    ("keys", "others"),
    [("{:03d}", "{:d}"), ("{:d}.5", "{:d}.50"), ("{:d}", "{:.1f}"), ("1{:017d}", "1{:017d}")],
)
def test_numbers_are_one_key_however_they_are_written(tmp_path, keys, others):
    weights = {"run": [keys.format(i) for i in range(RUNS)], **MIX}
    metrics = {"run": [others.format(i) for i in range(RUNS)][::-1], "val_loss": LOSSES[::-1]}
    found = runs_of(written(tmp_path / "w.csv", weights), written(tmp_path / "m.csv", metrics), "pair")
    np.testing.assert_array_equal(found.values[:, 0], LOSSES)


def test_a_mixture_may_have_a_row_for_each_seed_in_the_second_table(tmp_path):
    first = written(tmp_path / "w.csv", {"mix": [f"m{i}" for i in range(RUNS)], **MIX})
    again = {"mix": [f"m{i}" for i in range(RUNS)] * 2, "seed": [0] * RUNS + [1] * RUNS}
    runs = runs_of(
        first, written(tmp_path / "m.csv", {**again, "val_loss": LOSSES + [1 + loss for loss in LOSSES]}), "pair"
    )
    assert runs.keys[:3] == ["m0", "m0", "m1"] and runs.seeds[:3] == [0, 1, 0]
    np.testing.assert_array_equal(runs.values[:4, 0], [LOSSES[0], 1 + LOSSES[0], LOSSES[1], 1 + LOSSES[1]])
    np.testing.assert_allclose(runs.weights[::2], SHARES, atol=2e-4)
    assert any(f"Repeats of another run's mixture: {RUNS} runs" in note for note in runs.notes)
    twice = written(tmp_path / "twice.csv", {**again, "seed": [0] * 2 * RUNS, "val_loss": LOSSES * 2})
    with pytest.raises(Problem, match=rf"row {RUNS + 2} of twice.csv, column 'mix': 'm0' is already in row 2"):
        runs_of(first, twice, "pair")


def test_losses_may_be_called_as_their_domains(tmp_path):
    """In a file of their own; a second file that repeats the shares has none in them."""
    weights = written(tmp_path / "w.csv", {**RUN, **MIX})
    losses = written(tmp_path / "m.csv", {**RUN, **{name: LOSSES[i:] + LOSSES[:i] for i, name in enumerate(MIX)}})
    for given in ({"metric_columns": list(MIX)}, {"answers": {"metrics": "all"}}):
        answers = given.pop("answers", {}) | {"better": "lower"}
        runs = runs_of(weights, losses, "pair", answers=answers, **given)
        assert [(one.metric, one.domain) for one in runs.mapping.objectives] == [(name, name) for name in MIX]
        np.testing.assert_allclose(runs.weights, SHARES, atol=2e-4)
        np.testing.assert_array_equal(runs.values[:, 1], LOSSES[1:] + LOSSES[:1])
    again = written(tmp_path / "again.csv", {**RUN, **MIX, "elo": LOSSES})
    assert [one.metric for one in reading(weights, again, "pair").mapping.objectives] == ["elo"]


def test_a_metric_beside_the_shares_of_a_pair_is_named_as_one(tmp_path):
    first = written(tmp_path / "w.csv", {**RUN, **MIX, "val_loss": LOSSES})
    found = reading(first, written(tmp_path / "m.csv", {**RUN, "acc": LOSSES}), "pair")
    assert (
        next(one for one in found.columns if one.column == "val_loss").reason
        == "named like a metric, and not one of those that are read"
    )


def test_keys_that_only_their_zeros_tell_apart_stay_apart(tmp_path):
    rows = {"run": ["07", "7", "8"], "web": [0.1, 0.4, 0.5], "code": [0.9, 0.6, 0.5]}
    both = {"run": ["7", "07", "8"], "val_loss": [1, 2, 3]}
    found = runs_of(written(tmp_path / "w.csv", rows), written(tmp_path / "m.csv", both), "pair")
    assert found.values[:, 0].tolist() == [2, 1, 3]


REFUSED = {
    "counts with units": (
        text(
            {**RUN, **{f"tokens_{name}": [f"{cell}B" for cell in cells] for name, cells in MIX.items()}, "loss": LOSSES}
        ),
        "row 2 of runs.csv, column 'tokens_web': it holds '.*B', which is not read.* those of tokens_code, tokens_boo",
    ),
    "a blend of paths": (
        with_mixture(lambda mix: " ".join(f"{x} /d/{one}" for one, x in mix.items())),
        "'mixture'.*text",
    ),
    "objects of three": (
        with_mixture(lambda mix: json.dumps([{"path": one, "weight": x, "tokens": 5} for one, x in mix.items()])),
        "'mixture'.*is not a mixture",
    ),
    "one column": (text(PLAIN, ":"), "has one column, 'run:web:code:books:val_loss'"),
    "long, without runs": (
        text({"domain": ["web", "code"] * RUNS, "weight": [0.5] * 2 * RUNS, "loss": LOSSES * 2}),
        "a row for each 'domain', and no column that names the runs",
    ),
    "a loss with its spread": (
        text({**RUN, **MIX, "val_loss": [f"{loss} ± 0.01" for loss in LOSSES]}),
        "row 2 of runs.csv, column 'val_loss': it is named like a metric, and holds no numbers but .*±",
    ),
    "losses of all steps": (
        json.dumps([{**mix, "val_loss": [9.0, loss]} for mix, loss in zip(mixtures(), LOSSES, strict=True)]),
        r"row 1.*'val_loss': it is named like a metric, and holds no numbers but '\[9",
    ),
    "only what was measured": (text({**RUN, "val_loss": LOSSES}), "or give two tables: the mixtures, and what was"),
    "a zero byte": (text(PLAIN).replace("code", "co\0de", 1).encode(), "zero bytes"),
    "an old Feather file": (b"FEA1" + bytes(40), "Feather file of the first version"),
    "a stream of Arrow's": (b"\xff\xff\xff\xff" + bytes(40), "a stream of Arrow's. Save the table as Parquet"),
    "an ORC file": (b"ORC" + bytes(40), "an ORC file. Save the table as Parquet"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(40), "packed with LZ4. Unpack it"),
    "a database in gzip": (gzip.compress(b"SQLite format 3\0" + bytes(40)), "it is a database"),
    "an archive in gzip": (gzip.compress(bytes(257) + b"ustar" + bytes(400)), "an archive of files. Unpack it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_its_name(tmp_path, name):
    content, said = REFUSED[name]
    with pytest.raises(Problem, match=said):
        runs_of(written(tmp_path / "runs.csv", content))
