"""The script that measures a card (benchmarks/card.py), on shapes that a CPU can do."""

import pytest

from benchmarks import card


@pytest.mark.parametrize(
    "part", ["agreement", "stacking", "regmix", pytest.param("merge", marks=pytest.mark.soak), "in_context"]
)
def test_a_part_runs_on_a_cpu_as_it_would_on_a_card(monkeypatch, part):
    monkeypatch.setattr(card, "PARTS", {part: card.PARTS[part]})
    monkeypatch.setattr(card, "STEPS", 4)
    found = card.run(card.SMALL)[part]
    if reason := found.get("not run"):
        assert part in ("merge", "in_context") and "ModuleNotFoundError" in reason, reason
        return
    assert found["seconds"] > 0
    if part == "agreement":
        assert found["difference"] == found["after ten steps"] == 0, "a CPU against itself"
    assert part in card.page({part: found}, "a machine")


def test_what_the_time_does_not_allow_is_named(monkeypatch):
    monkeypatch.setattr(card, "SECONDS", -1)
    assert {one["not run"] for one in card.run(card.SMALL).values()} == {"the time was up"}


def test_a_part_that_the_card_refuses_is_named_and_the_others_go_on(monkeypatch):
    def refused(shapes):
        raise RuntimeError("CUDA error: out of memory\nmore")

    monkeypatch.setattr(card, "PARTS", {"first": refused, "second": lambda shapes: {"value": 1}})
    found = card.run(card.SMALL)
    assert found["first"] == {"not run": "RuntimeError: CUDA error: out of memory"} and found["second"]["value"] == 1
