"""BIG-bench's JSON tasks (google/BIG-bench, docs/doc.md): examples with a target, or with scores of choices.

    {"name", "description", "metrics", "preferred_score", "task_prefix", "example_input_prefix",
     "example_output_prefix", "choice_prefix", "append_choices_to_input", "examples": [{"input", "target"} or {"input",
     "target_scores": {choice: score}}]}

Choices stand in the prompt unless the file says otherwise, in an order that is drawn by the example's place.
Its scores are reported between low (chance) and high (1); the file has neither, so both are worked out here.
"""

from typing import Any

import numpy as np

from engine.core.checks import is_number, is_texts
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.tasks.task import EvalTask, Item, Sampling

METRICS = {  # of BIG-bench -> of Mixdesk
    "multiple_choice_grade": "accuracy",
    "exact_str_match": "exact_match",
}
INPUT, OUTPUT, CHOICE = "\nQ: ", "\nA: ", "\n  choice: "  # before each of them, where the file does not say


def read(value: dict[str, Any], name: str) -> EvalTask:
    """A task of a parsed file. Raises Problem for an example without an answer."""
    appended = value.get("append_choices_to_input", True)
    if not isinstance(appended, bool):
        raise Problem(f"Cannot read {name}: its append_choices_to_input is {appended!r:.60}; it must be true or false.")
    examples = value["examples"]
    if not isinstance(examples, list) or not all(isinstance(one, dict) for one in examples):
        raise Problem(f"Cannot read {name}: its examples must be a list of objects, as in BIG-bench's own tasks.")
    items = [_item(one, number, name, value) for number, one in enumerate(examples, 1)]
    score = _text(value, "preferred_score", "")
    asked = value.get("metrics") or [score]
    if not is_texts(asked):
        raise Problem(f"Cannot read {name}: its metrics are {asked!r:.60}; they must be a list of names.")
    known = [METRICS[one] for one in asked if one in METRICS]
    choices = all(item.choices for item in items)
    fitting = [one for one in known if one != "accuracy" or choices] or ["accuracy" if choices else "exact_match"]
    fitting.sort(key=lambda metric: metric != METRICS.get(score))
    left = [one for one in asked if one and METRICS.get(one) != fitting[0]]
    low, high = _ends(items, fitting[0] == "accuracy") if choices and items else (0.0, 1.0)
    return EvalTask(
        name=name,
        metrics=[*dict.fromkeys(fitting[:1])],
        items=items,
        source="BIG-bench JSON" + (f"; not measured: {listed(left, 8)}" if left else ""),
        description=_text(value, "description", ""),
        sampling=Sampling(stop=[_text(value, "stop_string", "\n") or "\n"]),
        low=low,
        high=high,
    )


def _ends(items: list[Item], by_scores: bool) -> tuple[float, float]:
    """What guessing between the choices scores, and the best score: 1, but for scores of choices beyond 1 their best.
    by_scores: whether a choice counts as it is scored, not as right or wrong."""
    if not by_scores:
        return float(np.mean([len(item.right) / len(item.choices) for item in items])), 1.0
    best = float(np.mean([max(item.scores) for item in items]))
    return float(np.mean([np.mean(item.scores) for item in items])), max(1.0, best)


def _item(example: dict[str, Any], number: int, name: str, task: dict[str, Any]) -> Item:
    if not isinstance(example.get("input"), str):
        raise Problem(f"Cannot read {name}: its example {number} has no input. Fix it, or leave it out.")
    target, scores = example.get("target"), example.get("target_scores")
    answers = [target] if isinstance(target, str) else target or []
    if scores is not None and not (isinstance(scores, dict) and all(map(is_number, scores.values()))):
        raise Problem(f"Cannot read {name}: the target_scores of its example {number} must be a table of numbers.")
    if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
        raise Problem(f"Cannot read {name}: the target of its example {number} is {target!r:.60}; it must be a text.")
    choices = scores or {}
    prompt = _prompt(task, example, sorted(choices), number)
    return Item(prompt, answers, list(choices), [float(score) for score in choices.values()])


def _prompt(task: dict[str, Any], example: dict[str, Any], choices: list[str], number: int) -> str:
    """What a model sees of an example: the task's prefixes, the input and, unless it says otherwise, the choices."""
    asked = _text(task, "task_prefix", "") + _text(task, "example_input_prefix", INPUT) + str(example["input"])
    if task.get("append_choices_to_input", True):
        before = _text(task, "choice_prefix", CHOICE)
        asked += "".join(before + choices[at] for at in np.random.default_rng(number).permutation(len(choices)))
    return asked + _text(example, "example_output_prefix", _text(task, "example_output_prefix", OUTPUT))


def _text(value: dict[str, Any], key: str, usual: str) -> str:
    """A text of the file, or what is usual where it has none."""
    found = value.get(key, usual)
    return found if isinstance(found, str) else usual
