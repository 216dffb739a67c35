"""The frame of a study: its prior, its constraints as one space, and the baselines that every mixture is held against.

Designs, search, pages and exports all ask here, so a constraint that is said once holds everywhere. D domains.
"""

from dataclasses import dataclass

import numpy as np

from engine.baselines import baselines, epoch_caps, uniform
from engine.space import Simplex
from engine.study import StudySpec, available_tokens, target_tokens


@dataclass(frozen=True)
class Frame:
    """space: the mixtures that the study's constraints allow, epoch caps included where tokens are known.

    prior (D,): centre of designs and search; prior_name: "natural" (of the available tokens), "prior" (given) or "mean
    of the runs" (neither is known). available (D,) tokens, None where unknown; budget: tokens of the real run, 0
    where unknown. baselines: name -> shares (D,), the prior first.
    """

    space: Simplex
    prior: np.ndarray
    prior_name: str
    available: np.ndarray | None
    budget: float
    baselines: dict[str, np.ndarray]


def frame_of(spec: StudySpec, domains: list[str], corpus: dict | None, imported: dict | None = None) -> Frame:
    """The frame of a study with these domains. corpus, imported: as store.studies.Study has them.

    Raises Problem where no mixture keeps all constraints, and where the text does not last for the budget.
    """
    if corpus is None:
        prior, name = np.array(imported["prior"], float), imported["prior_name"]
        space = _allowed(domains, imported)
        return Frame(space, prior, name, None, spec.target_tokens, {name: prior, "uniform": uniform(prior)})
    available = available_tokens(corpus, domains)
    budget = target_tokens(spec, available)
    caps = epoch_caps(available, budget, spec.epoch_cap)
    fixed = baselines(available, budget, spec.epoch_cap)
    space = _allowed(domains, imported, caps)
    return Frame(space, fixed["natural"], "natural", available, budget, fixed)


def _allowed(domains: list[str], imported: dict | None, caps: np.ndarray | None = None) -> Simplex:
    """The space under caps (D,); a domain that no imported run ever used stays out: nothing is known of it."""
    upper = np.ones(len(domains)) if caps is None else caps
    unseen = (imported or {}).get("unseen", ())
    return Simplex(tuple(domains), upper=np.where(np.isin(domains, unseen), 0.0, upper))
