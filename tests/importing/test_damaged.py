"""Damaged tables: whatever the bytes are, they are read, or refused in a sentence."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from engine.core.errors import Problem
from engine.importing import read, read_runs, read_table
from engine.importing.harness import is_results, read_results
from engine.importing.harness_files import combined
from tests.importing import made
from tests.importing.reading import written
from tests.importing.results import RUNS, mixtures, newest
from tests.support.mutations import CHANGES, FUZZ, damaged, json_values


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, bytes]:
    """The bytes of one table in several formats."""
    folder = tmp_path_factory.mktemp("tables")
    parquet.write_table(pa.table(made.PLAIN), folder / "x.parquet")
    nested = {"config": [json.dumps({"mix": one}) for one in made.mixtures()], "loss": made.LOSS.tolist()}
    return {
        "x.csv": made.text(made.PLAIN).encode(),
        "semicolons.csv": made.text(made.PLAIN, ";", comma=True).encode("utf-16"),
        "wandb.csv": made.text(made.WANDB).encode(),
        "optuna.csv": made.text(made.OPTUNA).encode(),
        "long.csv": made.text(made.LONG).encode(),
        "nested.csv": made.text(nested).encode(),
        "x.jsonl": "\n".join(map(json.dumps, made.mixtures())).encode(),
        "x.json": json.dumps(made.mixtures()).encode(),
        "x.parquet": (folder / "x.parquet").read_bytes(),
    }


def takes(folder, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    try:
        reading = read("flat", read_table(folder / name))
        read_runs(reading)
    except Problem as problem:
        assert len(str(problem)) > 20


NAMES = [
    "x.csv",
    "semicolons.csv",
    "wandb.csv",
    "optuna.csv",
    "long.csv",
    "nested.csv",
    "x.jsonl",
    "x.json",
    "x.parquet",
]


@settings(FUZZ, max_examples=60)
@given(name=st.sampled_from(NAMES), changes=CHANGES)
def test_any_table_is_read_or_a_sentence(tables, tmp_path_factory, name, changes):
    takes(tmp_path_factory.mktemp("any"), name, damaged(tables[name], changes))


@pytest.mark.soak
@settings(FUZZ, max_examples=8000)
@given(name=st.sampled_from(NAMES), changes=CHANGES)
def test_any_table_is_read_or_a_sentence_long(tables, tmp_path_factory, name, changes):
    takes(tmp_path_factory.mktemp("any"), name, damaged(tables[name], changes))


# Results of harnesses ------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["arc_easy", "acc,none", "acc_stderr,none", "all", "mmlu", "run-1", "org/run-2", "N/A"])


@st.composite
def results(draw) -> dict:
    """A results file, of which some parts are anything."""
    value = newest(draw(st.floats(0, 1)), draw(WORDS), date=draw(st.none() | st.floats(0, 9)))
    for _ in range(draw(st.integers(0, 3))):
        part = value
        while isinstance(part, dict) and part:
            key = draw(st.sampled_from([*sorted(part), "run", "names"]))
            if draw(st.booleans()) or not isinstance(part.get(key), dict):
                part[key] = draw(json_values(WORDS))
                break
            part = part[key]
    return value


def takes_results(folder, files: list[dict], names: list[str]) -> None:
    """A folder's results beside mixtures, and each as results that are sent with a run."""
    named = [(f"results/{name}.json", json.dumps(value).encode()) for name, value in zip(names, files, strict=False)]
    try:
        text, _ = combined(named, "results")
        table = read_table(written(folder / "m.jsonl", text))
        read_runs(read("pair", read_table(mixtures(folder / "w.csv")), table))
    except Problem as problem:
        assert len(str(problem)) > 20
    for value in filter(is_results, files):
        try:
            read_results(value, "them")
        except Problem as problem:
            assert len(str(problem)) > 20


PATHS = st.lists(
    st.sampled_from([*RUNS, "run-0/step5", "run-0/step7", "run-1/results_2026-13-45T10-00-00", "other"]),
    min_size=4,
    max_size=4,
)


@settings(FUZZ, max_examples=60)
@given(files=st.lists(results(), min_size=1, max_size=4), names=PATHS)
def test_any_results_are_read_or_a_sentence(tmp_path_factory, files, names):
    takes_results(tmp_path_factory.mktemp("any"), files, names)


@pytest.mark.soak
@settings(FUZZ, max_examples=2000)
@given(files=st.lists(results(), min_size=1, max_size=4), names=PATHS)
def test_any_results_are_read_or_a_sentence_long(tmp_path_factory, files, names):
    takes_results(tmp_path_factory.mktemp("any"), files, names)


@pytest.mark.parametrize("cell", ["{{'a': 1}}", "{[1]: 2}", "[{{}}]", "{" * 300, "{'a': {'b': {{}}}}"])
def test_text_that_looks_like_python_is_text(tmp_path, cell):
    rows = "".join(f'"{cell}",{i / 10},{1 - i / 10},{2 + i / 7}\n' for i in range(1, 9))
    (tmp_path / "x.csv").write_text("config,w_web,w_code,loss\n" + rows)
    assert len(read_runs(read("flat", read_table(tmp_path / "x.csv"))).weights) == 8
