"""Groups of a new study that would be read otherwise than they were meant: refused by name."""

import pytest

from engine.core.errors import Problem
from engine.spec.frame import new_frame
from engine.spec.groups import lasting
from engine.spec.study import StudySpec

NAMES = ["web/maths", "web/code", "books/maths", "books/code", "news"]
WEB = {"name": "web", "domains": ["web/*"]}
TIED = WEB | {"ratios": {"web/maths": 1, "web/code": 3}}


def frame(groups, bounds=None, unseen=()):
    spec = StudySpec.from_dict({"name": "x", "corpus": None, "runs": 12, "groups": groups, "bounds": bounds or {}})
    imported = {"prior": [0.2] * 5, "prior_name": "mean of the runs", "unseen": list(unseen)}
    return new_frame(spec, NAMES, None, imported)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            [WEB | {"ratios": {"web/math": 2, "web/code": 1}}],
            "'web': there is no number for web/maths and there is one for web/math, w",
        ),
        ([WEB | {"ratios": {"web/code": 1}}], "no number for web/maths. "),
        ([WEB | {"ratios": {"web/*": 1}}], "no number for web/maths, web/code and"),
        ([WEB | {"ratios": {"web/maths": 1, "web/code": 1, "news": 5}}], "there is one for news, which"),
        ([WEB | {"ratios": {"web/maths": "1", "web/code": "2"}}], "numbers of at least 0"),
        ([WEB | {"ratios": {"web/maths": True, "web/code": False}}], "numbers of at least 0"),
        ([WEB | {"ratios": {"web/maths": 10**400, "web/code": 1}}], "numbers of at least 0"),
        ([WEB | {"ratios": {"web/maths": [1], "web/code": 2}}], "numbers of at least 0"),
        ([WEB, {"name": "web ", "domains": ["books/*"]}], "two groups called 'web'"),
        ([WEB | {"name": " "}], "1 to 80 characters"),
        ([WEB | {"name": ["web"]}], "1 to 80 characters"),
        ([WEB | {"level": "source"}, {"name": "maths", "domains": ["*/maths"], "level": "Source "}], "one level of"),
        ([TIED, WEB | {"name": "other", "ratios": {"web/maths": 3, "web/code": 1}}], "'web': with the other const"),
    ],
)
def test_what_would_be_read_otherwise_is_refused(groups, said):
    with pytest.raises(Problem, match=said):
        frame(groups)


def test_a_domain_that_may_have_none_takes_its_tied_group_along():
    with pytest.raises(Problem, match="leave it none of the tokens"):
        frame([TIED], {"web/code": 0})
    with pytest.raises(Problem, match="leave it none of the tokens"):
        frame([TIED], unseen=["web/maths"])
    frame([TIED | {"share": 0}], {"web/code": 0})  # as it was asked


def test_ratios_of_0_and_groups_that_cross_stay():
    tied = WEB | {"ratios": {"web/maths": 0, "web/code": 3}}
    maths = {"name": "maths", "domains": ["*/maths"], "share": [0.1, 0.4]}
    space = frame([tied, maths]).space
    assert space.groups[0].ratios == (0, 3) and space.crossed is True
    with pytest.raises(Problem, match="together while groups keep their ratios: group maths at least"):
        frame([tied, maths | {"ratios": "prior"}])


def test_a_group_whose_pattern_takes_in_a_new_domain_is_not_kept_with_old_ratios():
    """Its new domain would have had a share of 0."""
    assert lasting([TIED, WEB], [*NAMES, "web/law"]) == (WEB,)
    assert lasting([TIED, WEB], NAMES) == (TIED, WEB)
