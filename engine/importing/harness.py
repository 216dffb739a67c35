"""Results of evaluation harnesses: what lm-evaluation-harness and lighteval write of one model, as scores.

lm-evaluation-harness writes `results_<date>.json`; version 0.3 has neither filters nor directions:

    {"results": {task: {"alias", "acc,none": .3, "acc_stderr,none": .01}}, "groups", "higher_is_better": {task: {metric:
     true}}, "n-samples": {task: {"effective": 500}}, "configs": {task: {"doc_to_choice": [...]}}, "versions", "config"}

lighteval: {"config_general", "results": {"harness|task|shots": {"acc", "acc_stderr"}, "all": {...}}, "versions",
"config_tasks"}.

An error (`*_stderr`) is noise, never a score; averages over groups of tasks are left out, and named.
"""

from dataclasses import dataclass
from typing import Any, TypeGuard

from engine.core.checks import is_number, is_whole
from engine.core.errors import Problem
from engine.core.short_names import listed

ERROR = "_stderr"
ALL, AVERAGE = "all", ":_average"  # lighteval's averages over its tasks, and over those of a group
BESIDE = {"alias", "name", "samples", "sample_len", "sample_count", " "}  # what stands beside a task's metrics
# Why a key was not taken as it stands.
AVERAGES = "Averages over tasks are left out"
NO_NUMBER = "What is not a number is left out"
ASTRAY = "Errors without their metric are left out"
NO_ERROR = "Without a standard error"


@dataclass(frozen=True)
class Known:
    """What a file says of one metric of a task. metric: its own name, without the task; higher: whether higher is
    better; chance: what guessing scores; items: how many were asked; each None where the file does not say."""

    metric: str
    higher: bool | None = None
    chance: float | None = None
    items: int | None = None


@dataclass(frozen=True)
class Score:
    """A metric's value as it stands in the file, its standard error (None where unknown), and what is known of it."""

    value: float
    error: float | None
    known: Known


@dataclass(frozen=True)
class Results:
    """Of one model. scores: by "task metric", or "task metric (filter)"; left: (why, key) of what was not taken as it
    stands."""

    scores: dict[str, Score]
    left: tuple[tuple[str, str], ...]


def is_results(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a parsed object holds results of a harness, in this layout or in another version's."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), dict):
        return False
    marks = ("versions", "config_general", "higher_is_better")
    return any(isinstance(value.get(key), dict) for key in marks) or "model_args" in table_in(value, "config")


def read_results(value: dict[str, Any], name: str) -> Results:
    """The scores of one model. name: of the file, in messages. Raises Problem where there are none."""
    scores: dict[str, Score] = {}
    left: list[tuple[str, str]] = []
    for task, facts in value["results"].items():
        if _is_average(value, task):
            left.append((AVERAGES, task))
        elif not isinstance(facts, dict):
            left.append((NO_NUMBER, f"{task}: {facts!r:.40}"))
        else:
            _add_task(value, task, facts, scores, left)
    if not scores:
        said = f" ({listed([f'{key}: {why}' for why, key in left], 4)})" if left else ""
        raise Problem(
            f"Cannot import {name}: its results hold no score of a task{said}. Give a file that lm-evaluation-harness "
            "0.3 or 0.4 or lighteval wrote, of at least one task."
        )
    return Results(scores, tuple(left))


def _is_average(value: dict[str, Any], task: str) -> bool:
    """Whether results are of a group of tasks, which stand beside it themselves."""
    if "config_general" in value:
        return (task == ALL and len(value["results"]) > 1) or AVERAGE in task
    is_group = task in table_in(value, "groups") or bool(table_in(value, "group_subtasks").get(task))
    return is_group and task not in table_in(value, "configs")


def _add_task(
    value: dict[str, Any], task: str, facts: dict[str, Any], scores: dict[str, Score], left: list[tuple[str, str]]
) -> None:
    """Add the metrics of a task to `scores`, and to `left` what is none."""
    for key, number in facts.items():
        metric, _, kept = (key, "", "") if "config_general" in value else key.partition(",")
        title = f"{task} {metric}" + (f" ({kept})" if kept not in ("", "none") else "")
        if key in BESIDE:
            continue
        if metric.endswith(ERROR):
            of = metric.removesuffix(ERROR) + (f",{kept}" if kept else "")
            if of not in facts:
                left.append((ASTRAY, title))
        elif not is_number(number):
            left.append((NO_NUMBER, f"{title}: {number!r:.40}"))
        else:
            said = facts.get(f"{metric}{ERROR}" + (f",{kept}" if kept else ""))
            error = float(said) if isinstance(said, int | float) and is_number(said, 0) else None
            if error is None:
                left.append((NO_ERROR, title))
            higher = table_in(table_in(value, "higher_is_better"), task).get(metric)
            told = higher if isinstance(higher, bool) else None
            known = Known(metric, told, _chance(value, task, metric), _items(value, task))
            scores[title] = Score(float(number), error, known)


def _items(value: dict[str, Any], task: str) -> int | None:
    """How many items of a task were asked."""
    counts = table_in(table_in(value, "n-samples"), task)
    told = table_in(value, "config_tasks")  # of lighteval, with the number of examples in its keys or without
    about = table_in(told, task) or table_in(told, task.rpartition("|")[0])
    found = (counts.get("effective"), about.get("effective_num_docs"), table_in(value["results"], task).get("samples"))
    return next((one for one in found if is_whole(one, 1)), None)


def _chance(value: dict[str, Any], task: str, metric: str) -> float | None:
    """What guessing scores: one over the number of choices, where the file lists them, the same for all items."""
    config = table_in(table_in(value, "configs"), task)
    choices = config.get("doc_to_choice")
    if not metric.startswith("acc") or config.get("output_type", "multiple_choice") != "multiple_choice":
        return None
    return 1 / len(choices) if isinstance(choices, list) and len(choices) > 1 else None


def models_of(value: dict[str, Any]) -> list[str]:
    """What a file may call its model, the likeliest first: names, then the parts of paths from their end on."""
    general, config = table_in(value, "config_general"), table_in(value, "config")
    arguments = config.get("model_args")
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    inside = table_in(general, "model_config")
    told = [value.get("model_name"), general.get("model_name"), inside.get("model_name")]
    told.append(arguments.get("pretrained") if isinstance(arguments, dict) else None)
    names = [one for one in told if isinstance(one, str) and one.strip("/")]
    return list(dict.fromkeys([*names, *(part for one in names for part in reversed(one.split("/")) if part)]))


def table_in(value: dict[str, Any], key: str) -> dict[str, Any]:
    """An object of the file by its key; empty where it has none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}
