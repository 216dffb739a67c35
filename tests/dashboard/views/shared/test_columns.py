"""Tables: what people named stands in columns of its own, whatever they called it."""

import ast

from tests.support.running import ROOT

PEOPLE_NAME = (".coordinates", ".metrics", ".domains")


def rows():
    """Every row of a table that has the page's own columns and others: its file, line, and the source of the others."""
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        for one in ast.walk(ast.parse(path.read_text())):
            if isinstance(one, ast.Dict) and any(isinstance(key, ast.Constant) for key in one.keys):
                for key, value in zip(one.keys, one.values, strict=True):
                    if key is None:
                        yield path, one.lineno, ast.unparse(value)


def test_a_name_does_not_stand_in_the_place_of_a_tables_own_column():
    """A metric called seconds took the place of the seconds, or lost its own: of two keys the last one wins."""
    found = list(rows())
    assert len(found) > 5
    for path, line, named in found:
        assert not any(one in named for one in PEOPLE_NAME), f"{path.name}:{line}: go by `beside` (short_names.py)"
