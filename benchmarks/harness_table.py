"""Whether what we tell of lm-evaluation-harness equals its own table: `python -m benchmarks.harness_table`.

A stack of four proxies is trained on sums with their steps, beside prose. Each is saved, and asked by the harness as a
job asks it (optional: requirements-harness.txt): 200 sums with four choices, and the same sums, of which the first
digit is to be written. Its printed table stands beside what is read back of its results, and beside our own metrics on
the same items. Writes benchmarks/results/harness_table.json and .md.
"""

import json
import random
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.kinds import KINDS, build
from engine import corpus as corpora
from engine.core.files import write_json
from engine.jobs.journal import read_events
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.merging.harness import job as harness
from engine.merging.harness.models import model_of
from engine.metrics import ITEM_METRICS, Answers, measured
from engine.proxies.cpu_matmul import processor
from engine.proxies.train import Training
from engine.spec.fidelity import PRESETS
from engine.spec.kinds.harness import HarnessFinished, HarnessTask
from engine.tasks.generated import generate
from engine.tasks.task import EvalTask, Item, Sampling

COMMAND = "python -m benchmarks.harness_table"
RESULTS = Path(__file__).parent / "results"
FIDELITY, PROXIES, ITEMS, TOKENS = replace(PRESETS["demo"], tokens=262_144), 4, 200, 2
COMMON = """
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
test_split: test
doc_to_text: "{{prompt}}"
target_delimiter: ""
"""
CHOOSE = f"""
task: choose
output_type: multiple_choice
doc_to_choice: "{{{{choices}}}}"
doc_to_target: right
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
{COMMON}"""
WRITE = f"""
task: write
output_type: generate_until
doc_to_target: "{{{{gold}}}}"
generation_kwargs: {{until: ["\\n", "="], max_gen_toks: {TOKENS}, do_sample: false}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
filter_list: [{{name: trimmed, filter: [{{function: regex, regex_pattern: '(\\S+)'}}, {{function: take_first}}]}}]
{COMMON}"""


def workspace_of(root: Path) -> list[Item]:
    """Proxies in exports/, their corpus in corpora/, and the harness' tasks: the items."""
    (root / "text").mkdir()
    corpus, _ = build(next(kind for kind in KINDS if kind.name == "mathematics"), root / "text")
    (root / "corpora").mkdir()
    (root / "text" / "corpus").rename(root / "corpora" / "sums")
    corpus, rng = corpora.load(root / "corpora" / "sums"), random.Random(1)
    drawn = [[rng.expovariate(1) for _ in corpus.domains] for _ in range(PROXIES)]
    runs = [TaskRun(id=f"run-{g}", weights=[x / sum(own) for x in own], seed=g) for g, own in enumerate(drawn)]
    training = Training(FIDELITY, corpus, list(corpus.domains), runs, "cpu")
    for _ in range(FIDELITY.steps):
        training.advance()
    (root / "exports").mkdir()
    for g, one in enumerate(runs):
        save_file(training.stack.member(g), root / "exports" / f"{one.id}.safetensors")
    items = generate("arithmetic", "sums", ITEMS, 2).items
    (root / "harness").mkdir()
    rows = [
        {"prompt": one.prompt, "choices": one.choices, "right": one.scores.index(1.0), "gold": one.gold.strip()[0]}
        for one in items
    ]
    (root / "harness" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("choose", CHOOSE), ("write", WRITE)):
        (root / "harness" / f"{name}.yaml").write_text(text)
    return items


def table_of(results: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The harness' own table, as it prints it: "task metric" -> value, standard error."""
    from lm_eval.utils import make_table

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in make_table(results).splitlines()[2:]]
    return {f"{row[0]} {row[4]}": (row[6], row[8]) for row in rows}


def asked(root: Path, items: list[Item]) -> list[dict[str, Any]]:
    """A row for each proxy and task: the harness' table, what is read back, and our own metric."""
    rows = []
    for g in range(PROXIES):
        own = {"corpus": "sums", "fidelity": FIDELITY.to_dict(), "study": "sums"}
        task = HarnessTask(model=f"exports/run-{g}.safetensors", tasks=["choose.yaml", "write.yaml"], **own)
        folder = root / f"job-{g}"
        folder.mkdir()
        harness.run(job := Job(folder, root, task.spec()))
        (told,) = read_events(job.folder, HarnessFinished)
        printed = table_of(json.loads((root / told.found["file"]).read_text()))
        models, _ = model_of(task, root)
        how = Sampling(most_tokens=TOKENS, stop=["\n", "="])
        for name, metric in (("choose acc", "accuracy"), ("write exact_match", "exact_match")):
            first = [Item(one.prompt, answers=[one.gold.strip()[0]]) for one in items]
            ours = EvalTask("sums", [metric], items if name == "choose acc" else first, "sums", sampling=how)
            value, _, _ = measured(ITEM_METRICS[metric], Answers(ours, models))
            read = next(one for one in told.found["scores"] if one["metric"].startswith(name))
            rows.append(
                {
                    "proxy": g,
                    "metric": name,
                    "printed": printed[name],
                    "read": [read["value"], read["error"]],
                    "ours": float(value[0]),
                }
            )
    return rows


def written(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = ["| proxy | metric | the harness' own table | read back | our metric |", "|---|---|---|---|---|"]
    for row in rows:
        value, error = row["read"]
        printed = " ± ".join(row["printed"])
        lines.append(
            f"| {row['proxy']} | {row['metric']} | {printed} | {value:.4f} ± {error:.4f} | {row['ours']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def is_same(row: dict[str, Any]) -> bool:
    """Whether value and error are those of the printed table, which has four digits, and the value is our own."""
    both = zip(row["printed"], row["read"], strict=True)
    return all(abs(float(one) - other) <= 5e-5 for one, other in both) and abs(row["ours"] - row["read"][0]) < 1e-9


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = asked(Path(folder), workspace_of(Path(folder)))
    same = sum(map(is_same, rows))
    told = {"command": COMMAND, "machine": processor(), "date": date.today().isoformat(), "rows": rows, "same": same}
    write_json(RESULTS / "harness_table.json", told)
    about = (__doc__ or "").split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    head = f"# The harness' table and ours\n\n`{COMMAND}`, {date.today().isoformat()}."
    text = f"{written(rows)}\n{same} of {len(rows)} rows are the same, in every digit that is printed.\n"
    (RESULTS / "harness_table.md").write_text(f"{head}\n\n{about}\n\n{text}")
    print(json.dumps(rows), text, sep="\n")


if __name__ == "__main__":
    main()
