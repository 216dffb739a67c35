"""YAML files of others: what a plain reader drops silently, or never finishes reading, is refused. No torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from engine.core.shown import Huge, is_huge

DEPTH = 50  # lists and tables inside each other; a merge file has six
LONGEST = 3500  # characters of one plain value; a longer number could not even be told
TEXT = 200_000  # of one in quotes or a block: a chat template
LARGEST = 4 << 20  # characters of the text
NODES = 500_000  # with aliases written out; coefficients of 400 tensors of 64 experts are 130,000
# libyaml's are ten times faster, and read or refuse alike; Python's own stand in where it was not built in.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Reader: Any = type("Reader", (LOADER,), {})  # of which a number that is too large keeps its text


def _number(loader: Any, node: Any) -> float:
    found: float = LOADER.construct_yaml_float(loader, node)
    return Huge(node.value) if is_huge(node.value, found) else found


Reader.add_constructor("tag:yaml.org,2002:float", _number)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def parsed(text: str) -> Any:
    """What a YAML text holds. Raises ValueError for what is no YAML, or very long, a key that stands twice in one
    table, and aliases or nesting without end."""
    with refusing():
        loader, node = composed(text)
        return None if node is None else loader.construct_document(node)


def documents(text: str) -> list[Any]:
    """What each document of a YAML text holds, without empty ones unless that is all. Raises ValueError as `parsed`."""
    with refusing():
        check_size(text)
        loader, found = Reader(text), []
        while loader.check_node():
            node = loader.get_node()
            weighed(node, {}, 0)
            found.append(loader.construct_document(node))
    return [one for one in found if one is not None] or [None]


def names_in(text: str) -> list[str]:
    """The names in the table that a YAML text is, whatever tags stand behind them: nothing is made of those. Raises
    ValueError as `parsed` does, and where it is not a table."""
    with refusing():
        _, node = composed(text)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("it is not a table of names and values")
    return [str(key.value) for key, _ in node.value]


def composed(text: str) -> tuple[Any, yaml.Node | None]:
    """The reader of a YAML text, and its nodes, none of which is made into a value yet."""
    check_size(text)
    loader = Reader(text)
    node: yaml.Node | None = loader.get_single_node()
    if node is not None:
        weighed(node, {}, 0)
    return loader, node


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever a YAML reader raises, as ValueError."""
    try:
        yield
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # the latter for odd tags, as !!bool x
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def written(values: object) -> str:
    """Values as YAML, tables in their own order, a line for each item."""
    return yaml.dump(values, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=1000)


def check_size(text: str) -> None:
    """Raise ValueError for what is very long, nesting without end and very many values, before anything is built of
    them: libyaml builds what is nested by calls inside calls, which end the process where they are too deep."""
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text):,} characters, and at most {LARGEST:,} are read")
    depth, nodes = 0, 0
    for event in yaml.parse(text, LOADER):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise ValueError("it is nested too deeply")
        if nodes > NODES:
            raise ValueError(f"it has over {NODES:,} values")


def weighed(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many nodes stand in a node, with aliases written out. known: of nodes seen; 0 while one is being weighed."""
    line = f"line {node.start_mark.line + 1}"
    if known.get(id(node)) == 0:
        raise ValueError(f"{line}: an alias stands inside of what it stands for")
    if depth > DEPTH:
        raise ValueError(f"{line}: it is nested too deeply")
    most = LONGEST if isinstance(node, yaml.ScalarNode) and node.style is None else TEXT
    if isinstance(node, yaml.ScalarNode) and len(node.value) > most:
        raise ValueError(f"{line}: a value has {len(node.value):,} characters, and at most {most:,} are allowed")
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 0
    inside = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        seen: set[tuple[str, str]] = set()
        for key, _ in inside:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise ValueError(f"{line}: the table that begins there names {key.value!r:.80} twice")
                seen.add((key.tag, key.value))
        inside = [one for pair in inside for one in pair]
    known[id(node)] = size = 1 + sum(weighed(one, known, depth + 1) for one in inside)
    if size > NODES:
        raise ValueError(f"{line}: with its aliases written out it has over {NODES:,} values")
    return size
