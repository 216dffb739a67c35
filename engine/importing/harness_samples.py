"""Samples of evaluation harnesses: what lm-evaluation-harness and lighteval keep of single items, with their answers.

lm-evaluation-harness (`--log_samples`) writes `samples_<task>_<date>.jsonl` beside a model's results, a line for each
item (and filter): {"doc_id", "target", "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": continuation}, ...},
"filtered_resps": [["-3.2", "False"], ...] or [text], "filter", "metrics": ["acc"], "acc": 1.0}. 0.4.0 has pairs in
"arguments", and no list of metrics.

lighteval (`--save-details`) writes `details/<model>/<date>/details_<task>_<date>.parquet`, a row for each item: "doc"
(query, choices, gold_index), "model_response" (text, logprobs) and "metric"; before 0.10 "full_prompt", "choices",
"gold_index", "gold", "predictions" and "metrics" instead.

Whoever sends a run may send its items as the former's lines, or plainly: {"prompt", "right", "answer", "score"}.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engine.core.checks import is_number, is_texts, is_whole
from engine.core.errors import Problem
from engine.core.records import Record
from engine.core.short_names import listed
from engine.core.system import UNREADABLE, read_fault
from engine.importing.harness import table_in

DATE = r"\d{4}-\d\d-\d\dT[\d\-:.]+"
NAME = re.compile(rf"(samples|details)_(.+)_({DATE})\.(jsonl|parquet)")
KNOWN = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
HASH = "_hash"  # ends the names of what else stands beside the scores
MOST = 20_000  # items of a task
PLAIN = "score"  # what the scores are of where nothing says it
ODD = (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, RecursionError, NotImplementedError)


@dataclass(frozen=True)
class Sample(Record):
    """What one run answered to an item, and its score; right: the right answers, as far as the file tells."""

    prompt: str
    right: list[str]
    answer: str
    score: float


@dataclass(frozen=True)
class Sampled(Record):
    """The items of one task by one run. names: what the run may be called, the likeliest first; date: in the file's
    name; metric: what the scores are of; samples: in the order of the task's items."""

    names: list[str]
    date: str
    task: str
    metric: str
    samples: list[Sample]


def read_samples(path: str, data: bytes) -> Sampled | None:
    """What a file holds; None for a file of another name. path: with the folders around it. Raises Problem for one
    that cannot be read."""
    place = PurePosixPath(path)
    if (found := NAME.fullmatch(place.name)) is None:
        return None
    kind, task, date, _ = found.groups()
    try:
        rows = list(_of_items(_lines(data)) if kind == "samples" else _of_details(data))
    except ODD as error:
        raise Problem(
            f"Cannot read the samples {path}: {error!r:.120}. Give the file as lm-evaluation-harness 0.4 or lighteval "
            "wrote it."
        ) from error
    if not rows:
        raise Problem(f"Cannot read the samples {path}: they hold no item with a score. Leave the file out.")
    if len(rows) > MOST:
        raise Problem(f"Cannot read the samples {path}: they hold {len(rows):,} items, and {MOST:,} are the most.")
    folders = [part for part in reversed(place.parts[:-1]) if part and not re.fullmatch(DATE, part)]
    names = [name for folder in folders for name in dict.fromkeys((folder, *reversed(folder.split("__")))) if name]
    return Sampled(list(dict.fromkeys(names)), date, task, rows[0][0], [sample for _, sample in rows])


def samples_in(files: Iterable[tuple[str, bytes]], name: str) -> tuple[list[Sampled], list[str]]:
    """Those of several files, of each run and task the newest; and what could not be read, a sentence each. Raises
    Problem where none holds samples."""
    newest: dict[tuple[str, ...], Sampled] = {}
    others, left = [], []
    for path, data in files:
        try:
            found = read_samples(path, data)
        except Problem as problem:
            left.append(str(problem))
            continue
        if found is None:
            others.append(path)
            continue
        key = (found.task, *found.names)
        if key not in newest or newest[key].date < found.date:
            newest[key] = found
    if left and not newest:
        raise Problem(left[0])
    if not newest:
        beside = f": there are {listed(others, 4)}" if others else ""
        raise Problem(
            f"Cannot read samples from {name}{beside}. Give the folder with a harness' samples_<task>_<date>.jsonl or "
            "details_<task>_<date>.parquet files."
        )
    return list(newest.values()), left


def samples_sent(given: object, run: str) -> dict[str, Sampled]:
    """The items of a run as its sender tells them, by task: {task: [item, ...]}. Raises Problem, with the task, for
    what is none."""
    if not isinstance(given, dict) or not given:
        raise Problem(
            f"Cannot read the samples of {run!r}: they are {given!r:.60}. Give an object of tasks, each with a list of "
            "its items."
        )
    return {task: _sent(str(task), rows, run) for task, rows in given.items()}


def _sent(task: str, rows: Any, run: str) -> Sampled:
    said = f"Cannot read the samples of {run!r} on {task!r}"
    if not task.strip() or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Problem(f"{said}: they are {rows!r:.60}. Give a list of its items, each an object.")
    try:
        plain = enumerate(rows, 1) if rows and "doc_id" not in rows[0] else ()
        found = [_plain(row, f"item {number} of {task!r} by {run!r}") for number, row in plain] or list(_of_items(rows))
    except ODD as error:
        raise Problem(
            f"{said}: {error!r:.120}. An item is a line of lm-evaluation-harness' samples, or has prompt, right, "
            "answer and score."
        ) from error
    if not 1 <= len(found) <= MOST:
        raise Problem(f"{said}: they hold {len(found):,} items with a score; 1 to {MOST:,} can be kept.")
    return Sampled([run], "", task, found[0][0], [sample for _, sample in found])


def _plain(row: Mapping[str, Any], what: str) -> tuple[str, Sample]:
    """(metric, sample) of an item that says its parts by their names. Raises Problem for what has other parts."""
    told = {name: value for name, value in row.items() if name != "metric"}
    right = told.get("right", [])
    sample = Sample.read({**told, "right": [right] if isinstance(right, str) else right}, what)
    return str(row.get("metric", PLAIN)), sample


def as_sent(found: Sampled) -> list[dict[str, Any]]:
    """The items of a task as `samples_sent` reads them."""
    return [{**sample.to_dict(), "metric": found.metric} for sample in found.samples]


def written(found: Iterable[Sampled]) -> bytes:
    """Samples as lines of JSON; `kept_in` reads them back."""
    return "".join(f"{json.dumps(one.to_dict())}\n" for one in found).encode()


def kept_in(path: Path) -> list[Sampled]:
    """The samples of a file that `written` made. Raises Problem where it is none."""
    try:
        lines = path.read_bytes().splitlines()
        return [Sampled.read(json.loads(line), f"line {number} of it") for number, line in enumerate(lines, 1)]
    except UNREADABLE as error:
        why = read_fault(error, "Let `mixdesk add-samples` write it.")
        raise Problem(f"Cannot read the samples in {path}: {why}") from error


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    """The objects of lines of JSON."""
    for line in data.decode("utf-8").split("\n"):
        if line.strip():
            yield json.loads(line)


def _of_items(found: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Sample]]:
    """(metric, sample) of lm-evaluation-harness' items, by the first filter of each, in their order."""
    rows: dict[int, dict[str, Any]] = {}
    for row in found:
        rows.setdefault(int(row["doc_id"]), row)
    for _, row in sorted(rows.items()):
        given = row["arguments"]
        asked = [list(one.values()) if isinstance(one, dict) else one for one in _values(given)]
        choices = [one[1] for one in asked] if all(isinstance(one[1], str) for one in asked) and len(asked) > 1 else []
        told, scored = row["filtered_resps"], _score(row)
        said = _likeliest([float(_first(one)) for one in told], choices) if choices else str(_first(told))
        if scored is not None:
            yield scored[0], Sample(str(asked[0][0]), _right(row["target"], choices), said, scored[1])


def _score(row: dict[str, Any]) -> tuple[str, float] | None:
    """The first metric of a row, and its value; None where none is a number."""
    names = row["metrics"] if is_texts(row.get("metrics")) else [key for key in row if key not in KNOWN]
    for name in names:
        value = row.get(name)
        if isinstance(value, bool) or (is_number(value) and not name.endswith(HASH)):
            return name, float(value)  # type: ignore[arg-type]
    return None


def _of_details(data: bytes) -> Iterator[tuple[str, Sample]]:
    """The same of lighteval's rows."""
    import pyarrow.parquet as parquet

    for row in parquet.read_table(io.BytesIO(data)).to_pylist():
        doc = table_in(row, "doc") or row
        scores = table_in(row, "metric") or table_in(row, "metrics")
        response = table_in(row, "model_response")
        choices = [one for one in doc.get("choices") or [] if isinstance(one, str)]
        told = response.get("text") or response.get("logprobs") or row.get("predictions") or [""]
        logs = [one for one in map(_first, told) if is_number(one)]
        said = _likeliest(logs, choices) if choices and len(logs) == len(choices) else str(_first(told))
        gold = doc.get("gold_index") if choices else doc.get("gold")
        prompt = doc.get("full_prompt") or doc.get("query") or doc.get("example") or ""
        for name, value in scores.items():
            if isinstance(value, bool) or is_number(value):
                yield name, Sample(str(prompt), _right(gold, choices), said, float(value))
                break


def _values(given: Any) -> list[Any]:
    return list(given.values()) if isinstance(given, dict) else given


def _first(value: Any) -> Any:
    """The first of nested lists."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def _likeliest(logs: list[float], choices: list[str]) -> str:
    return choices[max(range(len(choices)), key=lambda place: logs[place])]


def _right(target: Any, choices: list[str]) -> list[str]:
    """The right answers of an item: choices by place or text, other texts as they stand; none where nothing tells."""
    found = []
    for one in target if isinstance(target, list) else [target]:
        place = int(one) if choices and isinstance(one, str) and one.isdigit() else one
        if choices and is_whole(place, 0, len(choices) - 1) and one not in choices:
            found.append(choices[place])
        elif one not in (None, ""):
            found.append(str(one))
    return found
