"""Results of harnesses as a table: the latest of each model, with intervals and items, and what they say of chance."""

import pytest

from dashboard.models.harness import cut, table


def score(metric: str, value: float, **more) -> dict:
    known = {"error": 0.1, "higher_is_better": True, "chance": 0.25, "items": 1200}
    return {"metric": metric, "value": value, **known, **more}


def result(model: str, *scores: dict, cut: int = 0) -> dict:
    return {"model": model, "scores": list(scores), "cut": cut, "context": 64}


def test_a_row_for_each_metric_and_the_latest_value_of_each_model():
    latest = result("checkpoints/a", score("arc acc", 0.5))
    other = result("checkpoints/b", score("arc acc", 0.25, error=None, items=None), score("read ppl", 2000, items=7))
    former = result("checkpoints/a", score("arc acc", 0.1), score("read ppl", -1.5, chance=None, error=0.0))
    arc, read = table([latest, other, former])
    assert (arc["metric"], arc["better"], arc["chance"]) == ("arc acc", "higher", "0.25")
    assert (arc["checkpoints/a"], arc["checkpoints/b"]) == ("0.500 ± 0.196 (n 1,200)", "0.250 (no error)")
    assert (read["checkpoints/a"], read["checkpoints/b"]) == ("−1.500 ± 0.000 (n 1,200)", "2,000 ± 0.196 (n 7)")
    assert read["chance"] == "–", "one of them does not tell it"


def test_directions_that_differ_or_are_unknown_are_not_made_up():
    rows = table([result("a", score("x", 1, higher_is_better=False)), result("b", score("x", 1))])
    assert (
        rows[0]["better"] == "–" and table([result("a", score("x", 1, higher_is_better=False))])[0]["better"] == "lower"
    )
    assert table([result("a", score("x", 1)), result("b", score("y", 1))])[0]["b"] == "–"


@pytest.mark.parametrize(("count", "words"), [(1, "a: 1 prompt lost the beginning to fit 64 tokens"), (0, None)])
def test_prompts_that_were_cut_are_told(count, words):
    assert cut([result("a", cut=count)]) == ([words] if words else [])
