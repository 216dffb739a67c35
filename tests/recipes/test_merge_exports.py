"""Exported merges, run by the tools that they are for: mergekit comes to the tensors that Mixdesk's own merge has."""

import pytest
import torch
import yaml

from engine.__main__ import main
from engine.recipes import MERGE_FORMATS, MergeRecipe, export
from engine.recipes.base import BY_RULE
from engine.spec.merge import MergeSpec
from tests.support.checkpoints import family, tensors_of

SPECS = {
    "task_arithmetic": MergeSpec(),
    "ties": MergeSpec(method="ties", knobs={"density": 0.4}),
    "by layer": MergeSpec(by="layer"),
}


@pytest.mark.parametrize("spec", SPECS)
def test_mergekit_merges_what_was_exported(spec, tmp_path):
    pytest.importorskip("mergekit", reason="mergekit is not installed: it comes with requirements-dev.txt")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    chosen, zoo = SPECS[spec], tmp_path / "zoo"
    zoo.mkdir()
    family(zoo)
    rows = [f" @ layer {i}" for i in range(3)] + [" @ rest"] if chosen.by == "layer" else [""]
    names = [f"{expert}{row}" for expert in ("one", "two") for row in rows]
    point = [round(0.1 + 0.07 * i, 2) for i in range(len(names))]
    files = tuple(str(zoo / name) for name in ("base", "one", "two"))
    tensors = tuple(tensors_of(zoo / "base"))
    recipe = MergeRecipe("S", spec, chosen, ("one", "two"), tuple(names), tuple(point), files, tensors, approved=True)
    (tmp_path / "merge.yaml").write_text(export(recipe, "merge")["merge.yaml"])
    assert main(["merge", str(tmp_path / "merge.yaml"), str(tmp_path / "ours")]) == 0
    text = yaml.safe_load(export(recipe, "mergekit")["mergekit.yaml"])
    options = MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False)
    run_merge(MergeConfiguration.model_validate(text), str(tmp_path / "theirs"), options)
    ours, theirs = tensors_of(tmp_path / "ours"), tensors_of(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_merge_formats_say_how_they_are_checked():
    assert {name for name, one in MERGE_FORMATS.items() if one.checked != BY_RULE} == {"mergekit", "merge"}
