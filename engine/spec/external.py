"""A study whose runs somebody else's trainer trains: they are planned here, leave as recipes, and report by id.

Plain data. D domains.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.core.checks import check, check_fields, is_number
from engine.core.errors import Problem
from engine.spec.compute import Compute
from engine.spec.objectives import BITS, Objective, domain_losses
from engine.spec.pools import GIVEN, UNKNOWN, Pools

if TYPE_CHECKING:
    from engine.spec.study import StudySpec

PROXIES, EXTERNAL = "proxies", "external"  # who trains a study's runs
TRAINERS = (PROXIES, EXTERNAL)
SIZE = ("parameters", "tokens")  # of every planned run
OWN = (
    "metrics",
    "tasks",
    "flips",
    "stop_hopeless",
    "dose_runs",
    "phases",
    "order_triples",
    "branches",
    "simulated_epoching",
)
ONLY = ("size", "measures", "prior")  # settings of external studies alone
SUM = 1e-3  # tolerance of the sum of a prior


def check_trainer(spec: "StudySpec") -> None:
    """Raise Problem unless a study's trainer, and the settings that go with it, fit together."""
    if spec.trainer not in TRAINERS:
        raise Problem(f"Cannot train by {spec.trainer!r}: a study's trainer must be one of {', '.join(TRAINERS)}.")
    if spec.trainer == PROXIES:
        if given := [name for name in ONLY if getattr(spec, name)]:
            raise Problem(
                f'Cannot use a study\'s {given[0]}: it goes with trainer = "external". Add that, or leave it.'
            )
        return
    own = [name for name in (*OWN, "merge", "fidelity") if getattr(spec, name)]
    if own or spec.compute != Compute():
        raise Problem(
            f"Cannot use {(own or ['compute'])[0]} in a study with an external trainer: Mixdesk trains none of its "
            "runs. Leave it out; what is measured stands in [[measures]], and the size of the runs in [size]."
        )
    _check_size(spec.size)
    for one in spec.measures:
        _check_measure(one)
    names = [one["metric"] for one in spec.measures]
    check(len(set(names)) == len(names), names, "a study's measures", "metrics of different names")
    if spec.corpus is None:
        _check_alone(spec)
    elif spec.prior:
        raise Problem(f"Cannot use a prior: the corpus {spec.corpus!r} counts the text, and so gives it. Leave it out.")


def _check_size(size: dict[str, float]) -> None:
    check_fields(size, SIZE, (), "the size of the runs")
    for name in SIZE:
        check(is_number(size[name], 1, 1e18), size[name], f"the {name} of a run", "a number of at least 1")


def _check_measure(one: Any) -> None:
    """Raise Problem unless it is a metric, as a table of a study file has it."""
    check_fields(one, ("metric",), ("unit", "higher_is_better", "domain"), "what is measured")
    for name in ("metric", "unit", "domain"):
        text = one.get(name, "x")
        check(isinstance(text, str) and 0 < len(text.strip()) <= 120, text, f"a measure's {name}", "a text")
    better = one.get("higher_is_better", False)
    check(isinstance(better, bool), better, "a measure's higher_is_better", "true or false")


def _check_alone(spec: "StudySpec") -> None:
    """Raise Problem unless a study without a corpus names its domains, and where it starts is plain."""
    if len(spec.domains) < 2 or len(set(spec.domains)) < len(spec.domains):
        raise Problem(
            f"Cannot plan {spec.name!r}: without a corpus, an external study names its domains itself, two or more and "
            f"each once, and it has {list(spec.domains)}. Write domains = [...], or name a corpus."
        )
    if unknown := [name for name in spec.available_tokens if name not in spec.domains]:
        raise Problem(f"Cannot count the tokens of {unknown[0]!r}: the domains are {', '.join(spec.domains)}.")
    if not spec.prior:
        return
    if set(spec.domains) <= set(spec.available_tokens):
        raise Problem("Cannot use both a prior and the tokens of every domain, which give one. Leave one of them out.")
    shares = [spec.prior.get(name, 0.0) for name in spec.domains]
    fine = set(spec.prior) <= set(spec.domains) and all(is_number(share, 0, 1) for share in shares)
    check(fine and abs(sum(shares) - 1) <= SUM, spec.prior, "a study's prior", "shares by domain that sum to 1")


def stated_prior(spec: "StudySpec") -> dict[str, np.ndarray]:
    """The first baseline (D,) of a study that knows its text of no corpus: its prior, or even shares."""
    shares = (
        np.array([spec.prior.get(name, 0.0) for name in spec.domains]) if spec.prior else np.ones(len(spec.domains))
    )
    return {"prior" if spec.prior else "uniform": shares / shares.sum()}


def text_given(spec: "StudySpec") -> dict[str, Any]:
    """What a study without a corpus keeps as its text: the counts that were given."""
    tokens = [spec.available_tokens.get(name, np.nan) for name in spec.domains]
    sources = tuple(GIVEN if name in spec.available_tokens else UNKNOWN for name in spec.domains)
    pools = Pools(tuple(spec.domains), np.array(tokens, float), sources, None)
    counted = {name: {"train_tokens": float(count)} for name, count in zip(spec.domains, tokens, strict=True)}
    return {"domains": counted if pools.known else {}, "pools": pools.rows()}


def measured_in(spec: "StudySpec", domains: list[str]) -> list[Objective]:
    """What the runs of an external study are measured by: as it says, else the loss of every domain."""
    if not spec.measures:
        return domain_losses(domains)
    found = []
    for one in spec.measures:
        domain = one.get("domain", one["metric"] if one["metric"] in domains else None)
        if domain is not None and domain not in domains:
            raise Problem(f"Cannot measure {one['metric']!r} of {domain!r}: the domains are {', '.join(domains)}.")
        found.append(Objective(one["metric"], one.get("unit", BITS), one.get("higher_is_better", False), domain=domain))
    return found
