"""No refusal is longer than a few lines, whatever was sent: every command of the API and the line, and readers."""

import argparse
import json

import pytest

from engine.cli.command_line import main, parser
from engine.commands import COMMANDS
from engine.commands.contract import model_of
from engine.core.errors import Problem
from engine.core.safe_yaml import parsed
from engine.core.shown import MOST
from engine.merging.config import from_dict
from engine.metrics.evaluators import number
from engine.spec.study import StudySpec
from engine.tasks.files import from_bytes
from tests.importing.reading import reading
from tests.support.api import opened

LONG = "ab 'c" * 20_000
VALUES = (LONG, {LONG: LONG})


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("long") / "workspace") as client:
        yield client


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_of_the_api(api, name):
    fields = model_of(name).model_fields
    for value in VALUES if fields else ():
        for field in fields:
            usual = {other: LONG for other, one in fields.items() if one.is_required()}
            answer = api.post(f"/api/v1/{name}", content=json.dumps({**usual, field: value}))
            assert len(answer.json().get("error", "")) <= MOST, (name, field)
            assert answer.status_code != 500, (name, field, answer.text[:300])
    assert len(api.post(f"/api/v1/{name}", content=json.dumps({LONG: 1})).json()["error"]) <= MOST


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [one for one in parser()._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(found.choices)


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_of_the_line(tmp_path, name, capsys):
    one = commands()[name]
    words = []
    for action in one._actions:
        if action.option_strings and action.required:
            words += [action.option_strings[0], LONG]
        elif not action.option_strings:
            words += [LONG] * (action.nargs if isinstance(action.nargs, int) else 1)
    try:
        assert main(["--workspace", str(tmp_path / "workspace"), name, *words]) in (0, 1)
    except SystemExit as ended:
        assert ended.code in (0, 2)
    said = capsys.readouterr().err
    message = said[said.find("error: ") :] if "error: " in said else said  # behind how it is used
    assert "Traceback" not in said and len(message) <= MOST + 100, message[:300]


def file(path, content):
    path.write_text(content)
    return path


READERS = {
    "a table's columns": lambda path: reading(file(path, f'"{LONG}","{LONG}2"\n1,2\n3,4\n')),
    "a table's cells": lambda path: reading(file(path, f'w_web,w_code,loss\n"{LONG}",.5,2\n')),
    "a table's JSON": lambda path: reading(file(path, json.dumps([{LONG: LONG}, {LONG: 3}]))),
    "a study": lambda path: StudySpec.from_dict({"name": LONG, LONG: LONG}),
    "a study's name": lambda path: StudySpec.from_dict({"name": LONG}),
    "a merge": lambda path: from_dict({"merge_method": LONG, "models": LONG, LONG: 1}, path.parent),
    "YAML": lambda path: parsed(f"a: [{LONG}\n{LONG}"),
    "items": lambda path: from_bytes(json.dumps([{LONG: LONG}]).encode(), LONG),
    "an evaluator's number": lambda path: number(LONG, LONG, LONG),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader(tmp_path, reader):
    with pytest.raises((Problem, ValueError)) as refused:
        READERS[reader](tmp_path / "file.csv")
    assert len(str(refused.value)) <= MOST
