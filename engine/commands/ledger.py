"""Commands on the ledger: predictions and the results."""

from dataclasses import asdict

from engine.core.checks import or_null
from engine.studies import ledger as ledgers
from engine.studies import price_ledger
from store import studies
from store.database import Store


def ledger(store: Store, name: str | None = None) -> dict:
    """Registered predictions of a study, or of all, with what their runs measured; records by surrogate and place; and
    prices of new sources, with what studies that have them measured."""
    study = None if name is None else studies.get(store, name).id
    found = ledgers.entries(store, study)
    groups = {f"by_{by}": ledgers.records(found, by) for by in ("surrogate", "place", "origin")}
    return {
        "entries": [entry(one) for one in found],
        **{by: [{**asdict(one), "claims": one.claims} for one in made] for by, made in groups.items()},
        "sources": [source(one) for one in price_ledger.entries(store, study)],
    }


def entry(one: ledgers.Entry) -> dict:
    """One prediction as JSON: what was said, when and by whom, and what was measured."""
    kept = one.registered
    mean = None if kept.losses is None else or_null(kept.losses)
    return {
        **kept.prediction.to_dict(),
        "study": kept.study,
        "registered_at": kept.t,
        "registered_by": kept.by,
        "unchanged": kept.whole,
        "state": kept.state,
        "point": kept.point.tolist(),
        "losses": mean,
        "compared": one.of,
        "measured": one.measured,
        "error": one.error,
        "deviations": one.deviations,
    }


def source(one: price_ledger.Entry) -> dict:
    """One price of a new source as JSON."""
    kept = one.priced
    return {
        **kept.price.to_dict(),
        "study": kept.study,
        "registered_at": kept.t,
        "registered_by": kept.by,
        "unchanged": kept.whole,
        "measured_in": one.study,
        "measured": one.measured,
        "measured_runs": list(one.runs),
        "error": one.error,
        "deviations": one.deviations,
        "why_not": one.why,
    }


COMMANDS = (ledger,)
