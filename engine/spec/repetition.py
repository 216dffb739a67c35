"""Repetition: proxies see each domain as often as the real run will, and dose runs see one domain more often.

Proxies are short, so they would repeat nothing of a pool that the real run repeats. Therefore each domain's text is cut
for them (simulated epoching, UtiliMax, arXiv:2501.11747; matched repetition, arXiv:2606.07597).
"""

from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.space.baselines import unimax
from engine.spec.fidelity import Fidelity
from engine.spec.pools import Pools
from engine.spec.statistics import first_lowest, ordered

if TYPE_CHECKING:
    from engine.spec.frame import Frame
    from engine.spec.study import StudySpec

DOSE = "dose"  # the role of a run that trains a mixture again with one domain's text cut
DOSES = (1 / 4, 1 / 8, 1 / 2)  # of a domain's text, in the order in which they are given to runs
MOST = 8.0  # epochs of a domain in a mixture that dose runs train again: with its text cut they reach 16 to 64


def is_matched(spec: "StudySpec", frame: "Frame") -> bool:
    """Whether proxies see the target's repetition: as the study says, else where budget and text are known."""
    if spec.fidelity is None or frame.pools is None:
        return False
    if spec.simulated_epoching is not None:
        return spec.simulated_epoching
    return bool(spec.target_tokens) and bool(np.isfinite(frame.pools.tokens).any())


def kept_fractions(spec: "StudySpec", frame: "Frame") -> np.ndarray:
    """(D,) the part of each domain's sample that proxies see: 1 where they see all of it.

    Raises Problem where the study asks for the target's repetition and a domain would be cut to less than a sequence;
    where it leaves that open, such a domain keeps one sequence, and `notes_on_repetition` says so.
    """
    if not is_matched(spec, frame):
        return np.ones(len(frame.space.names))
    pools, fidelity = _text(frame), _fidelity(spec)
    if not frame.budget:
        raise Problem(
            f"Cannot match the repetition of the real run in {spec.name!r}: its budget is unknown. Give target_tokens."
        )
    wanted, sample = _wanted(spec, frame), _sample(pools)
    least = fidelity.context + 1
    short = [i for i in ordered(wanted) if wanted[i] < least]
    if spec.simulated_epoching and short:
        raise Problem(
            f"Cannot simulate the epochs of {frame.budget:,.0f} tokens with proxies of {fidelity.tokens:,}: "
            f"{pools.names[short[0]]!r} would be cut from {pools.tokens[short[0]]:,.0f} to {wanted[short[0]]:.0f} "
            f"tokens, and a sequence takes {least}. Train longer proxies, add text, or lower the target budget."
        )
    fraction: np.ndarray = np.where(np.isfinite(wanted), np.minimum(1, np.maximum(wanted, least) / sample), 1.0)
    return fraction


def notes_on_repetition(spec: "StudySpec", frame: "Frame") -> list[str]:
    """Where proxies cannot see the target's repetition, in sentences."""
    if not is_matched(spec, frame) or not frame.budget:
        return []
    pools, fidelity, wanted = _text(frame), _fidelity(spec), _wanted(spec, frame)
    short = [name for name, tokens in zip(pools.names, wanted, strict=True) if tokens < fidelity.context + 1]
    seen, found = fidelity.trained_tokens, []
    if short:
        found.append(
            f"Proxies of {seen:,} tokens are too short to see {listed(short)} as seldom cut as it should be: they keep "
            "one sequence of it, and repeat it less than the real run would. Longer proxies fix that."
        )
    small = np.isfinite(wanted) & (_sample(pools) < np.minimum(wanted, seen))
    if small.any():
        names = [name for name, less in zip(pools.names, small, strict=True) if less]
        found.append(
            f"The sample of {listed(names)} is smaller than proxies of {seen:,} tokens need: where its share is large, "
            "they repeat it more than the real run would. Read more of it."
        )
    if seen > frame.budget:
        found.append(f"One proxy sees {seen:,} tokens, more than the target budget of {frame.budget:,.0f}.")
    return found


def design_centre(spec: "StudySpec", frame: "Frame") -> np.ndarray:
    """(D,) the mixture around which a design is drawn: the prior; where proxies repeat text as the real run will and
    even shares would repeat some of it, halfway from there to UniMax, which is even but for the epoch cap.

    A domain of little text has next to nothing of the natural mixture: around that no run would tell what it is worth.
    """
    if not is_matched(spec, frame) or not frame.budget:
        return frame.prior
    tokens = _text(frame).tokens
    if not (frame.budget / len(tokens) > tokens).any():
        return frame.prior
    centre: np.ndarray = (frame.prior + unimax(tokens, frame.budget, spec.epoch_cap)) / 2
    return centre


def dose_runs(spec: "StudySpec", frame: "Frame", points: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(label, shares (D,), doses (D,)) of the study's dose runs.

    Each trains that one of the design's `points` (n, D) again in which a domain is repeated most, up to MOST epochs,
    with that domain's text cut to a part. Only so can the harm of repetition be told from the good of a larger share.
    All cuts of the domains that the design repeats come first, and among them those that it repeats most. Raises
    Problem where there are fewer such runs than the study asks for.
    """
    if not spec.dose_runs:
        return []
    if not is_matched(spec, frame) or not frame.budget:
        raise Problem(
            f"Cannot plan {spec.dose_runs} dose runs in {spec.name!r}: they need target_tokens, the available tokens "
            "of the domains, and proxies that see the real run's repetition. Give these, or ask for 0 dose runs."
        )
    wanted, least = _wanted(spec, frame), _fidelity(spec).context + 1
    passes = points * frame.budget / _text(frame).tokens  # (n, D) NaN where the text is unknown
    passes = np.where(np.isfinite(passes), passes, 0)
    highest = passes.max(axis=0)
    order = [i for i in ordered(-highest) if highest[i] > 0]
    repeated = [[i for i in order if (highest[i] > 1) == more] for more in (True, False)]
    made = []
    for dose, i in [(dose, i) for group in repeated for dose in DOSES for i in group]:
        if dose * wanted[i] >= least:
            doses = np.ones(len(highest))
            doses[i] = dose
            label = f"dose: {frame.space.names[i]} / {round(1 / dose)}"
            within = np.where(passes[:, i] <= MOST, passes[:, i], -passes[:, i])  # else the fewest
            made.append((label, points[first_lowest(-within)], doses))
    if len(made) < spec.dose_runs:
        raise Problem(
            f"Cannot plan {spec.dose_runs} dose runs in {spec.name!r}: its domains' text leaves {len(made)} cuts of at "
            f"least one sequence ({least} tokens). Ask for {len(made)}, or train longer proxies."
        )
    return made[: spec.dose_runs]


def _text(frame: "Frame") -> Pools:
    assert frame.pools is not None
    return frame.pools


def _fidelity(spec: "StudySpec") -> Fidelity:
    assert spec.fidelity is not None
    return spec.fidelity


def _sample(pools: Pools) -> np.ndarray:
    """(D,) tokens that proxies could see; counts that came without text are taken as all read."""
    return pools.tokens if pools.sample is None else pools.sample


def _wanted(spec: "StudySpec", frame: "Frame") -> np.ndarray:
    """(D,) tokens of each domain that give a proxy the real run's epochs, NaN where its text is unknown."""
    wanted: np.ndarray = _text(frame).tokens * min(1.0, _fidelity(spec).trained_tokens / frame.budget)
    return wanted
