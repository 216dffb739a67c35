"""The ledger's prices of new sources: registered when they are asked for, and compared with what was measured later.

A price is measured where some study has the source among its domains, and has trained the same proxies at the priced
mixture and at the one that the source joins. Uses the store. D domains, M metrics.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.people import acting, allows
from engine.jobs.ledger import SourcePrice, SourcePriced, hash_of
from engine.spec.objectives import Aggregate, aggregate
from engine.spec.statistics import SAME_POINT, weighted_sum
from engine.studies.contents import keys_of
from engine.studies.measured import for_fitting
from engine.studies.source_value import Value
from store import ledger, studies
from store.database import Store
from store.ledger import Priced

FIELDS = ("text", "share", "candidate", "change", "std", "noise", "settled", "distance", "verdict", "runs")
REGISTERS = "reviewer"  # the role from which on a question is written down: a viewer only looks


@dataclass(frozen=True)
class Entry:
    """A price and what came of it.

    study: in which it was measured; measured: the change of the aggregate there, of runs with the source against others
    without; runs: how many without, and with; deviations: measured minus predicted in standard deviations of what such
    a difference could be, above 0 where the price was optimistic; why: what is missing, where it is not measured.
    """

    priced: Priced
    study: str | None = None
    measured: float | None = None
    runs: tuple[int, int] = (0, 0)
    deviations: float | None = None
    why: str | None = None

    @property
    def error(self) -> float | None:
        """Predicted minus measured."""
        return None if self.measured is None else self.priced.price.change - self.measured


def register(
    store: Store, study: studies.Study, corpus: str, domain: str, value: Value, aggregate: Aggregate
) -> str | None:
    """Write a price down, once; its hash. None for a viewer, whose questions write nothing."""
    if not allows(acting(), REGISTERS):
        return None
    values: dict[str, Any] = {
        **{name: getattr(value, name) for name in FIELDS},
        "corpus": corpus,
        "domain": domain,
        "mixture": [value.at[name] for name in study.domains],
        "weights": aggregate.weights.tolist(),
        "half": value.change - value.low,
    }
    digest = hash_of(values)
    with store.alone():
        if all(one.price.hash != digest for one in ledger.source_prices(store, study.id)):
            store.write(SourcePriced(study.id, SourcePrice(hash=digest, **values)))
    return digest


def aggregate_of_price(study: studies.Study, price: SourcePrice) -> Aggregate:
    """The aggregate that a price changes, of the metrics that counted when it was asked for: its sign and unit."""
    counted = dict(zip(study.metrics, np.abs(price.weights).tolist(), strict=True))
    return aggregate(study.objectives, np.empty((0, len(counted))), counted)


def entries(store: Store, study: str | None = None) -> list[Entry]:
    """Every registered price for a study, or for all, with what is known of it now; the latest last."""
    there = {one.id: one for one in studies.all_studies(store)}
    found = [one for one in ledger.source_prices(store, study) if one.study in there]
    return [_entry(store, one, there[one.study], list(there.values())) for one in found]


def _entry(store: Store, priced: Priced, asked: studies.Study, others: list[studies.Study]) -> Entry:
    found = [_measured_in(store, priced, asked, other) for other in others]
    known = [one for one in found if one.study is not None]
    if known:
        return max(known, key=lambda one: one.measured is not None)
    return Entry(priced, why="no study of the same proxies has it among its domains")


def _measured_in(store: Store, priced: Priced, asked: studies.Study, other: studies.Study) -> Entry:
    """What a study measured of a price; without a name where it does not have the source."""
    price = priced.price
    columns = _columns(asked, other, price)
    points = points_among(price, asked, other.domains, (other.corpus or {}).get("domains", {}))
    if columns is None or points is None:
        return Entry(priced)
    base, moved = points
    measured = for_fitting(store, other.id)
    if not measured.ids:
        return Entry(priced, other.id, why=f"no run of {other.name!r} is done yet")
    own = np.array([role != "carried" for role in measured.roles], bool)  # the others have another study's level
    totals = weighted_sum(measured.losses[:, columns], np.array([one for one in price.weights if one]))
    usable = own & np.isfinite(totals)
    there = [usable & (np.abs(measured.weights - point).max(axis=1) < SAME_POINT) for point in (base, moved)]
    counts = int(there[0].sum()), int(there[1].sum())
    if not all(counts):
        lacking = "without it" if counts[1] else "with it" if counts[0] else "with it or without"
        return Entry(priced, other.id, why=f"no run of {other.name!r} is done at the priced mixture {lacking}")
    change = float(totals[there[1]].mean() - totals[there[0]].mean())
    spread = np.sqrt(price.std**2 + price.noise**2 * sum(1 / count for count in counts))
    return Entry(priced, other.id, change, counts, float((change - price.change) / spread) if spread else None)


def _columns(asked: studies.Study, other: studies.Study, price: SourcePrice) -> list[int] | None:
    """Where the other study has the metrics that count for a price; None where it lacks one, or trains otherwise."""
    wanted, theirs = keys_of(asked), keys_of(other)
    if not theirs or other.spec["fidelity"] != asked.spec["fidelity"] or len(wanted) != len(price.weights):
        return None
    counted = [key for key, weight in zip(wanted, price.weights, strict=True) if weight]
    return [theirs.index(key) for key in counted] if set(counted) <= set(theirs) else None


def points_among(
    price: SourcePrice, asked: studies.Study, domains: list[str], facts: dict
) -> tuple[np.ndarray, np.ndarray] | None:
    """The mixture without the source, and with it, (E,) each, among domains with the facts of a corpus' manifest; None
    where one is lacking. Text is the same where its hash is."""
    texts = [facts.get(name, {}).get("sha256", {}).get("train") for name in domains]
    own = (asked.corpus or {}).get("domains", {})
    base = np.zeros(len(domains))
    for name, share in zip(asked.domains, price.mixture, strict=True):
        text = own.get(name, {}).get("sha256", {}).get("train")
        if share and (text is None or text not in texts):
            return None
        if share:
            base[texts.index(text)] += share
    if price.text not in texts:
        return None
    moved = (1 - price.share) * base
    moved[texts.index(price.text)] += price.share
    return base, moved


def priced_points(store: Store, asked: studies.Study, domains: list[str], facts: dict) -> dict[str, np.ndarray]:
    """The mixtures that would measure the prices of a study's new sources, (E,) each by what it is called, among the
    domains of a corpus."""
    found: dict[str, np.ndarray] = {}
    for one in ledger.source_prices(store, asked.id):
        if (points := points_among(one.price, asked, domains, facts)) is not None:
            found[f"{one.price.candidate}, as priced"] = points[0]
            found[f"{one.price.candidate}, {one.price.share:.1%} of {one.price.domain}"] = points[1]
    distinct = {tuple(point.round(9)): label for label, point in reversed(found.items())}
    return {label: found[label] for label in reversed(distinct.values())}
