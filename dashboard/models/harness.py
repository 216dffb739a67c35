"""What harnesses measured, as a table: a row for each metric of a task, a column for each model."""

from collections.abc import Sequence
from typing import Any

from dashboard.models.units import digits, number
from engine.core.short_names import counted
from engine.spec.statistics import ci_half_width

UNKNOWN = "–"


def table(results: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows of what was measured, latest first (store.results.harness): {"metric", "better", "chance", model: "value ±
    half its 95% interval (n items)"}. Of several measurements of one metric on one model the latest counts."""
    models = list(dict.fromkeys(one["model"] for one in results))
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for one in results:
        for score in one["scores"]:
            cells.setdefault(score["metric"], {}).setdefault(one["model"], score)
    return [
        {
            "metric": metric,
            "better": said_by_all(own, "higher_is_better", {True: "higher", False: "lower"}.__getitem__),
            "chance": said_by_all(own, "chance", lambda value: digits(value, ".3g")),
            **{model: cell(own[model]) if model in own else UNKNOWN for model in models},
        }
        for metric, own in sorted(cells.items())
    ]


def said_by_all(scores: dict[str, dict[str, Any]], key: str, words) -> str:
    """What all models' results say, in words; a dash where they say nothing, or differ."""
    values = {one[key] for one in scores.values()}
    value = values.pop() if len(values) == 1 else None
    return UNKNOWN if value is None else words(value)


def cell(score: dict[str, Any]) -> str:
    """A value with its interval and the number of items, as far as they are known."""
    error, items = score["error"], score["items"]
    beside = [f"n {items:,}"] if items is not None else []
    beside += ["no error"] if error is None else []
    half = "" if error is None else f" ± {number(float(ci_half_width(error)))}"
    return number(score["value"]) + half + (f" ({', '.join(beside)})" if beside else "")


def cut(results: Sequence[dict[str, Any]]) -> list[str]:
    """Models that did not see the beginning of some prompts, in words."""
    return [
        f"{one['model']}: {counted(one['cut'], 'prompt')} lost the beginning to fit {one['context']:,} tokens"
        for one in results
        if one["cut"]
    ]
