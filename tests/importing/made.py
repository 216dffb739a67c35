"""Small tables of runs as people and their programs write them: each a function that writes files and returns them."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
from pyarrow import parquet

RUNS = 16
DOMAINS = ("web", "code", "books")
SHARES = np.random.default_rng(3).dirichlet(np.ones(3), RUNS).round(4)
SHARES[:, 2] = np.round(1 - SHARES[:, 0] - SHARES[:, 1], 4)
LOSS = (3 - SHARES[:, 0] + np.arange(RUNS) / 1000).round(4)
MIX = {name: SHARES[:, i].tolist() for i, name in enumerate(DOMAINS)}
STATES = ["finished"] * (RUNS - 2) + ["crashed", "failed"]


def under(prefix: str, columns: dict = MIX) -> dict:
    """Columns whose names begin with a prefix."""
    return {f"{prefix}{name}": cells for name, cells in columns.items()}


def text(columns: dict, separator: str = ",", comma: bool = False) -> str:
    """Columns as CSV; comma: decimals with a comma."""
    out = io.StringIO()
    rows = csv.writer(out, delimiter=separator, lineterminator="\n")
    rows.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        rows.writerow([str(one).replace(".", ",") if comma and isinstance(one, float) else one for one in row])
    return out.getvalue()


def records(**columns) -> list[dict]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def mixtures() -> list[dict]:
    return records(**MIX)


def repeated(columns: dict, times: int) -> dict:
    """Every row several times, as a history or a long table has them."""
    return {name: [cell for cell in cells for _ in range(times)] for name, cells in columns.items()}


RUN = {"run": list(range(RUNS))}
PLAIN = {**RUN, **MIX, "val_loss": LOSS.tolist()}
SETTINGS = {"lr": [1e-3] * RUNS, "dropout": [0.0] * RUNS, "warmup_ratio": [0.01] * RUNS, "weight_decay": [0.1] * RUNS}
HISTORY = {
    **repeated({**RUN, **under("w_")}, 3),
    "step": [100, 200, 300] * RUNS,
    "val_loss": [loss + later for loss in LOSS.tolist() for later in (2.0, 1.0, 0.0)],
}
LONG = {
    "run": repeated(RUN, 3)["run"],
    "domain": list(DOMAINS) * RUNS,
    "weight": SHARES.ravel().tolist(),
    "loss": (3 - SHARES).ravel().tolist(),
}
WANDB = {
    "Name": [f"run-{i}" for i in range(RUNS)],
    "State": STATES,
    "Notes": ["-"] * RUNS,
    "User": ["me"] * RUNS,
    "Tags": [""] * RUNS,
    "Created": ["2026-01-01T00:00:00.000Z"] * RUNS,
    "Runtime": list(range(300, 300 + RUNS)),
    **under("data.weights."),
    "lr": [1e-3] * RUNS,
    "eval/web_loss": LOSS.tolist(),
    "eval/web_loss_stderr": [0.01] * RUNS,
    "_step": [1000] * RUNS,
}
MLFLOW = {
    "run_id": [f"{i:032x}" for i in range(RUNS)],
    "experiment_id": ["767915677500101899"] * RUNS,
    "status": [state.upper() for state in STATES],
    "start_time": ["2026-11-28 13:30:24.456+00:00"] * RUNS,
    "metrics.eval/loss_web": LOSS.tolist(),
    "metrics.train_loss": (LOSS + 1).tolist(),
    "params.mixture.web": MIX["web"],
    "params.lr": [1e-3] * RUNS,
    "params.mixture.books": MIX["books"],
    "params.seed": list(range(RUNS)),
    "params.mixture.code": MIX["code"],
    "tags.mlflow.runName": [f"r{i}" for i in range(RUNS)],
}
RAW = {name: [round(7 * cell + 0.1, 3) for cell in cells] for name, cells in MIX.items()}
OPTUNA = {
    "": list(range(RUNS)),
    "number": list(range(RUNS)),
    "value": [*LOSS.tolist()[:-1], ""],
    "datetime_start": ["2026-01-01 00:00:00"] * RUNS,
    "duration": ["0 days 00:10:00"] * RUNS,
    **under("params_w_", RAW),
    "state": ["COMPLETE"] * (RUNS - 1) + ["PRUNED"],
}
PHASES = {
    "run_name": [f"r{i}" for i in range(RUNS)],
    **under("phase_0_"),
    **under("phase_1_", {name: cells[::-1] for name, cells in MIX.items()}),
    "lm_eval/arc/acc": (SHARES[:, 0] / 2).tolist(),
    "lm_eval/arc/acc_stderr,none": [0.01] * RUNS,
    "example_count": [4183] * RUNS,
}
SIZES = {
    **repeated(under("weight_", {name: cells[:4] for name, cells in MIX.items()}), 4),
    "model_size": ["70M", "70M", "160M", "160M"] * 4,
    "n_tokens": [1e9, 2e9] * 8,
    "val_loss": [2 + i / 10 for i in range(16)],
}


def struct_parquet(path):
    """A mixture as a struct, as Trackio and others write it."""
    table = pa.table({"run": RUN["run"], "mixture": pa.array(mixtures()), "loss": LOSS})
    parquet.write_table(table, path)


def map_parquet(path):
    kind = pa.map_(pa.string(), pa.float64())
    cells = pa.array([list(one.items()) for one in mixtures()], kind)
    parquet.write_table(pa.table({"mix": cells, "loss": LOSS}), path)


def python_text(path):
    """The data frame that Weights & Biases' own guide makes: summary and config as the text of Python's dicts."""
    rows = [
        {
            "summary": str({"eval/loss": loss, "_step": 100}),
            "config": str({"mixture": mix, "lr": 1e-3}),
            "name": f"r{i}",
        }
        for i, (mix, loss) in enumerate(zip(mixtures(), LOSS.tolist(), strict=True))
    ]
    rows[2]["summary"] = "{'eval/loss': nan, '_step': 100}"
    path.write_text(text({name: [row[name] for row in rows] for name in rows[0]}))


def json_lines(path):
    rows = records(run=RUN["run"], weights=mixtures(), losses=[{"web": loss} for loss in LOSS.tolist()])
    path.write_text("\n".join(json.dumps(row) for row in rows))


def named_pairs(path):
    rows = [[{"name": name, "weight": share} for name, share in mix.items()] for mix in mixtures()]
    path.write_text(json.dumps(records(mixture=rows, loss=LOSS.tolist())))


def pandas_columns(path):
    path.write_text(json.dumps({name: {str(i): cell for i, cell in enumerate(PLAIN[name])} for name in PLAIN}))


def trackio(folder):
    """A project as Trackio exports it: what was configured, and what was measured, a row for every step."""
    ids = [f"run-{i}" for i in range(RUNS)]
    configs, metrics = folder / "mix_configs.parquet", folder / "mix.parquet"
    parquet.write_table(
        pa.table({"id": range(1, RUNS + 1), "run_id": ids, "mixture": pa.array(mixtures()), "lr": [1e-3] * RUNS}),
        configs,
    )
    measured = {"id": list(range(1, 2 * RUNS + 1)), "run_id": repeated({"run": ids}, 2)["run"], "step": [0, 100] * RUNS}
    measured["eval/web_loss"] = [one for loss in LOSS.tolist() for one in (loss + 1, loss)]
    parquet.write_table(pa.table(measured), metrics)
    return configs, metrics
