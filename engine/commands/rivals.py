"""Commands on rivals of a study's answer: find their mixtures, and what the study's many runs bought beside them."""

from dataclasses import asdict

from engine.commands.jobs import answer_of
from engine.core.people import takes
from engine.spec.rivals import RIVALS
from engine.studies import bought
from engine.studies import rivals as of_study
from engine.studies.measured import aggregate_of
from store import studies
from store.database import Store


def list_rivals(store: Store, name: str) -> dict:
    """Methods that find a mixture from no further run, one or two: their cost in runs, their mixtures, and what
    confirmations say of these beside the study's answer."""
    study = studies.get(store, name)
    methods = [_told(study, one) for one in of_study.standings(store, study)]
    compared = [] if study.kind == "merge" else bought.comparisons(store, study, aggregate_of(store, study))
    return {
        "study": study.id,
        "methods": methods,
        "unseen_metrics": of_study.left_out(study),
        "confirmed": [
            {
                "fidelity": one.fidelity.to_dict(),
                "answer": one.answer,
                "against": [{**asdict(each), "verdict": each.verdict} for each in one.against],
            }
            for one in compared
        ],
    }


def _told(study: studies.Study, one: of_study.Standing) -> dict:
    """A method as it stands, as plain values."""
    found = one.found and {
        "mixture": dict(zip(study.domains, one.found.shares.tolist(), strict=True)),
        "moved_by_constraints": one.found.moved,
        "tokens_trained": one.found.cost.trained,
        "tokens_read": one.found.cost.read,
        "runs": one.found.runs,
        "experts_of": one.found.made_by,
        "job": one.found.job,
    }
    return {
        "method": one.name,
        "title": one.rival.title,
        "does": one.rival.summary,
        "runs": one.runs,
        "experts_of": one.made_by,
        "cannot": one.why,
        "state": one.state,
        "found": found,
    }


@takes("operator", "find rival mixtures")
def find_rivals(store: Store, name: str, methods: list[str] | None = None) -> dict:
    """Queue the jobs that find the mixtures of these methods, all by default; the same request is one job."""
    study = studies.get(store, name)
    asked = [of_study.queue_rival(store, study, method) for method in methods or list(RIVALS)]
    return {"study": study.id, "jobs": [answer_of(store, one) for one in asked]}


COMMANDS = (
    list_rivals,
    find_rivals,
)
