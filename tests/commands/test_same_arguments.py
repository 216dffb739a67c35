"""What can be asked over HTTP can be asked from the command line, with the same arguments."""

import ast
import inspect

import pytest

from engine.commands import COMMANDS
from tests.support.running import ROOT

# Command -> why the command line has none.
WITHOUT = {
    "desk": "its numbers are what `python -m dashboard.report.desk` writes into a file",
}


def is_call_of(node: ast.AST, attribute: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == attribute


def said_in(function: ast.FunctionDef) -> set[str]:
    """Names of arguments that a function may pass on: keywords of its calls, and texts from which it makes some."""
    keywords = {
        one.arg for node in ast.walk(function) if isinstance(node, ast.Call) for one in node.keywords if one.arg
    }
    texts = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
    return keywords | {text for text in texts if isinstance(text, str)}


def asked_by_the_command_line() -> dict[str, set[str]]:
    """Command -> the arguments that some function of the command line gives it."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "engine" / "cli").glob("*.py"):
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        said = {function.name: said_in(function) for function in functions}
        for function in functions:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            # what is asked at a size, `predict` gives to the functions that it calls
            own = said[function.name] | (said["predict"] if function.name == "of_all_sizes" else set())
            for call in calls:
                name = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
                if is_call_of(call, "call") and isinstance(name, str):
                    found.setdefault(name, set()).update(own)
                elif isinstance(call.func, ast.Name) and call.func.id == "plain":
                    found.setdefault(name, set()).add("name")
            if function.name == "add" and path.stem == "jobs":  # a table of commands about one job
                for name in said["add"] & set(COMMANDS):
                    found.setdefault(name, set()).add("job_id")
    return found


ASKED = asked_by_the_command_line()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_takes_what_http_takes(name):
    if name in WITHOUT:
        assert name not in ASKED, "the exception is none any more"
        return
    given = list(inspect.signature(COMMANDS[name]).parameters.values())[1:]
    wanted = {one.name for one in given if one.kind != one.VAR_KEYWORD}
    assert wanted - ASKED.get(name, set()) == set()


def test_exceptions_are_of_commands_that_exist():
    assert set(WITHOUT) <= set(COMMANDS)
