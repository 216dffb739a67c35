"""Negative flips: validation windows that got worse under a candidate although their domain's average improved.

After MUSCLE (arXiv:2407.09435), which counts test items that a new model loses. A loss always varies a little, so a
window counts only if it got worse by more than seeds alone explain: the difference over common seeds against
the noise of such differences, pooled over the domain's windows. 2.5% of the windows would count by chance. Uses the
store.
"""

import numpy as np

from engine.core.errors import Problem
from engine.corpus import windows
from engine.corpus.windows import Windows
from engine.review.evidence import of_candidate
from engine.spec.fidelity import Fidelity
from engine.spec.statistics import ci_half_width, lowest
from engine.studies.corpora import opened
from store import confirm_runs
from store.database import Store

BY_CHANCE = 0.025
EXAMPLES = 3  # windows shown per domain, the worst first


def flips(store: Store, study: str, corpus: str | None, candidate: dict, reference: dict) -> list[dict]:
    """One entry per fidelity at which a candidate and its reference, {"point" (D,), "schedule"} each, were measured
    with their windows, the smallest first.

    {"fidelity", "seeds": common to both, "domains": [{"domain", "change": mean of the windows, "half": of its 95%
    interval over windows, None for one, "windows", "worse": outside the noise, None if one seed leaves the noise
    unknown, "worse_interval": its 95% as a binomial count, "higher": windows that are higher at all, "by_chance",
    "examples": [{"place", "change", "text"}]}]}. Empty if no windows were saved.
    """
    both: dict[str, list] = {}
    rows = [run for run in confirm_runs.confirmations(store, study, schedules=True) if run.losses is not None]
    here, there = of_candidate(rows, candidate), of_candidate(rows, reference)
    for one in here:
        for other in there:
            if one.fidelity == other.fidelity and one.seed == other.seed:
                both.setdefault(str(sorted(one.fidelity.items())), []).append((one, other))
    found = [_at_one_size(store, corpus, pairs) for pairs in both.values()]
    kept = [one for one in found if one is not None]
    return sorted(kept, key=lambda one: Fidelity.from_dict(one["fidelity"]).flops(256))


def _at_one_size(store: Store, corpus: str | None, pairs: list) -> dict | None:
    """The flips over pairs of runs of common seeds; None if their windows were not saved."""
    root, seen = store.workspace.root, {}
    for one, other in pairs:
        try:
            seen[one.seed] = tuple(windows.load(windows.file_of(root, run.id)) for run in (one, other))
        except Problem:
            continue
    if not seen:
        return None
    first = next(iter(seen.values()))[0]
    text = texts(store, corpus, first)
    domains = []
    for domain in first.bits:
        change = np.stack([one.bits[domain] - other.bits[domain] for one, other in seen.values()])  # (S, w)
        domains.append(of_domain(domain, change, lambda place, domain=domain: text(domain, place)))
    return {"fidelity": pairs[0][0].fidelity, "seeds": len(seen), "domains": domains}


def of_domain(domain: str, change: np.ndarray, text) -> dict:
    """The flips of one domain. change (S, w): candidate minus reference of each seed; text(place): of a window."""
    mean, noise = change.mean(axis=0), noise_of(change)
    worse = None if noise is None else mean > ci_half_width(noise)
    worst = lowest(-mean, EXAMPLES)
    worst = [int(place) for place in worst if mean[place] > 0 and (worse is None or worse[place])]
    return {
        "domain": domain,
        "change": float(mean.mean()),
        "half": float(ci_half_width(mean.std(ddof=1) / np.sqrt(len(mean)))) if len(mean) > 1 else None,
        "windows": len(mean),
        "worse": None if worse is None else int(worse.sum()),
        "worse_interval": None if worse is None else count_interval(int(worse.sum()), len(worse)),
        "higher": int((mean > 0).sum()),
        "by_chance": BY_CHANCE * len(mean),
        "examples": [{"place": place, "change": float(mean[place]), "text": text(place)} for place in worst],
    }


def count_interval(count: int, among: int) -> list[float]:
    """95% of the expected count of windows, by Clopper and Pearson: as if each counted independently of the others."""
    from scipy.special import betaincinv

    low = betaincinv(count, among - count + 1, 0.025) if count else 0.0
    high = betaincinv(count + 1, among - count, 0.975) if count < among else 1.0
    return [float(among * low), float(among * high)]


def noise_of(change: np.ndarray) -> float | None:
    """Standard error of a window's mean difference over S seeds, pooled over windows; None for one seed.

    A shift that all windows of a seed share is taken out first: it moves the average, not single windows.
    """
    seeds, count = change.shape
    if seeds < 2 or count < 2:
        return None
    alone = change - change.mean(axis=1, keepdims=True)
    alone = alone - alone.mean(axis=0, keepdims=True)
    variance = (alone**2).sum() / ((seeds - 1) * (count - 1))
    return float(max(np.sqrt(variance / seeds), 1e-9))


def texts(store: Store, corpus: str | None, like: Windows):
    """A function (domain, place among the kept windows) -> the text of that window, None if the corpus is gone."""
    try:
        found = None if corpus is None else opened(store, corpus)
    except (Problem, OSError):
        found = None

    def text(domain: str, place: int) -> str | None:
        if found is None or found.private or domain not in found.domains:
            return None
        shard = found.valid(domain)
        begin = windows.starts(len(shard), like.context, like.tokens)
        if len(begin) != like.count[domain]:
            return None  # the corpus was rebuilt since
        at = begin[windows.kept_places(len(begin))[place]]
        return found.decode(np.asarray(shard[at : at + like.context + 1]))

    return text
