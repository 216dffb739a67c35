"""The settings of a study in words: each has a label, and no value is shown as code would write it."""

from dataclasses import fields

from dashboard.models.settings import LABELS, settings_told
from engine.spec.compute import Compute
from engine.spec.fidelity import Fidelity
from engine.spec.merge import MergeSpec
from engine.spec.study import StudySpec


def test_every_setting_has_a_label():
    names = {one.name for record in (StudySpec, Fidelity, Compute, MergeSpec) for one in fields(record)}
    assert names - {"name"} == LABELS.keys()


def test_values_are_words():
    merge = MergeSpec(by="layer", tuned={"density": (0.2, 0.8)}, method="ties")
    spec = StudySpec(name="S", fidelity=Fidelity(tokens=1_000_000), merge=merge, bounds={"web": (0.1, 0.5)})
    told = dict(settings_told(spec.to_dict()))
    assert told["proxy: tokens each"] == "1,000,000" and told["proxy: tied embeddings"] == "yes"
    assert told["merge: one coefficient per"] == "expert and layer" and told["merge: base"] == "–"
    assert told["merge: method"] == "TIES" and told["design"] == "Dirichlet (RegMix)"
    assert told["merge: parameters varied"] == "density 0.2, 0.8" and told["bounds of shares"] == "web 0.1, 0.5"
    assert not any(mark in "".join([*told, *told.values()]) for mark in ("_", "{", "[", "None", "True"))
