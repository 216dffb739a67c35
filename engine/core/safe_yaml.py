"""Merge files as YAML: what a plain reader drops silently, or never finishes reading, is refused. No torch."""

import yaml

DEPTH = 50  # lists and tables inside each other; a merge file has six
LONGEST = 3500  # characters of one value; a longer number could not even be told
NODES = 4_000_000  # with aliases written out; coefficients of every tensor of 64 experts are fewer


def parsed(text: str) -> object:
    """What a YAML text holds. Raises ValueError for what is no YAML, a key that stands twice in one table, and aliases
    or nesting without end."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        weighed(node, {}, 0)
        return loader.construct_document(node)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # the latter for odd tags, as !!bool x
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def weighed(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many nodes stand in a node, with aliases written out. known: of nodes seen; 0 while one is being weighed."""
    line = f"line {node.start_mark.line + 1}"
    if known.get(id(node)) == 0:
        raise ValueError(f"{line}: an alias stands inside of what it stands for")
    if depth > DEPTH:
        raise ValueError(f"{line}: it is nested too deeply")
    if isinstance(node, yaml.ScalarNode) and len(node.value) > LONGEST:
        raise ValueError(f"{line}: a value has {len(node.value):,} characters, and at most {LONGEST:,} are allowed")
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 0
    inside = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        keys = [(key.tag, key.value) for key, _ in inside if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"{line}: the table that begins there names {twice[1]!r} twice")
        inside = [one for pair in inside for one in pair]
    known[id(node)] = size = 1 + sum(weighed(one, known, depth + 1) for one in inside)
    if size > NODES:
        raise ValueError(f"{line}: with its aliases written out it has over {NODES:,} values")
    return size
