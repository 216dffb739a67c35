"""The frame of a study: its prior, its constraints as one space, and the baselines that every mixture is compared with.

Designs, search, pages and exports all use it, so a constraint set once applies everywhere. D domains.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.space.baselines import baselines, epoch_caps, natural, uniform
from engine.space.groups import check_tied
from engine.space.simplex import Simplex, Space
from engine.spec.external import stated_prior
from engine.spec.groups import check_planned, group_of
from engine.spec.merge import USUAL, MergeSpec, baselines_of, box_of
from engine.spec.pools import Pools, check_counts, notes_on, pools_of
from engine.spec.study import StudySpec, ends

SAMPLED = "shares of the sample"  # the prior where it is unknown how much text there is


@dataclass(frozen=True)
class Frame:
    """space: the points that a search may visit, epoch caps included if token counts are known.

    design_space: the points that proxies are trained on: no domain above the study's largest_share, epoch caps only if
    the study sets cap_design. prior (D,): centre of designs and search; prior_name: "natural" (of the pools'
    tokens), SAMPLED, "prior" (given) or "mean of the runs". pools: how much text there is, None if unknown; budget:
    tokens of the real run, 0 if unknown. baselines: name -> shares (D,), the prior first; they may violate constraints.
    """

    space: Space
    design_space: Space
    prior: np.ndarray
    prior_name: str
    pools: Pools | None
    budget: float
    baselines: dict[str, np.ndarray]

    @property
    def available(self) -> list[float | None] | None:
        """The pools' tokens, D of them, each None where unknown; None where none is known."""
        return None if self.pools is None or not np.isfinite(self.pools.tokens).any() else self.pools.plain

    @property
    def notes(self) -> list[str]:
        """What has to be known of the counts of text, in sentences."""
        return [] if self.pools is None else notes_on(self.pools, self.budget)


def frame_of(
    spec: StudySpec, domains: list[str], corpus: dict[str, Any] | None, imported: dict[str, Any] | None = None
) -> Frame:
    """The frame of a study with these domains. corpus, imported: as store.studies.Study has them.

    Raises Problem if no mixture satisfies all constraints, or the text does not last for the budget.
    """
    if spec.merge is not None:
        return merge_frame(spec.merge, domains, (corpus or {})["experts"])
    imported, pools, budget, caps = imported or {}, None, spec.target_tokens, None
    if corpus is None:
        prior, prior_name = np.array(imported["prior"], float), imported["prior_name"]
        fixed = {prior_name: prior, "uniform": uniform(prior)}
    else:
        if "pools" not in corpus:  # else they were checked, against domains that the study may leave out
            check_counts(spec.available_tokens, list(corpus["domains"]))
        pools = pools_of(domains, corpus, spec.available_tokens, spec.target_tokens)
        budget = spec.target_tokens or pools.total
        caps = epoch_caps(pools.tokens, budget, spec.epoch_cap) if budget else None
        fixed = known_baselines(spec, pools, budget)
        prior_name, prior = next(iter(fixed.items()))
    capped = "" if caps is None else f"the epoch cap of {spec.epoch_cap:g} at {budget:,.0f} tokens"
    free = space_of(spec, domains, prior)
    space = free if caps is None else limited(free, caps, capped)
    unseen = np.isin(domains, imported.get("unseen", ()))
    space = limited(space, np.where(unseen, 0.0, 1.0), "that no imported run ever used it") if unseen.any() else space
    proxies = space if spec.cap_design else free
    largest = np.maximum(proxies.lower, spec.largest_share)
    design_space = limited(proxies, largest, f"the largest share of {spec.largest_share:g} in the design")
    return Frame(space, design_space, prior, prior_name, pools, budget, fixed)


def new_frame(
    spec: StudySpec, domains: list[str], corpus: dict[str, Any] | None, imported: dict[str, Any] | None = None
) -> Frame:
    """The frame of a study that begins, as `frame_of` gives it. Raises Problem for groups of which one would be read
    otherwise than it was meant, too; studies that were planned before keep theirs."""
    check_planned(spec.groups, domains)
    frame = frame_of(spec, domains, corpus, imported)
    if isinstance(frame.space, Simplex):
        check_tied(frame.space)
    return frame


def known_baselines(spec: StudySpec, pools: Pools, budget: float) -> dict[str, np.ndarray]:
    """The baselines that can be worked out, the prior first: where text is unknown, the sample's own shares, and
    without a sample what the study says."""
    if pools.known:
        return baselines(pools.tokens, budget, spec.epoch_cap)
    if pools.sample is None:
        stated = stated_prior(spec)
        return stated | {"uniform": uniform(pools.tokens)}
    shares = natural(np.asarray(pools.sample))
    return {SAMPLED: shares, "uniform": uniform(shares)}


def merge_frame(merge: MergeSpec, names: list[str], experts: list[str]) -> Frame:
    """The frame of a merge study with these coordinates: a box around task arithmetic."""
    box, points = box_of(merge, names), baselines_of(merge, experts, names)
    prior_name = USUAL if USUAL in points else next(iter(points))
    return Frame(box, box, box.project(points[prior_name]), prior_name, None, 0.0, points)


def space_of(spec: StudySpec, domains: list[str], prior: np.ndarray) -> Simplex:
    """The bounds and groups of a study as a space. Raises Problem if they name a domain that it does not have."""
    if unknown := [name for name in spec.bounds if name not in domains]:
        raise Problem(f"Cannot bound {unknown[0]!r}: the domains of {spec.name!r} are {', '.join(domains)}.")
    lower, upper = np.array([ends(spec.bounds.get(name, (0.0, 1.0))) for name in domains]).T
    groups = [group_of(one, ends(one.get("share", (0.0, 1.0))), domains, prior) for one in spec.groups]
    return Simplex(tuple(domains), lower, upper, tuple(groups))


def limited(space: Simplex, most: np.ndarray, why: str) -> Simplex:
    """The space with shares of at most `most` (D,). Raises Problem that names the constraints in conflict."""
    if (over := np.flatnonzero(space.lower > most + 1e-12)).size:
        names = ", ".join(f"{space.names[i]} at least {space.lower[i]:.4g}, at most {most[i]:.4g}" for i in over)
        raise Problem(f"Cannot keep {names}: {why}. Lower that bound, or change the other.")
    try:
        return replace(space, upper=np.minimum(space.upper, most))
    except Problem as problem:
        raise Problem(f"{problem} This is with {why}.") from problem
