"""Tables as people and their programs wrote them (tables/): what is read of each, what is asked, or why none is."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from engine import importing
from engine.core.errors import Problem
from engine.importing import read_runs, read_table

TABLES = Path(__file__).with_name("tables")
FOUR = "web code books math"


@dataclass(frozen=True)
class Read:
    """runs, domains, metrics: what comes out; asked: ids of the questions; second: the table's other half, by which
    format. Columns that are no domain and no metric are left out, so all others are none."""

    runs: int
    domains: str
    metrics: str
    asked: tuple[str, ...] = ()
    second: str | None = None
    format: str = "flat"


EXPECTED: dict[str, Read | str] = {
    "decimal-comma/runs.csv": Read(20, "web code books", "web_loss"),
    "gap-before-shares/runs.csv": Read(12, "web code books", "val_loss"),
    "gap-before-shares/runs-metric-last.csv": Read(12, "web code books", "val_loss"),
    "import_formats/counts.csv": Read(40, FOUR, "loss", ("scale",)),
    "import_formats/excel_de.csv": Read(40, FOUR, "loss"),
    "import_formats/json_col.csv": Read(40, FOUR, "loss"),
    "import_formats/long.csv": Read(40, FOUR, "loss"),
    "import_formats/nan_zero.csv": Read(40, FOUR, "loss"),
    "import_formats/optuna.csv": Read(35, "books code math web", "value", ("scale", "better")),
    "import_formats/percent_sign.csv": Read(40, FOUR, "loss"),
    "import_formats/reg_w.csv": Read(
        39, FOUR, "metric/web_val_loss metric/code_val_loss", ("alone",), "import_formats/reg_m2.csv", "regmix"
    ),
    "import_formats/reg_m2.csv": "Cannot tell which columns of reg_m2.csv are shares",
    "import_formats/rounded.csv": Read(60, " ".join(f"d{k}" for k in range(30)), "loss", ("scale",)),
    "import_formats/runs.jsonl": Read(40, FOUR, "loss"),
    "import_formats/struct.parquet": Read(40, FOUR, "loss"),
    "import_formats/utf16.csv": Read(5, "web code", "loss"),
    "import_formats/wandb_raw.csv": Read(40, FOUR, "val_loss", ("scale",)),
    "import_formats/zero_domain.csv": Read(40, FOUR, "loss"),
    "import_history/hist_step.csv": Read(10, FOUR, "val_loss", ("steps",)),
    "import_history/history.csv": Read(20, FOUR, "loss", ("steps",)),
    "import_lr_as_domain/abs_dropout.csv": Read(40, FOUR, "val_loss"),
    "import_lr_as_domain/abs_lr.csv": Read(40, FOUR, "val_loss"),
    "import_lr_as_domain/abs_metric.csv": Read(40, FOUR, "kl_to_ref", ("better",)),
    "import_lr_as_domain/hf_trainer2.csv": Read(40, FOUR, "eval/loss"),
    "import_lr_as_domain/wandb.csv": Read(39, FOUR, "eval/web_loss eval/code_loss"),
    "json-records/runs.json": Read(10, "web code", "losses.web losses.code"),
    "json-records/runs.jsonl": Read(10, "web code", "losses.web losses.code"),
    "lm-eval-flat/runs.csv": Read(
        20,
        "web code books",
        "arc_easy|acc,none mbpp|acc,none lambada_openai|acc,none wikitext|word_perplexity,none",
    ),
    "long-format/runs.csv": "Cannot tell which columns of runs.csv are shares",
    "mlflow-runs/runs.csv": Read(
        24, "web math books code", " ".join(f"metrics.eval/loss_{name}" for name in ("math", "web", "code", "books"))
    ),
    "names-with-shares/losses.tsv": "its first line holds values ('2.5000'), not the names of columns",
    "percent-shares/runs.csv": Read(20, "web code books", "avg_acc"),
    "percent-sign/runs.csv": Read(10, "web code", "hellaswag_acc"),
    "phases-exposure-stderr/runs.csv": Read(
        24,
        "arxiv cc/art_high cc/art_low wikipedia",
        "lm_eval/arc/acc lm_eval/arc/bpb lm_eval/arc/choice_logprob lm_eval/arc/choice_prob_norm",
    ),
    "sep-line/runs.csv": Read(6, "web code", "web_loss"),
    "sizes-and-budgets/runs.csv": Read(8, "web code books", "web_loss code_loss books_loss", ("size", "budget")),
    "trackio-parquet/mix_configs.parquet": Read(
        20,
        FOUR,
        "eval/web_loss eval/code_loss eval/books_loss eval/math_loss",
        ("steps",),
        "trackio-parquet/mix.parquet",
        "pair",
    ),
    "trackio-parquet/mix.parquet": "Cannot tell which columns of mix.parquet are shares",
    "utf16/runs.csv": Read(10, "web code", "web_loss"),
    "wandb-docs-dataframe/normalized.csv": Read(12, "web code books", "summary.eval/loss"),
    "wandb-docs-dataframe/normalized-one-failed.csv": Read(11, "web code books", "summary.eval/loss"),
    "wandb-docs-dataframe/project.csv": Read(12, "web code books", "summary.eval/loss"),
}


def test_every_table_has_its_row():
    there = {str(path.relative_to(TABLES)) for path in TABLES.rglob("*") if path.is_file()}
    halves = {one.second for one in EXPECTED.values() if isinstance(one, Read) and one.second}
    assert there == EXPECTED.keys() | halves and not any("/" not in name for name in there)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_read_of_a_table(name):
    expected = EXPECTED[name]
    if isinstance(expected, str):
        with pytest.raises(Problem) as refused:
            importing.read("flat", read_table(TABLES / name), None)
        assert expected in str(refused.value)
        return
    second = expected.second and read_table(TABLES / expected.second)
    found = importing.read(expected.format, read_table(TABLES / name), second)
    runs = read_runs(found)
    assert list(found.mapping.weights) == expected.domains.split()
    assert [one.metric for one in found.mapping.objectives][: len(expected.metrics.split())] == expected.metrics.split()
    assert tuple(one.id for one in found.questions) == expected.asked
    assert runs.weights.shape == (expected.runs, len(expected.domains.split()))
    assert abs(runs.weights.sum(axis=1) - 1).max() < 1e-6 and runs.values.shape[0] == expected.runs
