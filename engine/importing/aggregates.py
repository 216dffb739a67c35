"""Columns that sum up each run's history: eval/loss.min, acc_max, loss.last, best_loss. Which are a run's result is
asked, or follows: the largest loss of a history is none.

Trackers write them behind a metric's name (summaries of Weights & Biases) or in front of it.
"""

import re

from engine.importing.names import MIDDLES, OF_PARTS, SOFT, SURE_NOISE, bare, is_up, measures

WORDS = {
    "least": "min|minimum|lowest|smallest",
    "largest": "max|maximum|highest|largest|peak",
    "best": "best(?![_ -]?of)",
    "last": "last|final|latest",
    "first": "first|initial",
    "smoothed": "ema|smoothed",
    "mean": "",
}
CALLED = {"mean": "the mean over"} | {how: f"the {how} value in" for how in WORDS if how != "mean"}
_ANY = "|".join(f"(?P<{how}>{words})" for how, words in WORDS.items() if words)
FRONT = re.compile(rf"(?:(?<=[/.:|])|^)(?:{_ANY})(?!{OF_PARTS})[_\-. /]", re.I)
BACK = re.compile(rf"[_\-. /(](?:{_ANY})\)?$", re.I)
MEAN = re.compile(r"[./](?P<mean>mean|avg|average|median)$", re.I)  # loss_mean is one over seeds, or over domains
TOLD = ("least", "largest", "best", "first", "smoothed")  # of a metric that is read: no reader would expect it


def how_of(name: str) -> str | None:
    """What of its history a metric is, as in WORDS; None for what is no aggregate by its name."""
    found = _mark(name)
    return found and next(how for how, word in found.groupdict().items() if word)


def core_of(name: str) -> str:
    """A metric's name without what says that it is an aggregate, and without marks between its words."""
    found = _mark(name)
    return SOFT.sub("", bare(name).replace(found[0], "/", 1) if found else bare(name))


def of_history(name: str, others: set[str]) -> tuple[str, str] | None:
    """(what of a history a column is, another column of that metric, the plain one if there is one).

    None where it is no aggregate, or stands alone. Least and largest beside a spread or a mean are over repeats of a
    run, and no aggregates of its history.
    """
    if (how := how_of(name)) is None:
        return None
    core = core_of(name)
    beside = sorted(one for one in others if one != name and core_of(one) == core)
    noise = {SOFT.sub("", SURE_NOISE.sub("", one)) for one in others if SURE_NOISE.search(one)}
    means = {SOFT.sub("", one) for one in others if how_of(one) is None}
    spread = core in noise or not means.isdisjoint(
        one for middle in MIDDLES for one in (f"{core}{middle}", f"{middle}{core}")
    )
    if not beside or (how in ("least", "largest") and spread):
        return None
    return how, next((one for one in beside if how_of(one) is None), beside[0])


def is_result(name: str, how: str) -> bool:
    """Whether an aggregate may be what a run ended with, or its best."""
    up = is_up(name)
    return how in ("best", "last", "mean") or (how == "least" and up is not True) or (how == "largest" and up is True)


def _mark(name: str) -> re.Match[str] | None:
    """Where a metric's name says that it is an aggregate."""
    own = bare(name)  # user_attrs_best_loss
    return (BACK.search(own) or MEAN.search(own) or FRONT.search(own)) if measures(name) else None
