"""Commands on what domains do to each other: leave them out, alone and in pairs; rows of new metrics and domains."""

from dataclasses import asdict

import numpy as np

from engine.core.people import takes
from engine.studies import influence as of_domains
from engine.studies.measured import aggregate_of
from store import studies
from store.database import Store


def influence(store: Store, name: str, pairs: bool = False, surrogate: str | None = None) -> dict:
    """What leaving out each domain, or pair of domains, does to each metric: predicted, and measured by runs."""
    study = studies.get(store, name)
    found = of_domains.influences(store, study, pairs, surrogate)
    rows = [
        {
            "without": list(one),
            "runs": int(trained),
            **{
                how: {
                    metric: None if np.isnan(effect) else {"effect": float(effect), "half": float(half)}
                    for metric, effect, half in zip(study.metrics, told.effect[place], told.half[place], strict=True)
                }
                for how, told in (("predicted", found.predicted), ("measured", found.measured))
            },
        }
        for place, (one, trained) in enumerate(zip(found.names, found.trained, strict=True))
    ]
    return {"study": study.id, "surrogate": found.fit.name, "fitted_on": len(found.fit.measured.ids), "effects": rows}


@takes("operator", "train proposed mixtures")
def train_without(store: Store, name: str, pairs: list[list[str]] | None = None) -> dict:
    """Train the prior mixture without each of its domains, or without these pairs of them, to measure what they do."""
    study = studies.get(store, name)
    return {"study": study.id, **of_domains.train_without(store, study, pairs)._asdict()}


def metric_row(store: Store, name: str, metric: str) -> dict:
    """What leaving out each domain does to a metric that few runs measured, by the other metrics, with how rows that
    were left out were predicted so."""
    found = of_domains.row_of_metric(store, studies.get(store, name), metric)
    effects = zip(found.names, found.row.effect.tolist(), found.row.std.tolist(), strict=True)
    row = {domain: {"effect": effect, "std": std} for domain, effect, std in effects}
    return {"metric": metric, "runs": found.few, "effects": row, "judged": asdict(found.judged)}


def domain_row(store: Store, name: str, domain: str) -> dict:
    """What having a domain that few runs have does to each metric but its own loss, by these runs and the other
    domains; with how such rows that were left out were predicted, and whether that tells more than trivial answers."""
    found = of_domains.row_of_domain(store, studies.get(store, name), domain)
    effects = zip(found.metrics, *(one.tolist() for one in (found.row.effect, found.row.std)), strict=True)
    alone = zip(found.metrics, *(one.tolist() for one in (found.alone.effect, found.alone.std)), strict=True)
    return {
        "domain": domain,
        "runs": found.few,
        "share": found.share,
        "tells": found.tells,
        "effects": {metric: {"effect": effect, "std": std} for metric, effect, std in effects},
        "by_its_runs_alone": {metric: {"effect": effect, "std": std} for metric, effect, std in alone},
        "judged": found.judged and asdict(found.judged),
        "unknown": found.why,
    }


def influence_check(store: Store, name: str) -> dict:
    """How well rows of metrics and domains are predicted from few runs, and combinations of domains from others."""
    study = studies.get(store, name)
    found = of_domains.judgements(store, study, aggregate_of(store, study))
    combined = found.combined and {
        "pairs": [[study.domains[place] for place in pair] for pair in found.combined.pairs],
        "runs": found.combined.runs.tolist(),
        "error": found.combined.error.tolist(),
        "usual_error": found.combined.usual.tolist(),
    }
    rows = {"metrics": [asdict(one) for one in found.metrics], "domains": [asdict(one) for one in found.domains]}
    return {**rows, "combinations": combined, "unknown": found.why}


COMMANDS = (
    influence,
    train_without,
    metric_row,
    domain_row,
    influence_check,
)
