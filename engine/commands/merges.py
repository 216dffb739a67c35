"""Commands on merge studies: measure a merge, search for a better one, compare merges with mixtures."""

from engine.commands.jobs import answer_of
from engine.core.people import takes
from engine.search import plain
from engine.studies.merges import ablations, learning, paired_comparison, questions
from engine.studies.points import point_of
from store import results, studies
from store.database import Store


@takes("operator", "measure merges")
def measure_merge(store: Store, name: str, coefficients: list[dict[str, float]], label: str | None = None) -> dict:
    """Queue the measurement of merges {coordinate: value}; coordinates that are left out are 0."""
    study = studies.get(store, name)
    points = questions.points_of(study, coefficients)
    return {"study": study.id, "runs": questions.measure_points(store, study, points, label)}


@takes("operator", "search merges")
def search_merges(
    store: Store,
    name: str,
    strategy: str = "guided",
    evaluations: int = 128,
    minutes: float = 0,
    surrogate: str = "gp",
    priorities: dict | None = None,
    spread: bool = False,
    seed: int = 0,
    limits: dict[str, float] | None = None,
) -> dict:
    """Queue a search that measures merges of its own choice (engine.studies.merges.questions.queue_merge_search)."""
    found = studies.get(store, name)
    job = questions.queue_merge_search(
        store, found, strategy, evaluations, minutes, surrogate, priorities, spread, seed, limits
    )
    return {"study": found.id, **answer_of(store, job)}


@takes("operator", "write a merged checkpoint")
def write_merge(store: Store, name: str, at: str | dict[str, float] = "best", out: str | None = None) -> dict:
    """Queue the writing of a merge as a checkpoint into the workspace's exports/.

    at: a candidate's or baseline's name, a run's id, or coefficients {coordinate: value}.
    """
    study = studies.get(store, name)
    point = questions.points_of(study, [at])[0] if isinstance(at, dict) else point_of(store, study, at)
    out = out or f"{study.id}-{questions.short_hash(point)}"
    return {"study": study.id, "out": out, **answer_of(store, questions.queue_write(store, study, point, out))}


def merge_searches(store: Store, name: str) -> list[dict]:
    """The best merges of a study's searches, latest first."""
    return results.merge_searches(store, studies.get(store, name).id)


@takes("operator", "learn a merge from text")
def learn_merge(
    store: Store,
    name: str,
    method: str,
    knobs: dict | None = None,
    coefficients: dict[str, float] | None = None,
    large: str = "",
) -> dict:
    """Queue a merge that is learned from training text (engine.studies.merges.learning.queue_learning)."""
    study = studies.get(store, name)
    job = learning.queue_learning(store, study, method, knobs, coefficients, large)
    return {"study": study.id, **answer_of(store, job)}


def learned_merges(store: Store, name: str) -> list[dict]:
    """The merges that a study learned from text, latest first, with their measured losses and files."""
    return results.learned_merges(store, studies.get(store, name).id)


@takes("operator", "take a merge apart")
def ablate_merge(
    store: Store,
    name: str,
    at: str | dict[str, float] = "best",
    subsets: int = 6,
    total: float = 1.0,
    seed: int = 0,
) -> dict:
    """Queue merges of fewer experts, and one merge without each of its modules
    (engine.studies.merges.ablations.queue_ablation)."""
    study = studies.get(store, name)
    return {"study": study.id, **answer_of(store, ablations.queue_ablation(store, study, at, subsets, total, seed))}


def merge_ablations(store: Store, name: str) -> list[dict]:
    """How many experts pay, and which modules help or harm, latest first, by the study's own priorities."""
    return ablations.ablations(store, studies.get(store, name))


def merge_as_proxy(store: Store, name: str) -> dict:
    """Spearman, with its interval, between merges at coefficients p and proxies trained on shares p."""
    found = plain(paired_comparison.paired_comparison(store, studies.get(store, name)))
    return {key: found[key] for key in ("metrics", "rank", "low", "high", "runs")}


COMMANDS = (
    measure_merge,
    search_merges,
    merge_searches,
    learn_merge,
    learned_merges,
    ablate_merge,
    merge_ablations,
    merge_as_proxy,
    write_merge,
)
