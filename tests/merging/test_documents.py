"""Files with several merges, as mergekit-multi runs them: later ones use earlier ones by name."""

import json

import pytest
import torch

from engine.__main__ import main
from tests.support.checkpoints import family, tensors_of

FIRST = "name: first\nmerge_method: linear\nmodels: [{model: one}, {model: two}]\nparameters: {weight: 0.5}\n"
SECOND = "name: second\nmerge_method: slerp\nbase_model: first\nmodels: [{model: one}]\nparameters: {t: 0.5}\n"
LAST = """
merge_method: task_arithmetic
base_model: base
models: [{model: {model: {path: second}}, parameters: {weight: 0.5}}, {model: two, parameters: {weight: 0.5}}]
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return family(tmp_path_factory.mktemp("zoo"))


def run(zoo, out, *documents, check=False):
    file = zoo / "several.yml"
    file.write_text("\n---\n".join(documents))
    return main(["merge", str(file), str(out), *(["--check"] if check else [])])


def test_later_merges_use_earlier_ones_whatever_their_order(capsys, zoo, tmp_path):
    assert run(zoo, tmp_path / "out", LAST, SECOND, FIRST) == 0
    told = json.loads(capsys.readouterr().out)["merges"]
    assert [one["name"] for one in told] == ["first", "second", None] and told[-1]["out"] == str(tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    base, one, two, found = (
        tensors_of(folder) for folder in (zoo / "base", zoo / "one", zoo / "two", tmp_path / "out")
    )
    for name, value in base.items():
        first = (one[name] + two[name]) / 2
        near = (first + one[name]) / 2  # close to what is on the sphere between two that are near
        torch.testing.assert_close(
            found[name], value + 0.5 * (near - value) + 0.5 * (two[name] - value), atol=0.05, rtol=0
        )


def test_merges_that_all_have_names_become_a_folder_each(capsys, zoo, tmp_path):
    assert run(zoo, tmp_path / "all", FIRST, SECOND) == 0
    told = json.loads(capsys.readouterr().out)["merges"]
    assert sorted(one.name for one in (tmp_path / "all").iterdir()) == ["first", "second"]
    assert "# second" in (tmp_path / "all" / "second" / "README.md").read_text()
    assert tensors_of(tmp_path / "all" / "first") and told[0]["out"] == str(tmp_path / "all" / "first")


def test_a_check_looks_at_what_is_there(capsys, zoo, tmp_path):
    assert run(zoo, tmp_path / "out", FIRST, SECOND, LAST, check=True) == 0
    first, second, last = json.loads(capsys.readouterr().out)["merges"]
    assert first["tensors"] == len(tensors_of(zoo / "base")) and "once first is made" in second["warnings"][0]
    assert last["tensors"] == 0 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ((FIRST, FIRST), "2 merges have the name 'first'"),
        ((LAST, LAST), "2 merges have no name"),
        ((FIRST.replace("model: one", "model: second"), SECOND), "use each other in a circle"),
        ((FIRST.replace("name: first", "name: ../first"), LAST.replace("second", "one")), "becomes a folder's"),
        ((FIRST, "just words"), "not a table of settings"),
        ((FIRST, LAST), "second"),
        ((FIRST, SECOND.replace("slerp", "slurp"), LAST), "'slurp'"),
    ],
)
def test_several_merges_that_cannot_be_made(capsys, zoo, tmp_path, documents, said):
    assert run(zoo, tmp_path / "out", *documents) == 1
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())
