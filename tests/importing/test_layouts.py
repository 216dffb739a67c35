"""Tables as people have them: each is read as what it is, asked about, or refused by its name; nothing is guessed."""

import gzip

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.importing import read_runs
from tests.importing import made
from tests.importing.made import LOSS, MIX, PLAIN, RUN, RUNS, SETTINGS, SHARES, repeated, text, under
from tests.importing.reading import reading, runs_of, written


def roles(found) -> dict[str, str]:
    """Column -> what it was read as."""
    return {one.column: one.role for one in found.columns}


PERCENT = {name: [f"{100 * cell:.2f}%" for cell in cells] for name, cells in MIX.items()}
MISSING = {name: [cell or "" for cell in cells] for name, cells in under("w_").items()} | {"w_none": [""] * RUNS}
GAP = {"val_loss": ["", *LOSS.tolist()[1:]], **MIX}
READ = {
    "settings beside": ("runs.csv", {**RUN, **MIX, **SETTINGS, "val_loss": LOSS.tolist()}),
    "settings between": (
        "runs.csv",
        {"web": MIX["web"], **SETTINGS, "code": MIX["code"], "books": MIX["books"], "loss": LOSS.tolist()},
    ),
    "a small metric beside": ("runs.csv", {**RUN, **MIX, "kl_loss": [0.004 + i / 1e4 for i in range(RUNS)]}),
    "decimal commas": ("runs.csv", text(PLAIN, ";", comma=True)),
    "decimal commas in quotes": ("runs.csv", text(PLAIN, comma=True)),
    "grouped thousands": ("runs.csv", text({**PLAIN, "n_tokens": ["1.234.567"] * RUNS}, ";", comma=True)),
    "a spreadsheet's first line": ("runs.csv", "sep=;\n" + text(PLAIN, ";")),
    "bars": ("runs.csv", text(PLAIN, "|")),
    "UTF-16": ("runs.csv", text(PLAIN, "\t").encode("utf-16")),
    "UTF-16 without a mark": ("runs.csv", text(PLAIN, "\t").encode("utf-16-le")),
    "old ends of lines": ("runs.csv", text(PLAIN).replace("\n", "\r").encode()),
    "packed": ("runs.csv.gz", gzip.compress(text(PLAIN).encode())),
    "percent signs": ("runs.csv", {**RUN, **PERCENT, "val_loss": LOSS.tolist()}),
    "percent": (
        "runs.csv",
        {**RUN, **{name: [100 * cell for cell in cells] for name, cells in MIX.items()}, "loss": LOSS.tolist()},
    ),
    "a gap before the shares": ("runs.csv", GAP),
    "long, of domains": ("runs.csv", made.LONG),
    "long, of metrics": (
        "runs.csv",
        {
            **repeated({**RUN, **under("w_")}, 2),
            "metric": ["web_loss", "b_loss"] * RUNS,
            "value": np.arange(2.0 * RUNS).tolist(),
        },
    ),
    "a struct": ("runs.parquet", made.struct_parquet),
    "a map": ("runs.parquet", made.map_parquet),
    "Python's text": ("runs.csv", made.python_text),
    "JSON lines": ("runs.jsonl", made.json_lines),
    "named pairs": ("runs.json", made.named_pairs),
    "pandas' JSON": ("runs.json", made.pandas_columns),
    "a name in a column": (
        "runs.csv",
        {
            "model": [f"m{i}" for i in range(RUNS)],
            **under("mix/"),
            "arc_easy|acc,none": LOSS.tolist(),
            "arc_easy|acc_stderr,none": [0.01] * RUNS,
        },
    ),
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_without_a_question(tmp_path, name):
    file, content = READ[name]
    found = reading(written(tmp_path / file, content))
    assert found.questions == () and list(found.mapping.weights) == list(MIX), found.why
    runs = read_runs(found)
    np.testing.assert_allclose(runs.weights, SHARES, atol=2e-4)
    assert len(runs.values) == RUNS and np.isfinite(runs.values).sum() >= RUNS - 1
    assert not {"setting", "noise", "step"} & {roles(found)[one.metric] for one in found.mapping.objectives}


def test_settings_are_no_domains_and_those_that_differ_are_named(tmp_path):
    table = {**RUN, **MIX, **SETTINGS, "lr": [1e-3, 3e-3] * (RUNS // 2), "val_loss": LOSS.tolist()}
    found = reading(written(tmp_path / "runs.csv", table))
    assert {name: roles(found)[name] for name in SETTINGS} == dict.fromkeys(SETTINGS, "setting")
    assert "lr (2 values)" in " ".join(read_runs(found).notes)


def test_a_domain_may_be_called_like_a_setting_but_then_it_is_asked(tmp_path):
    odd = dict(zip(("email", "lr", "players"), MIX.values(), strict=True))
    path = written(tmp_path / "runs.csv", {**RUN, **odd, "val_loss": LOSS.tolist()})
    (question,) = reading(path).questions
    assert "lr is named otherwise" in question.options["email..players"]
    assert list(runs_of(path, answers={"shares": "email..players"}).mapping.weights) == list(odd)


def test_a_column_of_zeros_beside_the_shares_is_asked_about(tmp_path):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, "latin": [0.0] * RUNS, "val_loss": LOSS.tolist()})
    with pytest.raises(Problem, match=r"'shares'.*web\.\.latin.*web\.\.books"):
        runs_of(path)
    assert len(runs_of(path, answers={"shares": "web..books"}).mapping.weights) == 3
    assert runs_of(path, answers={"shares": "web..latin"}).unseen == ("latin",)


def test_a_plausible_neighbour_is_told(tmp_path):
    found = reading(written(tmp_path / "runs.csv", {**PLAIN, "web2": [0.004] * RUNS} | {"val_loss": LOSS.tolist()}))
    assert list(found.mapping.weights) == list(MIX)
    beside = written(tmp_path / "beside.csv", {**RUN, **MIX, "foo": [0.004] * RUNS, "val_loss": LOSS.tolist()})
    (other,) = reading(beside).others
    assert other[0][-1] == "foo" and roles(reading(beside))["foo"] == "other shares"


def test_empty_shares_are_zero_where_the_rest_of_the_row_proves_it(tmp_path):
    table = {**RUN, **under("w_"), "val_loss": LOSS.tolist()}
    table["w_books"] = ["", *table["w_books"][1:]]
    table["w_web"] = [round(1 - table["w_code"][0], 4), *table["w_web"][1:]]
    runs = runs_of(written(tmp_path / "runs.csv", table))
    assert runs.weights[0, 2] == 0 and "Empty cells of shares are 0 in 1 run" in runs.notes[0]
    table["w_web"][0] = 0.1
    with pytest.raises(Problem, match=r"row 2 of runs\.csv, column 'w_books'.*empty"):
        runs_of(written(tmp_path / "runs.csv", table))


def test_a_history_is_asked_about_and_is_no_repeat(tmp_path):
    path = written(tmp_path / "runs.csv", made.HISTORY)
    with pytest.raises(Problem, match=r"'steps'.*3 rows per run.*last"):
        runs_of(path)
    last = runs_of(path, answers={"steps": "last"})
    np.testing.assert_allclose(last.values[:, 0], LOSS)
    assert "noise" not in " ".join(last.notes) and last.keys[:2] == ["0", "1"]
    np.testing.assert_allclose(runs_of(path, answers={"steps": "200"}).values[:, 0], LOSS + 1)
    nameless = written(
        tmp_path / "nameless.csv", {name: cells for name, cells in made.HISTORY.items() if name != "run"}
    )
    assert len(runs_of(nameless, answers={"steps": "last"}).keys) == RUNS


def test_the_last_value_of_a_history_may_stand_before_its_last_row(tmp_path):
    table = made.HISTORY | {"val_loss": [one if i % 3 == 1 else "" for i, one in enumerate(made.HISTORY["val_loss"])]}
    runs = runs_of(written(tmp_path / "runs.csv", table), answers={"steps": "last"})
    np.testing.assert_allclose(runs.values[:, 0], LOSS + 1)


def test_one_size_and_one_budget_can_be_taken(tmp_path):
    path = written(tmp_path / "runs.csv", made.SIZES)
    with pytest.raises(Problem, match=r"'size'.*2 model sizes.*160M: 8 of 16 runs"):
        runs_of(path)
    one = runs_of(path, answers={"size": "70000000", "budget": "2000000000"})
    assert len(one.weights) == 4 and set(one.parameters) == {70_000_000} and set(one.tokens) == {2 * 10**9}
    assert "8 runs whose model_size is not 70M" in " ".join(one.notes)
    both = " ".join(runs_of(path, answers={"size": "all", "budget": "all"}).notes)
    assert "another size or budget: 12 runs" in both and "noise" not in both.replace("as noise", "")


def test_sizes_in_names_and_unequal_steps_are_no_repeats(tmp_path):
    half = {name: cells[:8] * 2 for name, cells in under("w_").items()}
    names = [f"llama-{size}M-{i}" for size in (70, 160) for i in range(8)]
    path = written(tmp_path / "runs.csv", {"name": names, **half, "val_loss": LOSS.tolist()})
    assert len(runs_of(path, answers={"size": "160000000"}).keys) == 8
    cut = {
        "name": [f"r{i}" for i in range(RUNS)],
        **under("w_"),
        "_step": [1000] * 14 + [300, 200],
        "loss": LOSS.tolist(),
    }
    assert len(runs_of(written(tmp_path / "cut.csv", cut), answers={"budget": "1000"}).keys) == 14


def test_phases_are_asked_about_and_the_spread_is_no_metric(tmp_path):
    path = written(tmp_path / "runs.csv", made.PHASES)
    found = reading(path)
    assert [list(one.options) for one in found.questions] == [["phase_0_*", "phase_1_*"]]
    runs = runs_of(path, answers={"shares": "phase_1_*"})
    np.testing.assert_allclose(runs.weights, SHARES[::-1], atol=1e-3)
    assert list(runs.mapping.weights) == list(MIX) and [one.metric for one in runs.mapping.objectives] == [
        "lm_eval/arc/acc"
    ]
    told = roles(found)
    assert told["lm_eval/arc/acc_stderr,none"] == "noise" and told["phase_1_web"] == "other shares"
    assert told["example_count"] == "count"


def test_spreads_by_short_names_need_their_metric_beside_them(tmp_path):
    """sd and se are Sindhi and Northern Sami, too."""
    loss = LOSS.tolist()
    spread = {**RUN, **MIX, "loss": loss, "loss_sd": loss, "acc_mean": loss[::-1], "acc_std": loss, "acc_upper": loss}
    found = reading(written(tmp_path / "runs.csv", spread))
    assert [one.metric for one in found.mapping.objectives] == ["loss", "acc_mean"] or roles(found)[
        "acc_upper"
    ] == "metric"
    assert roles(found)["loss_sd"] == roles(found)["acc_std"] == "noise"
    languages = {**RUN, **MIX, "loss_en": loss, "loss_sd": loss[::-1], "loss_se": loss[1:] + loss[:1]}
    assert len(reading(written(tmp_path / "runs.csv", languages)).mapping.objectives) == 3


@pytest.mark.parametrize(
    ("weights", "answer", "first"),
    [
        (made.RAW, "divide", lambda raw: raw / raw.sum()),
        (
            {name: [int(1e9 * one) for one in cells] for name, cells in MIX.items()},
            "divide",
            lambda raw: raw / raw.sum(),
        ),
        (
            {name: [one - 0.5 for one in cells] for name, cells in MIX.items()},
            "softmax",
            lambda raw: np.exp(raw) / np.exp(raw).sum(),
        ),
    ],
)
def test_raw_weights_are_asked_about(tmp_path, weights, answer, first):
    path = written(tmp_path / "runs.csv", {**RUN, **under("w_", weights), "val_loss": LOSS.tolist()})
    with pytest.raises(Problem, match=rf"'scale'.*{answer}"):
        runs_of(path)
    runs = runs_of(path, answers={"scale": answer})
    np.testing.assert_allclose(runs.weights[0], first(np.array([cells[0] for cells in weights.values()])))
    assert runs.mapping.scale == answer


def test_many_rounded_shares_are_asked_about(tmp_path):
    wide = np.random.default_rng(0).dirichlet(np.ones(30), RUNS).round(2)
    table = {**RUN, **{f"w_{i}": wide[:, i].tolist() for i in range(30)}, "loss": LOSS.tolist()}
    (question,) = reading(written(tmp_path / "runs.csv", table)).questions
    assert question.id == "scale" and "rounding" in question.text


def test_numbers_without_the_name_of_a_metric_are_asked_about(tmp_path):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, "arc": LOSS.tolist(), "piqa": LOSS[::-1].tolist()})
    assert [one.id for one in reading(path).questions] == ["metrics", "better"]
    (only,) = runs_of(path, answers={"metrics": "arc", "better": "higher"}).mapping.objectives
    assert only.metric == "arc" and only.higher_is_better
    with pytest.raises(Problem, match=r"'nothing'.*no such question"):
        runs_of(path, answers={"metrics": "arc", "better": "higher", "nothing": "x"})
    with pytest.raises(Problem, match=r"'best'.*'better'.*lower, higher"):
        runs_of(path, answers={"metrics": "arc", "better": "best"})


def test_weights_and_biases(tmp_path):
    found = reading(written(tmp_path / "runs.csv", made.WANDB))
    assert found.questions == () and list(found.mapping.weights) == list(MIX)
    told = roles(found)
    assert (told["lr"], told["_step"], told["eval/web_loss_stderr"]) == ("setting", "step", "noise")
    assert told["Tags"] == "empty" and told["Runtime"] == "time"
    assert found.dropped == ("rows 16, 17 of runs.csv: column 'State' says crashed, failed",)
    runs = read_runs(found)
    assert len(runs.keys) == RUNS - 2 and "crashed" in " ".join(runs.notes)
    assert runs.mapping.objectives[0].domain == "web"
    chart = {"Step": [1, 2], "run-0 - loss": [1, 2], "run-0 - loss__MIN": [1, 2], "run-0 - loss__MAX": [1, 2]}
    with pytest.raises(Problem, match=r"columns are runs.*table of runs"):
        reading(written(tmp_path / "chart.csv", chart))


def test_mlflow(tmp_path):
    found = reading(written(tmp_path / "runs.csv", made.MLFLOW))
    assert sorted(found.mapping.weights) == sorted(MIX) and found.questions == ()
    assert (found.mapping.key, found.mapping.label, found.mapping.seed) == (
        "run_id",
        "tags.mlflow.runName",
        "params.seed",
    )
    assert [one.metric for one in found.mapping.objectives] == ["metrics.eval/loss_web"]
    training = next(one for one in found.columns if one.column == "metrics.train_loss")
    assert training.also == ("metric",) and "own mixture" in training.reason


def test_optuna(tmp_path):
    path = written(tmp_path / "runs.csv", made.OPTUNA)
    assert [one.id for one in reading(path).questions] == ["scale", "better"]
    runs = runs_of(path, answers={"scale": "divide", "better": "lower"})
    assert len(runs.keys) == RUNS - 1 and [one.metric for one in runs.mapping.objectives] == ["value"]
    assert list(runs.mapping.weights) == list(MIX) and roles(reading(path))["number"] == "key"


def test_trackio(tmp_path):
    configs, metrics = made.trackio(tmp_path)
    found = reading(configs, metrics, "pair")
    assert [one.id for one in found.questions] == ["steps"] and found.mapping.key == "run_id"
    runs = runs_of(configs, metrics, "pair", answers={"steps": "last"})
    np.testing.assert_allclose(runs.values[:, 0], LOSS)
    assert list(runs.mapping.weights) == list(MIX)


def test_keys_written_as_fractions_meet_whole_ones(tmp_path):
    weights = written(tmp_path / "w.csv", {"index": range(RUNS), **under("train_")})
    metrics = written(
        tmp_path / "m.csv",
        {"": range(RUNS - 1), "index": [f"{i}.0" for i in range(RUNS - 1)], "web_val_loss": LOSS[:-1]},
    )
    with pytest.raises(Problem, match=r"'alone'.*row 17 of w\.csv.*'15' has no partner"):
        runs_of(weights, metrics, "regmix")
    runs = runs_of(weights, metrics, "regmix", answers={"alone": "leave out"})
    assert len(runs.keys) == RUNS - 1 and "row 17 of w.csv" in runs.notes[0]


def test_mixtures_hold_no_settings_in_a_pair(tmp_path):
    weights = written(tmp_path / "w.csv", {"run": range(RUNS), **MIX, "lr": [1e-3] * RUNS})
    metrics = written(tmp_path / "m.csv", {"run": range(RUNS), "arc_bpb": LOSS, "arc_bpb_stderr": LOSS})
    found = reading(weights, metrics, "olmix")
    assert list(found.mapping.weights) == list(MIX) and len(found.mapping.objectives) == 1
