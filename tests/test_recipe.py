"""Recipes: every format comes back with its shares, odd names survive or are refused, nothing wrong gets
out.
"""

import json

import pytest

from engine.errors import Problem
from engine.recipe import FORMATS, Recipe, export


def recipe(domains=("web", "code", "junk"), shares=(0.7, 0.3, 0.0), **more):
    return Recipe("pile", "best", tuple(domains), tuple(shares), 1e9, (5e8,) * len(domains), **more)


@pytest.fixture(params=FORMATS)
def format(request):
    return request.param


def test_a_plain_mixture(format):
    files = export(recipe(), format)
    shares = FORMATS[format].read(files)
    assert shares["web"] == pytest.approx(0.7, abs=1e-9)
    text = "".join(files.values()).lower()
    assert "token" in text, "the unit is stated"
    assert "draft" in text
    assert "1.4" in text, "epochs: 0.7 x 1e9 / 5e8"
    assert "draft" not in "".join(export(recipe(approved=True), format).values()).lower()


def test_many_small_shares_come_back(format):
    shares = [1 / 3**i for i in range(1, 16)]
    shares.append(1 - sum(shares))
    names = [f"d{i}" for i in range(16)]
    found = FORMATS[format].read(export(recipe(names, shares), format))
    assert found == pytest.approx(dict(zip(names, shares, strict=True)), abs=1e-8)


ODD = ["a: b", 'say "x"', "l'été", "日本", "#hash", "yes", "null", "1.5", "-", "a,b", "😀", "{x}", "\\n"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_survive_or_are_refused(format, name):
    try:
        files = export(recipe((name, "web"), (0.25, 0.75)), format)
    except Problem as problem:
        assert format == "megatron", problem
        assert " " in name
    else:
        assert FORMATS[format].read(files) == {name: 0.25, "web": 0.75}


def test_megatron_drops_zeros():
    assert export(recipe(), "megatron")["data_args.txt"].split() == [
        "0.700000000",
        "web",
        "0.300000000",
        "code",
    ]


def test_json_holds_everything():
    rows = ({"metric": "web", "mean": 2.5, "std": 0.1},)
    whole = json.loads(export(recipe(predictions=rows, provenance={"seed": 3}), "json")["mixture.json"])
    assert (whole["predictions"], whole["provenance"], whole["state"]) == (list(rows), {"seed": 3}, "draft")


def test_a_file_that_comes_back_wrong_is_refused(monkeypatch):
    careless = FORMATS["csv"]._replace(write=lambda r: {"mixture.csv": "domain,share_of_tokens\nweb,0.6\ncode,0.4\n"})
    monkeypatch.setitem(FORMATS, "csv", careless)
    with pytest.raises(Problem, match=r"'web' 0\.7 as 0\.6"):
        export(recipe(), "csv")


@pytest.mark.parametrize(
    ("domains", "shares", "said"),
    [
        (("a", "b"), (0.7, 0.4), "sum to 1.1"),
        (("a", "b"), (1.2, -0.2), "at least 0"),
        (("a", "a"), (0.5, 0.5), "one name"),
        (("a\nb", "c"), (0.5, 0.5), "control characters"),
        (("", "c"), (0.5, 0.5), "empty"),
        (("a",), (0.5, 0.5), "one of each"),
    ],
)
def test_what_is_no_recipe(domains, shares, said):
    with pytest.raises(Problem, match=said):
        recipe(domains, shares)


def test_unknown_format():
    with pytest.raises(Problem, match="regmix_yaml"):
        export(recipe(), "excel")


def test_nan_in_predictions_is_refused():
    with pytest.raises(Problem, match="Remove that value"):
        export(recipe(predictions=({"mean": float("nan")},)), "json")
