"""What people write of an external trainer's study, as lines: its domains with their text, and what is measured."""

import json
from typing import Any, NamedTuple

from engine.core.errors import Problem
from engine.core.shown import READS, Huge, number
from engine.spec.study import StudySpec

BETTER = {"lower": False, "higher": True}


class Text(NamedTuple):
    """Domains in order; available_tokens: of those whose count was given; prior: of those given as a share."""

    domains: tuple[str, ...]
    available_tokens: dict[str, float]
    prior: dict[str, float]


def domain_lines(spec: StudySpec) -> str:
    """A line for each domain of a study: its name, and what is known of its text."""
    known = {name: f"{count:.15g}" for name, count in spec.available_tokens.items()}
    known |= {name: f"{100 * share:.15g}%" for name, share in spec.prior.items()}
    return "\n".join(f"{name} = {known[name]}" if name in known else name for name in spec.domains)


def domains_in(text: str) -> Text:
    """The domains of lines such as `web = 8e12`, `web = 60%` or `web`, or of the counts that `count-tokens` writes.

    Raises Problem for a line that is none of these, and for a domain that is named twice.
    """
    if text.lstrip().startswith("{"):
        return Text(*_counts(text), {})
    names: list[str] = []
    found = Text((), {}, {})
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = (part.strip() for part in line.rpartition("=")) if "=" in line else (line, "", "")
        if not name or name in names:
            raise Problem(f"Cannot read the line {line!r}: " + ("it names no domain." if not name else "it is twice."))
        names.append(name)
        if sign:
            place = found.prior if value.endswith("%") else found.available_tokens
            place[name] = _number(value, line)
    return found._replace(domains=tuple(names))


def _counts(text: str) -> tuple[tuple[str, ...], dict[str, float]]:
    try:
        found = {name: _finite(count) for name, count in json.loads(text, **READS).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise Problem(f"Cannot read the counts: {error}. Give an object with a number for each domain.") from error
    return tuple(found), found


def _finite(value: Any) -> float:
    """A number. Raises Problem for one that is too large, ValueError or TypeError for what is none."""
    if isinstance(value, Huge):
        raise Problem(f"Cannot read the counts: one is {value}. Give a smaller number.")
    return float(value)


def _number(value: str, line: str) -> float:
    """Tokens, or a share where it is a percentage."""
    try:
        found = _finite(number(value.removesuffix("%").replace(",", "").replace("_", "")))
    except ValueError:
        raise Problem(
            f"Cannot read the line {line!r}: behind = stand the domain's tokens, such as 8e12, or its share of the "
            "natural mixture, such as 60%."
        ) from None
    return found / 100 if value.endswith("%") else found


def measure_lines(spec: StudySpec) -> str:
    """A line for each metric of a study that names its own."""
    rows = []
    for one in spec.measures:
        better = "higher" if one.get("higher_is_better", False) else "lower"
        rows.append(" | ".join([one["metric"], one.get("unit", ""), better, one.get("domain", "")]).rstrip(" |"))
    return "\n".join(rows)


def measures_in(text: str) -> tuple[dict[str, Any], ...]:
    """The metrics of lines such as `hellaswag | accuracy | higher`, with the domain whose loss it is as a fourth part.

    Raises Problem for a line that is none.
    """
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        parts = [part.strip() for part in line.split("|")]
        metric, unit, better, domain = (parts + [""] * 3)[:4]
        if len(parts) > 4 or better not in (*BETTER, "") or not metric:
            raise Problem(
                f"Cannot read the line {line!r}: give the metric, its unit, and lower or higher, whichever is better, "
                "such as hellaswag | accuracy | higher."
            )
        one: dict[str, Any] = {"metric": metric}
        one |= {"unit": unit} if unit else {}
        one |= {"higher_is_better": True} if BETTER.get(better) else {}
        found.append(one | ({"domain": domain} if domain else {}))
    return tuple(found)
