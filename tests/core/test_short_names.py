"""Labels: every title once, so that a select box cannot take one thing for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.short_names import beside, listed, told_apart


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(["a", "b", "a (x)", "a (b)", "", "b (a)"]), max_size=8))
@pytest.mark.slow
def test_every_label_is_there_once_and_begins_with_its_title(titles):
    labels = told_apart(titles)
    assert list(labels) == list(titles) and len(set(labels.values())) == len(titles)
    assert all(labels[one].startswith(title) for one, title in titles.items())


def test_a_title_that_is_there_once_stays_as_it_is():
    assert told_apart({1: "web", 2: "code", 3: "web"}) == {1: "web (1)", 2: "code", 3: "web (3)"}


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        (["a"], {}, "a"),
        (["a", "b", "c"], {"most": 3}, "a, b, c"),
        (["a", "b", "c"], {"most": 2}, "a, b and 1 more"),
        (["a: x", "b: y", "c: z"], {"most": 2, "between": "; "}, "a: x; b: y; and 1 more"),
        (["a", "b"], {"count": 1002}, "a, b and 1,000 more"),
        ([], {"count": 0}, ""),
    ],
)
def test_what_is_left_out_of_a_list_is_counted(names, options, told):
    assert listed(names, **options) == told


@pytest.mark.parametrize(
    ("own", "names", "titles"),
    [
        (("merge", "seconds"), ["code", "maths"], ["code", "maths"]),
        (("merge", "seconds"), ["seconds", "maths"], ["seconds (metric)", "maths"]),
        (("seconds",), ["seconds", "seconds (metric)"], ["seconds (metric) (metric)", "seconds (metric)"]),
        (("seconds", "seconds (metric)"), ["seconds"], ["seconds (metric) (metric)"]),
    ],
)
def test_no_column_stands_in_the_place_of_another(own, names, titles):
    assert beside(own, names, "metric") == titles
    assert len({*own, *titles}) == len(own) + len(titles)
