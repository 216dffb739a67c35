"""Rehearsals: what they say of a loader is what the loader does, on documents of scattered lengths."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.recipes import FORMATS, Recipe
from engine.recipes.rehearsal import counted_out, rehearse
from tests.recipes.test_examples import by_passes, by_permutation
from tests.support.running import answer, copied, said

DOMAINS, SHARES, MEANS, CONTEXT = ("web", "code", "chat"), (0.6, 0.25, 0.15), (400.0, 1000.0, 80.0), 512
RULED = [name for name, one in FORMATS.items() if one.rule]


def scattered(rows=(600, 500, 2000)) -> dict[str, np.ndarray]:
    """Documents whose mean lengths are MEANS, some of them far longer than the context."""
    rng = np.random.default_rng(1)
    found = [rng.lognormal(0, 1, many).clip(0.05) for many in rows]
    lengths = [np.maximum(one / one.mean() * mean, 1).round() for one, mean in zip(found, MEANS, strict=True)]
    return dict(zip(DOMAINS, lengths, strict=True))


def recipe(**more) -> Recipe:
    given = {"target_tokens": 2e6, "available_tokens": (4e5, 1e7, 1e6), "tokens_per_document": MEANS, **more}
    return Recipe("pile", "best", DOMAINS, SHARES, **given)


def holds(found, tokens) -> None:
    """Within the interval, or within half a percent of it: some draws in twenty lie outside."""
    shares = np.array(tokens) / sum(tokens)
    for row, share in zip(found.rows, shares, strict=True):
        assert row["low"] - 0.005 <= share <= row["high"] + 0.005, (row, share)


def test_rows_are_drawn_as_datasets_draws_them():
    datasets, lengths = pytest.importorskip("datasets"), scattered()
    wanted = recipe()
    sets = [
        datasets.Dataset.from_dict({"set": [i] * len(one), "tokens": one}) for i, one in enumerate(lengths.values())
    ]
    mixed = datasets.interleave_datasets(
        sets, probabilities=wanted.document_shares, seed=3, stopping_strategy="all_exhausted"
    )
    found = rehearse(wanted, "hf_datasets", CONTEXT, lengths)
    rows = mixed.select(range(min(len(mixed), int(sum(row["drawn"] for row in found.rows)))))
    which, tokens = np.array(rows["set"]), np.minimum(rows["tokens"], CONTEXT)
    holds(found, [tokens[which == i].sum() for i in range(3)])
    assert found.rows[1]["realised"] < 0.2 and found.rows[1]["lost"] > 0.3, "long documents are cut"


@pytest.mark.parametrize(
    ("format", "rule", "seen"),
    [
        ("llama_factory", by_permutation, lambda one: np.minimum(one, CONTEXT)),
        ("ms_swift", by_passes, lambda one: one * (one <= CONTEXT)),
        ("automodel", by_passes, lambda one: one),
    ],
)
def test_examples_are_drawn_as_their_trainers_draw_them(format, rule, seen):
    lengths, wanted = scattered(), recipe(target_tokens=8e5)
    found = rehearse(wanted, format, CONTEXT, lengths)
    np.random.seed(4)
    tokens = [
        seen(one)[rule(len(one), count)].sum() for one, count in zip(lengths.values(), wanted.examples, strict=True)
    ]
    holds(found, tokens)
    assert found.tokens == pytest.approx(sum(tokens), rel=0.05)
    assert [row["drawn"] for row in found.rows] == wanted.examples


@pytest.mark.parametrize("total", [1, 7, 100, 4096])
def test_samples_are_counted_out_as_greedy_blending_ends(total):
    """Each step takes from the set that lies furthest behind its weight."""
    weights, counts = np.array([0.611, 0.25, 0.139]), np.zeros(3)
    for step in range(total):
        counts[np.argmax(weights * (step + 1) - counts)] += 1
    found = counted_out(weights, total)
    assert found.sum() == total and np.abs(found - counts).max() <= 1 and np.abs(found - weights * total).max() < 1


@pytest.mark.parametrize("format", RULED)
def test_every_loader_keeps_shares_of_equal_documents(format):
    """Of one length, which the context holds, none is cut, and shares of tokens come true; the plan has one hash."""
    same = dict.fromkeys(DOMAINS, np.full(50, 100.0))
    wanted = recipe(tokens_per_document=(100.0,) * 3)
    found, again = (rehearse(wanted, format, 1000, same) for _ in range(2))
    assert found == again and len(found.plan) == 16 and found.ends
    assert [row["realised"] for row in found.rows] == pytest.approx(SHARES, abs=0.001)
    assert all(row["low"] <= row["realised"] + 1e-9 and row["realised"] <= row["high"] + 1e-9 for row in found.rows)
    assert found.rows[0]["passes"] == pytest.approx(3, rel=0.01)
    assert found.rows[0]["repeats_after"] == pytest.approx(2e6 / 3, rel=0.01) and found.rows[1]["repeats_after"] is None
    assert {row["lost"] for row in found.rows} == {0.0} and json.dumps(found.to_dict(), allow_nan=False)
    assert rehearse(wanted, format, 999, same).plan != found.plan != rehearse(wanted, format, 1000).plan


def test_what_cannot_be_rehearsed_is_refused_and_what_is_not_known_is_said():
    for change, words in (
        ({"format": "csv"}, "no loader reads it"),
        ({"format": "odd"}, "the formats are"),
        ({"context": 0}, "the context"),
        ({"context": True}, "the context"),
        ({"lengths": {"web": np.array([1.0, np.nan])}}, "lengths of 'web'"),
        ({"lengths": {"web": np.array([])}}, "lengths of 'web'"),
        ({"lengths": {"odd": np.array([1.0])}}, "the domains are web"),
    ):
        with pytest.raises(Problem, match=words):
            rehearse(**{"recipe": recipe(), "format": "megatron", "context": CONTEXT, **change})
    with pytest.raises(Problem, match="see nothing: every document is longer than 50 tokens"):
        rehearse(recipe(), "axolotl", 50, dict.fromkeys(DOMAINS, np.array([80.0])))
    with pytest.raises(Problem, match="target budget"):
        rehearse(recipe(target_tokens=0.0), "megatron", CONTEXT)
    told = rehearse(recipe(), "hf_datasets", CONTEXT, {"web": np.array([400.0])})
    assert told.notes == ("Of code, chat only the mean length is known: how many are longer than the context is not.",)
    assert {told.rows[0]["low"], told.rows[2]["high"]} == {None}, "what is cut is by means alone"
    assert rehearse(recipe(target_tokens=8e5), "automodel", CONTEXT).rows[0]["low"] is not None, "nothing is cut there"
    unknown = rehearse(recipe(tokens_per_document=None, available_tokens=None), "megatron", CONTEXT)
    assert unknown.rows[0]["split"] is unknown.rows[0]["passes"] is None and unknown.notes


def test_a_study_is_rehearsed_from_the_command_line(finished, tmp_path):
    workspace = copied(finished, tmp_path / "workspace")
    asked = ("rehearse", "Small", "--format", "hf_datasets", "--tokens", "1e6", "--context", "64")
    found = answer(workspace, *asked)
    assert [row["domain"] for row in found["rows"]] == ["digits", "prose", "python"]
    assert sum(row["realised"] for row in found["rows"]) == pytest.approx(1)
    lengths = tmp_path / "lengths.json"
    lengths.write_text(json.dumps({"prose": [10, 500], "digits": [20], "python": [100, 200]}))
    given = answer(workspace, *asked, "--lengths", str(lengths))
    assert (
        given["notes"] == []
        and given["plan"] != found["plan"]
        and given["rows"][1]["lost"] == pytest.approx(1 - 37 / 255)
    )
    lengths.write_text("[]")
    assert "must be {domain:" in said(workspace, *asked, "--lengths", str(lengths))
