"""Names and counts as people read them: short ones, names told apart where they repeat, several in a sentence."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

Id = TypeVar("Id", bound=Hashable)

SEPARATOR = re.compile(r"[/._\- :]")


def short_names(names: list[str]) -> list[str]:
    """Names without what all of them begin and end with: train_pile_cc, train_arxiv -> pile_cc, arxiv.

    Only whole words go, for labels. Fewer than two names, and names that would become empty or alike, stay as they are.
    """
    if len(names) < 2:
        return list(names)
    pieces = [SEPARATOR.sub(lambda m: m.group() + "\0", name).split("\0") for name in names]  # separators end pieces
    fewest = min(map(len, pieces)) - 1
    front = next((i for i in range(fewest) if len({tuple(piece[: i + 1]) for piece in pieces}) > 1), fewest)
    heads = [name[len("".join(piece[:front])) :] for name, piece in zip(names, pieces, strict=True)]
    back = common_tail(heads)
    short = [head[: len(head) - back] for head in heads]
    return short if all(short) and len(set(short)) == len(names) else list(names)


def common_tail(names: list[str]) -> int:
    """Letters at the end that all names share, from a separator on."""
    first, length = min(names, key=len), 0
    for size in range(1, len(first)):
        if not all(name.endswith(first[-size:]) for name in names):
            break
        if SEPARATOR.match(first[-size]):
            length = size
    return length


def told_apart(titles: Mapping[Id, str]) -> dict[Id, str]:
    """Titles by id, each of them once: one that repeats is followed by its id. A select box knows options by label."""
    count, labels = Counter(titles.values()), dict[Id, str]()
    taken: set[str] = set()
    for one, title in titles.items():
        label = title if count[title] == 1 else f"{title} ({one})"
        while label in taken:
            label += f" ({one})"
        taken.add(label)
        labels[one] = label
    return labels


def beside(own: Collection[str], names: Sequence[str], what: str) -> list[str]:
    """Columns for what people named, beside a table's own columns: a name that one of these has is followed by what it
    is, else one would stand in the other's place. own: the table's; what: the names are of, such as "metric"."""
    titles = list[str]()
    for name in names:
        title = name
        while title in own or (title != name and title in names):
            title += f" ({what})"
        titles.append(title)
    return titles


def listed(names: Sequence[str], most: int = 12, *, between: str = ", ", count: int | None = None) -> str:
    """Names in a sentence, not all of them where there are many: "a, b and 3 more".

    between: what stands between two of them; count: how many there are, where `names` are only the first.
    """
    shown = names[:most]
    rest = (len(names) if count is None else count) - len(shown)
    return between.join(shown) + (f"{between.lstrip(',')}and {rest:,} more" if rest > 0 else "")


def counted(count: float, what: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count:,.10g} {what}{'' if count == 1 else 's'}"


def short_count(count: float) -> str:
    """A large count in three digits: 950, 12.5k, 1.5B, 2T."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size * 0.9995:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


def slug(name: str) -> str:
    """A name as part of an id or a file's name: lower case, digits and hyphens, 40 at most."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "study"


def digest(content: object) -> str:
    """64 hexadecimal digits that stand for a JSON-able value: equal ones have the same."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
