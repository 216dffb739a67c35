"""Pages of a review draw predictions as Explore does: the mean first, what is not counted apart."""

import pytest

from dashboard.components import meters
from store import reviews
from tests.support.reviewing import put

pytestmark = pytest.mark.slow
POINTS = {"One": (0.1, 0.2, 0.7), "Two": (0.1, 0.7, 0.2)}


def test_every_page_of_a_review_has_explores_meters(pages, monkeypatch):
    store, study, opened = pages
    ids = [put(store, study, name, point) for name, point in POINTS.items()]
    drawn: list[dict] = []
    monkeypatch.setattr(meters, "component", lambda name: lambda key, data: drawn.append(data))
    queries = {
        ("candidates", "candidate"): ids[0],
        ("candidates", "vote"): ",".join(ids),
        ("candidates", "compare"): ",".join(ids),
        ("review", "candidate"): ids[1],
    }
    for (path, name), value in queries.items():
        drawn.clear()
        found = opened(path, **{name: value})
        assert not found.exception and not found.error, (path, name)
        assert len(drawn) == (1 if name == "candidate" else 2), (path, name)
        for one in drawn:
            rows = one["rows"]
            assert rows[0]["total"] and rows[0]["name"] == "mean loss" and "±" in rows[0]["value"]
            assert [row["name"] for row in rows if not row["counted"]] == ["digits"]
            assert "Difference to natural with its 95% interval, bits per byte" in one["caption"]
            assert len(one["beside"]) == (0 if name == "candidate" else len(rows))


def test_cards_and_the_comparison_tell_intervals_and_runs(pages):
    store, study, opened = pages
    ids = [put(store, study, f"{name} again", point) for name, point in POINTS.items()]
    shown = opened("candidates")
    against = [one.value for one in shown.caption if "natural" in one.value]
    assert against and all("±" in text for text in against)
    runs = reviews.get(store, ids[0]).frozen["surrogate"]["runs"]
    assert any(f"from {runs} runs" in one.value for one in shown.markdown)
    table = opened("candidates", compare=",".join(ids)).dataframe[0].value
    told = table.loc["mean loss [bits per byte]"]
    assert told.str.count("±").eq(2).all() and table.loc["predicted from"].eq(f"{runs} runs").all()
