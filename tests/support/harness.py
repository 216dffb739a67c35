"""Files of tasks as lm-evaluation-harness reads them: choices, whole texts, continuations, and answers."""

import json
import re
from pathlib import Path

from engine.jobs.spool import Job
from engine.spec.kinds.harness import HarnessTask
from tests.support.running import ROOT

CHOICES = ["green", "red"]  # as docs/how-to/tasks.md has them, whose file this is
COLOURS = re.search(r"```yaml\n(task: colours\n.*?)```", (ROOT / "docs/how-to/tasks.md").read_text(), re.S)[1]
READ = """
task: reading
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]
"""
WRITE = """
task: writing
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{written}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
SURE = """
task: surely
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: "{{written}}"
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def questions() -> list[str]:
    """Beginnings of sentences and of lines of code: what follows differs between them."""
    words = ["if not self", "from engine", "of the", "in all", "def", "return", "Permission is", "copies of"]
    return [f"{one} {two}" for one in words for two in ("and", "is", "as", "x")]


def write_tasks(workspace: Path, written: list[str] | None = None) -> None:
    """The files of tasks. written: what each question is followed by, of the tasks that ask for that."""
    folder = workspace / "harness"
    folder.mkdir(exist_ok=True)
    rows = [
        {"question": one, "answer": place // 2 % 2, "written": (written or [""] * 99)[place]}
        for place, one in enumerate(questions())
    ]
    (folder / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("colours", COLOURS), ("reading", READ), ("writing", WRITE), ("surely", SURE)):
        (folder / f"{name}.yaml").write_text(text)


def job_of(workspace: Path, folder: Path, task: HarnessTask) -> Job:
    """A job in a folder of its own."""
    folder.mkdir(exist_ok=True)
    return Job(folder, workspace, task.spec())
