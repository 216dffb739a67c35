"""Recipes of phases: formats that know them hold each phase's shares and where it begins; others say what is lost."""

import json

import pytest
import yaml

from engine.core.errors import Problem
from engine.recipes import FORMATS, Recipe, export, standing

PHASED = ("nanotron", "levanter", "olmo_core", "llm_foundry", "json")
EARLY, LATE, TOTAL = (0.75, 0.25, 0.0), (0.25, 0.5, 0.25), (0.65, 0.3, 0.05)


def recipe(**more) -> Recipe:
    phased = {"phases": (EARLY, LATE), "fractions": (0.8, 0.2), "approved": True, "tokens_per_document": (9.0,) * 3}
    return Recipe("pile", "best", ("web", "code", "junk"), TOTAL, 1e11, (5e10,) * 3, **(phased | more))


@pytest.mark.parametrize("format", PHASED)
def test_every_phase_comes_back(format):
    files = export(recipe(), format)
    stages = FORMATS[format].stages(files)
    for stage, shares in zip(stages, (EARLY, LATE), strict=True):
        wanted = dict(zip(("web", "code", "junk"), shares, strict=True))
        assert {name: stage.get(name, 0.0) for name in wanted} == pytest.approx(wanted)
    assert not any("order is lost" in note for note in standing(recipe())[format]["notes"])


@pytest.mark.parametrize("format", sorted(set(FORMATS) - set(PHASED)))
def test_what_knows_no_phases_holds_the_totals_and_says_so(format):
    files = export(recipe(), format)
    found = FORMATS[format].read(files)
    assert found["web"] / sum(found.values()) == pytest.approx(0.65)
    assert any("the order is lost" in note for note in standing(recipe())[format]["notes"])


def test_phases_begin_where_their_loaders_count():
    stages = yaml.safe_load(export(recipe(), "nanotron")["data_stages.yaml"])["data_stages"]
    assert [stage["start_training_step"] for stage in stages] == [1, 76295], "steps of 2^20 tokens, from 1 on"
    weights = yaml.safe_load(export(recipe(), "levanter")["levanter.yaml"])["data"]
    assert [step for step, _ in weights["train_weights"]] == [0, 76296] and weights["mixture_block_size"] == 2048
    made = yaml.safe_load(export(recipe(), "llm_foundry")["train_loader.yaml"])
    schedule = made["callbacks"]["curriculum_learning"]
    assert (schedule["duration"], schedule["schedule"][0]["duration"]) == ("80000000000tok", "20000000000tok")
    assert sorted(export(recipe(), "olmo_core"))[1:] == ["sources_phase_1.yaml", "sources_phase_2.yaml"]
    assert "order" in " ".join(standing(recipe())["megatron"]["notes"])
    assert json.loads(export(recipe(), "json")["mixture.json"])["phases"][1]["fraction"] == 0.2


def test_headers_name_the_phases():
    text = export(recipe(), "regmix_yaml")
    whole = "".join(content for content in text.values() if isinstance(content, str))
    assert "phase 2, 20% of the tokens: web 0.250000, code 0.500000, junk 0.250000" in whole


def test_phases_without_a_budget_or_a_step_are_refused():
    for tokens, words in ((0.0, "need a target budget"), (1e5, "one has none")):
        with pytest.raises(Problem, match=words):
            export(Recipe(**{**vars(recipe()), "target_tokens": tokens}), "nanotron")
    with pytest.raises(Problem, match="do not make the total shares"):
        recipe(fractions=(0.5, 0.5))
