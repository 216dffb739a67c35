"""YAML from strangers: libyaml reads as Python's own reader does, and nothing small takes long or ends the process."""

import time

import pytest
import yaml
from hypothesis import given, settings

from engine.core import safe_yaml
from engine.core.safe_yaml import NODES, names_in, parsed, written
from tests.support.mutations import CHANGES, FUZZ, damaged
from tests.system.test_settings_files import MERGE


def read_by(loader, text: str):
    """What a loader makes of a text; None where it refuses it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safe_yaml, "LOADER", loader)
        try:
            return repr(parsed(text))
        except ValueError:
            return None


@settings(FUZZ, max_examples=200)
@given(changes=CHANGES)
def test_both_readers_read_the_same(changes):
    """One of them may refuse what the other reads (tabs inside of names); no value is ever another."""
    text = damaged(MERGE.encode(), changes).decode("utf-8", "replace")
    quick, slow = (read_by(loader, text) for loader in (yaml.CSafeLoader, yaml.SafeLoader))
    assert quick == slow or None in (quick, slow)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000 + "a", "? " * 100_000 + "a"])
def test_what_is_nested_without_end_is_a_sentence(text):
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: [" + "1," * (NODES + 1) + "]",
        "a: &a [" + "1," * 1000 + "]\nb: [" + "*a," * 1000 + "]",
        "a: &a {" + ",".join(f"k{i}: 1" for i in range(1000)) + "}\nb:\n" + "- <<: *a\n" * 1000,
    ],
    ids=["written", "by aliases", "merged into tables"],
)
def test_very_many_values_are_refused_however_they_are_written(text):
    with pytest.raises(ValueError, match=f"over {NODES:,} values"):
        parsed(text)


@pytest.mark.slow
def test_a_name_that_is_there_twice_is_found_in_a_long_table():
    text = "\n".join(f"k{i}: 1" for i in range(60_000)) + "\nk59999: 2"
    before = time.process_time()
    with pytest.raises(ValueError, match="'k59999' twice"):
        parsed(text)
    assert time.process_time() - before < 30, "every name was compared with every other"


@pytest.mark.parametrize(
    "values", [{"é ☃ 😀": "a: b"}, {"#": "- x"}, {"yes": ["no", "1e3", "~", ""]}, {"b": 1, "a": 0.1}]
)
def test_what_is_written_is_read_back(values):
    assert parsed(written(values)) == values and list(parsed(written(values))) == list(values)


def test_names_are_read_whatever_stands_behind_them():
    assert names_in("task: a\nprocess: !function other.run\nlist: [1, {x: 2}]") == ["task", "process", "list"]
    for odd, why in (("- task", "not a table"), ("", "not a table"), ("a: [", "line 2"), ("a: 1\na: 2", "'a' twice")):
        with pytest.raises(ValueError, match=why):
            names_in(odd)
