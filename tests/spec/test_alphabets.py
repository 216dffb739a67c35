"""Whether domains are of different scripts or alphabets."""

import pytest

from engine.spec.alphabets import differing, in_words, is_known

LATIN, RUSSIAN, DNA = {"Latin": 1.0}, {"Cyrillic": 0.9, "Latin": 0.1}, {"DNA": 0.98, "Latin": 0.02}


def facts(**parts) -> dict:
    return {name: {"alphabets": own} for name, own in parts.items()}


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"web": LATIN, "news": RUSSIAN}, {"Latin": ["web"], "Cyrillic": ["news"]}),
        ({"web": LATIN, "genes": DNA, "code": LATIN}, {"Latin": ["web", "code"], "DNA": ["genes"]}),
        ({"web": LATIN, "code": {"Latin": 0.8, "Han": 0.2}}, {}),  # code with comments
        ({"web": LATIN, "sums": {}}, {}),  # digits are written in every script
        ({"genes": DNA, "more": DNA}, {}),
        ({"a": {"Latin": 0.55, "Han": 0.45}, "b": {"Latin": 0.45, "Han": 0.55}}, {}),
        ({}, {}),
    ],
)
def test_domains_that_share_fewer_than_half_of_their_letters_differ(parts, found):
    assert differing(list(parts), facts(**parts)) == found


def test_only_the_domains_that_are_asked_about_are_compared():
    known = facts(web=LATIN, genes=DNA, code=LATIN)
    assert differing(["web", "code"], known) == {} and differing(["web", "genes"], known)


def test_what_nobody_counted_is_not_known():
    assert is_known(["web"], facts(web=LATIN)) and is_known(["sums"], facts(sums={}))
    for missing in ({}, {"web": {}}, {"web": {"alphabets": None}}, {"web": None}):
        assert not is_known(["web"], missing) and differing(["web", "other"], missing) == {}


def test_alphabets_are_told_with_their_domains():
    assert in_words({"Latin": ["a", "b", "c", "d", "e", "f"], "DNA": ["g"]}) == "Latin: a, b, c, d and 2 more; DNA: g"
