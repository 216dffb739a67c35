"""Tasks and settings are contracts to their leaves: a bare dict has a reader, and a setting has one declaration."""

import typing
from dataclasses import fields

import pytest

from engine.core.errors import Problem
from engine.core.records import Record
from engine.corpus.spec import CorpusSpec
from engine.jobs.kinds import KINDS, kind_of
from engine.jobs.spec import JobSpec
from engine.space.simplex import space_from
from engine.spec.compute import Compute
from engine.spec.fidelity import Fidelity
from engine.spec.kinds.corpus import CorpusTask
from engine.spec.merge import MergeSpec
from engine.spec.objectives import Aggregate
from engine.spec.study import StudySpec

READERS = {  # a field of a task that is a bare dict -> what reads it, and refuses what it does not know
    "merge": MergeSpec.from_dict,
    "fidelity": Fidelity.from_dict,
    "space": space_from,
    "aggregate": Aggregate.from_dict,
    "source": lambda value: CorpusSpec(source=value),
    "tokenizer": lambda value: CorpusSpec(tokenizer=value),
}
UNREAD = {("merge_learn", "settings")}  # version 0.1 wrote it


def hints_within(hint: object) -> list[object]:
    """An annotation and all that it is made of."""
    return [hint, *(deeper for inner in typing.get_args(hint) for deeper in hints_within(inner))]


def bare_dicts(record: type) -> set[str]:
    """The names of the fields of a record, and of the records in it, that are dicts of anything."""
    found = set()
    for name, hint in typing.get_type_hints(record).items():
        for one in hints_within(hint):
            if typing.get_origin(one) is dict and typing.get_args(one)[1] in (typing.Any, object):
                found.add(name)
            elif isinstance(one, type) and issubclass(one, Record):
                found |= bare_dicts(one)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_dict_in_a_task_has_a_reader(kind):
    bare = {name for name in bare_dicts(kind_of(kind).task) if (kind, name) not in UNREAD}
    assert bare <= READERS.keys()


@pytest.mark.parametrize("name", READERS)
def test_a_reader_refuses_a_field_that_it_does_not_know(name):
    with pytest.raises(Problem):
        READERS[name]({"misspelt": 1})


def test_a_misspelt_setting_of_a_search_is_named():
    told = {"surrogate": "gp", "priorities": {}, "fingerprint": "f", "aggregate": {}, "seed": 0, "method": "simulate"}
    task = {"kind": "search", "study": "s", "file": "f", "space": {}, "prior": [], "baselines": {}, "available": None}
    with pytest.raises(Problem, match="'settings' of the task of a 'search' job: it has no field 'pionts'"):
        kind_of("search").task.of({**task, "budget": 0.0, "settings": {**told, "pionts": 9}})
    with pytest.raises(Problem, match="'points' is missing"):
        kind_of("search").task.of({**task, "budget": 0.0, "settings": told})


def test_a_setting_is_declared_once_and_taken_everywhere():
    """A task takes every setting of what it carries out; what [compute] says reaches a job's settings or its task."""
    assert {one.name for one in fields(CorpusTask)} == {"corpus", *(one.name for one in fields(CorpusSpec))}
    compute, settings = Compute(), {one.name for one in fields(JobSpec)}
    shared, own = set(compute.settings("s")), set(compute.own())
    assert shared <= settings
    assert {one.name for one in fields(Compute)} <= shared | own | {"group"}  # group: split before there are jobs
    for kind in ("train", "merge", "merge_search", "merge_learn"):
        assert own <= {one.name for one in fields(kind_of(kind).task)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runs", 16.5),
        ("repeats", 2.5),
        ("common_random_numbers", "no"),
        ("cap_design", 1),
        ("corpus", 3),
        ("temperature", True),
        ("max_ratio", float("inf")),
        ("strength", [1]),
        ("metrics", ["accuracy", 3]),
        ("merge", {"eval_bytes": 4096.5}),
        ("merge", {"of": 3}),
        ("merge", {"experts": {"a": 3}, "base": "b"}),
        ("merge", {"knobs": []}),
        ("merge", {"method": ["ties"]}),
    ],
)
def test_a_setting_of_another_kind_than_declared_is_named(name, value):
    inner = next(iter(value)) if isinstance(value, dict) else name
    with pytest.raises(Problem, match=rf"Cannot use .* as a (merge )?study's {inner}: it must be"):
        StudySpec.from_dict({"name": "A", name: value})


@pytest.mark.parametrize("name", ["after", "depends_on", "nonsense"])  # the first two are settings of jobs alone
def test_an_unknown_setting_of_compute_is_named_as_it_was_written(name):
    with pytest.raises(Problem, match=f"the setting '{name}' is unknown"):
        Compute.from_dict({name: 1})
    assert Compute.from_dict({"at_once": 3}).max_parallel == 3
