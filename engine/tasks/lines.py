"""Items as JSON lines or a JSON list: choices, completions and labelled texts, by the names that such files use.

    {"question" | "prompt" | "input" | "text" | "context" | "query", then one of
     "choices" (a list, or {"text", "label"}) and "answer" (its place, letter or text),
     "answer" | "target" | "completion" | "output" | "answers" (a text, or several),
     "label" (a word, for all items one of the same few)}

Other names of fields are refused by name, never guessed; fields that are not read are named in the source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.tasks.places import Asked, right_choices
from engine.tasks.task import EvalTask, Item

WHOLE = "prompt"  # what the model sees, all of it
PROMPTS = (WHOLE, "question", "input", "text", "context", "query", "instruction", "sentence")
PARTS = (  # of prompts, beside one of them: a question alone asks something else
    *("passage", "article", "paragraph", "story", "document", "dialogue", "premise", "hypothesis", "background"),
    *("sentence1", "sentence2", "question1", "question2", "ctx", "ctx_a", "ctx_b"),
)
CHOICES = ("choices", "options", "endings", "candidates")
ANSWERS = ("answer", "answers", "target", "targets", "completion", "output", "gold", "answerKey", "label")
# Fields of one choice each, by what stands before their number or letter.
APART = re.compile(
    r"(?P<family>option|opt|choice|candidate|ending|distractor|answer|ans|sol)_?(\d\d?|[a-h])|(?P<letter>[A-H])",
    re.ASCII,
)
HIDDEN = (-1, "-1")  # as data sets write labels that are not published
MOST_LABELS = 50  # of a set of labelled texts


@dataclass(frozen=True)
class Row:
    """choices: None where it has none; letters: what it calls them, if it does; answers: the right ones as they stand;
    unread: fields that are not read."""

    prompt: str
    choices: list[str] | None
    letters: list[str]
    answers: list[str | int]
    unread: list[str]

    @property
    def texts(self) -> list[str]:
        """The right answers as texts."""
        return [str(one) for one in self.answers]


def read(rows: Sequence[object], name: str) -> EvalTask:
    """A task of rows. Raises Problem for a row without a prompt or a right answer, with its number."""
    parsed = [_row(row, number, name) for number, row in enumerate(rows, 1)]
    unread = listed(list(dict.fromkeys(field for row in parsed for field in row.unread)), 8)
    source = "{}, as JSON" + (f"; not read: {unread}" if unread else "")
    if all(row.choices is not None for row in parsed):
        asked = [Asked(row.choices or [], row.letters, row.answers) for row in parsed]
        items = [
            Item(
                row.prompt, choices=row.choices or [], scores=[float(k in right) for k in range(len(row.choices or []))]
            )
            for row, right in zip(parsed, right_choices(asked, name), strict=True)
        ]
        return EvalTask(name, ["accuracy", "answer_bits"], items, source.format("choices"))
    if odd := [number for number, row in enumerate(parsed, 1) if row.choices is not None]:
        raise Problem(f"Cannot read {name}: row {odd[0]} has choices and others have none. Make two tasks of it.")
    if all(isinstance(row, dict) and "label" in row for row in rows) and (labels := _labels(parsed, name)):
        items = [
            Item(row.prompt, choices=labels, scores=[float(one == row.texts[0]) for one in labels]) for row in parsed
        ]
        metrics = ["accuracy", "macro_f1", "calibration_error"]
        return EvalTask(name, metrics, items, source.format("labelled texts"))
    items = [Item(row.prompt, answers=row.texts) for row in parsed]
    return EvalTask(name, ["exact_match", "answer_bits"], items, source.format("completions"))


def _row(row: object, number: int, name: str) -> Row:
    """A row's parts. Raises Problem where one is missing, or is not told."""
    if not isinstance(row, dict):
        raise Problem(f"Cannot read {name}: row {number} is {row!r:.60}, and must be an object.")
    asked = _prompt(row, number, name)
    given, choices, letters = _choices(row, number, name)
    told = next((key for key in ANSWERS if _is_there(row, key)), "")
    if not told:
        empty = next((key for key in ANSWERS if key in row), None)
        why = f"its {empty} is empty" if empty else f"it has none of {', '.join(ANSWERS)}"
        raise Problem(
            f"Cannot read {name}: row {number} has no right answer; {why}. Leave that row out, or add its answer."
        )
    unread = [key for key in row if key not in (asked, given, told) and _is_there(row, key)]
    return Row(row[asked], choices, letters, _answers(row[told], number, name), unread)


def _choices(row: dict[str, object], number: int, name: str) -> tuple[str, list[str] | None, list[str]]:
    """The field of a row's choices, the choices, None where it has none, and what it calls them. Raises Problem for
    what is no list of texts, and for choices in a field each."""
    given = next((key for key in CHOICES if key in row), "")
    choices, letters = row.get(given), None
    if isinstance(choices, dict):  # as the ARC sets have them
        letters, choices = choices.get("label"), choices.get("text")
    names = [str(one) for one in letters] if isinstance(letters, list) else []
    if choices is None:
        if apart := _choices_apart(row):
            raise Problem(
                f"Cannot read {name}: row {number} has {listed(apart)}, which look like choices. Write them as a list, "
                f"{CHOICES[0]!r}, and the right one as its text."
            )
        return given, None, names
    if not (isinstance(choices, list) and choices and all(isinstance(one, str) for one in choices)):
        raise Problem(f"Cannot read {name}: the choices of row {number} are {choices!r:.60}; give a list of texts.")
    return given, choices, names


def _is_there(row: dict[str, object], key: str) -> bool:
    """Whether a field holds something."""
    return row.get(key) not in (None, "", []) and not (key == "label" and row[key] in HIDDEN)


def _prompt(row: dict[str, object], number: int, name: str) -> str:
    """The field with what the model sees. Raises Problem where there is none, or nothing tells how several of them make
    one prompt."""
    fields = [key for key in PROMPTS if isinstance(row.get(key), str)]
    if not fields and (odd := [key for key in PROMPTS if row.get(key) is not None]):
        raise Problem(
            f"Cannot read {name}: the {odd[0]!r} of row {number} is {row[odd[0]]!r:.60}, and must be a text. Write "
            "what the model is to see."
        )
    if not fields:
        raise Problem(f"Cannot read {name}: row {number} has none of {', '.join(PROMPTS)}. It has {listed(list(row))}.")
    if fields[0] == WHOLE:
        return WHOLE
    parts = [key for key in (*PROMPTS, *PARTS) if isinstance(row.get(key), str) and row[key]]
    if len(parts) > 1:
        raise Problem(
            f"Cannot read {name}: row {number} has {listed(parts)}, and nothing tells how they make one prompt. Write "
            f"what the model is to see as one text, {WHOLE!r}."
        )
    return next((key for key in fields if key in parts), fields[0])


def _choices_apart(row: dict[str, object]) -> list[str]:
    """Fields that hold one choice each: `option1` and `option2`, `A` to `D`. Fewer than two are none."""
    found: dict[str, list[str]] = {}
    for key, value in row.items():
        if isinstance(value, str) and (named := APART.fullmatch(key if len(key) == 1 else key.lower())):
            found.setdefault(named["family"] or "", []).append(key)
    return next((keys for keys in found.values() if len(keys) > 1), [])


def _answers(given: object, number: int, name: str) -> list[str | int]:
    """The right answers: texts and whole numbers, which may be places. Raises Problem for what is neither."""
    if isinstance(given, dict) and isinstance(
        given.get("text"), list
    ):  # as SQuAD has them, with their places in a text
        given = given["text"]
    found: list[str | int] = []
    if given == []:
        raise Problem(f"Cannot read {name}: row {number} has an empty list of answers. Leave that row out, or add one.")
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, int | float) and is_number(one):
            found.append(int(one) if float(one).is_integer() else str(one))
        else:
            raise Problem(
                f"Cannot read {name}: the answer of row {number} is {given!r:.60}, and must be a text or a number, or "
                "a list of them. Write what the model is to say."
            )
    return found


def _labels(rows: Sequence[Row], name: str) -> list[str]:
    """The labels of labelled texts, sorted; none if there are more than MOST_LABELS, or an item has several. Raises
    Problem where all have the same one."""
    found = sorted({row.texts[0] for row in rows})
    if len(found) == 1 < len(rows):
        raise Problem(
            f"Cannot read {name}: all of its {len(rows)} rows have the label {found[0]!r:.60}. Add rows with others."
        )
    single = all(len(row.answers) == 1 for row in rows)
    return found if single and 2 <= len(found) <= min(MOST_LABELS, len(rows) // 2) else []
