"""Items as JSON lines or a JSON list: choices, completions and labelled texts, by the names that such files use.

    {"question" | "prompt" | "input" | "text" | "context" | "query", then one of
     "choices" (a list, or {"text", "label"}) and "answer" (its place, letter or text),
     "answer" | "target" | "completion" | "output" | "answers" (a text, or several),
     "label" (a word, for all items one of the same few)}

Other names of fields are refused by name, never guessed.
"""

from collections.abc import Sequence

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.tasks.task import EvalTask, Item

PROMPTS = ("prompt", "question", "input", "text", "context", "query", "instruction", "sentence")
CHOICES = ("choices", "options", "endings", "candidates")
ANSWERS = ("answer", "answers", "target", "targets", "completion", "output", "gold", "answerKey", "label")
MOST_LABELS = 50  # of a set of labelled texts


def read(rows: Sequence[object], name: str) -> EvalTask:
    """A task of rows. Raises Problem for a row without a prompt or a right answer, with its number."""
    parsed = [_row(row, number, name) for number, row in enumerate(rows, 1)]
    if all(choices is not None for _, choices, _ in parsed):
        items = [
            Item(prompt, choices=choices, scores=_scores(choices, answers, number, name))
            for number, (prompt, choices, answers) in enumerate(parsed, 1)
            if choices is not None
        ]
        return EvalTask(name, ["accuracy", "answer_bits"], items, "choices, as JSON")
    if odd := [number for number, (_, choices, _) in enumerate(parsed, 1) if choices is not None]:
        raise Problem(f"Cannot read {name}: row {odd[0]} has choices and others have none. Make two tasks of it.")
    if all(isinstance(row, dict) and "label" in row for row in rows) and (labels := _labels(parsed)):
        items = [
            Item(prompt, choices=labels, scores=[float(one == answers[0]) for one in labels])
            for prompt, _, answers in parsed
        ]
        return EvalTask(name, ["accuracy", "macro_f1", "calibration_error"], items, "labelled texts, as JSON")
    items = [Item(prompt, answers=answers) for prompt, _, answers in parsed]
    return EvalTask(name, ["exact_match", "answer_bits"], items, "completions, as JSON")


def _row(row: object, number: int, name: str) -> tuple[str, list[str] | None, list[str]]:
    """The prompt, the choices if there are any, and the right answers (letters and places as they stand)."""
    if not isinstance(row, dict):
        raise Problem(f"Cannot read {name}: row {number} is {row!r:.60}, and must be an object.")
    prompt = next((row[key] for key in PROMPTS if isinstance(row.get(key), str)), None)
    if prompt is None:
        raise Problem(f"Cannot read {name}: row {number} has none of {', '.join(PROMPTS)}. It has {listed(list(row))}.")
    choices = next((row[key] for key in CHOICES if key in row), None)
    letters = None
    if isinstance(choices, dict):  # as the ARC sets have them
        letters, choices = choices.get("label"), choices.get("text")
    if choices is not None and not (isinstance(choices, list) and all(isinstance(one, str) for one in choices)):
        raise Problem(f"Cannot read {name}: the choices of row {number} must be a list of texts.")
    answer = next((row[key] for key in ANSWERS if row.get(key) not in (None, "", [])), None)
    if answer is None:
        raise Problem(
            f"Cannot read {name}: row {number} has no right answer; it has none of {', '.join(ANSWERS)}. Leave that "
            "row out, or add its answer."
        )
    if isinstance(letters, list) and answer in letters and choices is not None:
        answer = choices[letters.index(answer)]
    answers = answer if isinstance(answer, list) else [answer]
    return prompt, choices, [one if isinstance(one, str) else str(one) for one in answers]


def _scores(choices: list[str], answers: list[str], number: int, name: str) -> list[float]:
    """1 for the choices that are right: by their text, their letter, or their place from 0."""
    right = set(answers) & set(choices)
    for answer in answers:
        if answer not in choices:
            place = int(answer) if answer.isdecimal() else ord(answer) - ord("A") if len(answer) == 1 else -1
            if not 0 <= place < len(choices):
                raise Problem(
                    f"Cannot read {name}: the answer of row {number}, {answer!r:.60}, is none of its choices, nor the "
                    "letter or the place (from 0) of one."
                )
            right.add(choices[place])
    return [float(choice in right) for choice in choices]


def _labels(parsed: Sequence[tuple[str, object, list[str]]]) -> list[str]:
    """The labels of labelled texts, sorted; none if there are more than MOST_LABELS, or an item has several."""
    found = sorted({answers[0] for _, _, answers in parsed})
    single = all(len(answers) == 1 for _, _, answers in parsed)
    return found if single and 2 <= len(found) <= min(MOST_LABELS, len(parsed) // 2) else []
