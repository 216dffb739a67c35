"""Commands on the fidelity lab: which cheaper proxies rank mixtures as larger models do."""

from dataclasses import asdict

from engine.commands.jobs import answer_of
from engine.core.people import takes
from engine.spec.lab import FEWEST
from engine.studies import fidelity_lab as of_study
from engine.studies.fidelity_lab import TIMES
from store import studies
from store.database import Store


def plan_fidelity_lab(
    store: Store, name: str, fidelities: list[str] | None = None, mixtures: int = FEWEST, times: float = TIMES
) -> dict:
    """What a fidelity lab would train, and its cost in proxies of the study. Trains nothing."""
    study = studies.get(store, name)
    plan = of_study.plan_lab(store, study, fidelities or (), mixtures, times)
    return {
        "study": study.id,
        "mixtures": len(plan.mixtures),
        "seeds": of_study.SEEDS,
        "fidelities": {
            one: {"fidelity": size.to_dict(), "flops": plan.flops[one], "runs": plan.flops[one] / plan.one}
            for one, size in plan.fidelities.items()
        },
        "runs": plan.runs,
        "flops": sum(plan.flops.values()),
    }


@takes("operator", "train proxies of other fidelities")
def start_fidelity_lab(
    store: Store, name: str, fidelities: list[str] | None = None, mixtures: int = FEWEST, times: float = TIMES
) -> dict:
    """Train proxies of these fidelities (all candidates by default) and of a larger reference on spread mixtures, with
    two seeds; what was measured already is not measured again."""
    study = studies.get(store, name)
    asked = of_study.start_lab(store, study, of_study.plan_lab(store, study, fidelities or (), mixtures, times))
    return {"study": study.id, "jobs": [answer_of(store, one) for one in asked]}


def fidelity_lab(store: Store, name: str) -> dict:
    """What a study's newest fidelity lab measured: every candidate's rank correlation with the reference, without
    noise, its interval and cost, and the cheapest that may be relied on; no candidate before."""
    study = studies.get(store, name)
    lab = of_study.lab_of(store, study)
    if lab is None:
        lab = of_study.Lab("", 0, 0, None, None, [], {}, {}, None)
    return {
        "study": study.id,
        "mixtures": lab.mixtures,
        "seeds": lab.seeds,
        "reference": lab.reference and lab.reference.to_dict(),
        "reference_reliability": lab.reliability,
        "fidelities": [
            {**asdict(one), "enough": one.enough, "fidelity": lab.fidelities[one.name].to_dict()} for one in lab.found
        ],
        "not_judged": lab.lost,
        "recommended": lab.chosen and lab.chosen.name,
    }


@takes("operator", "start a study")
def take_fidelity(store: Store, name: str, fidelity: str) -> dict:
    """Start a study like this one with proxies of a fidelity that its lab measured."""
    begun = of_study.take(store, studies.get(store, name), fidelity)
    return {"study": begun.id, "already_there": begun.already_there}


COMMANDS = (
    plan_fidelity_lab,
    start_fidelity_lab,
    fidelity_lab,
    take_fidelity,
)
