"""Rivals of a study's answer: which methods there are, what each would cost, and the mixtures that they found. Uses the
store. D domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.core.errors import Problem
from engine.core.people import need
from engine.corpus import expert_tokens
from engine.corpus.expert_tokens import ExpertTokens
from engine.spec.fidelity import Fidelity
from engine.spec.kinds.rival import RivalTask
from engine.spec.merge import EXPERT, expert_file
from engine.spec.repetition import kept_fractions
from engine.spec.rivals import RIVALS, Cost, Rival, rival_of
from engine.spec.study import StudySpec
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.questions import Asked, ask_once, job_id_of
from engine.studies.training import trainable
from store import jobs, results, runs, studies
from store.database import Store

LATER = 1.0  # priority of these jobs: after the runs
CLOSE = 0.01  # how much weights may differ: those of metrics in several units move a little while runs come in


@dataclass(frozen=True)
class Found:
    """A mixture that a method found. shares (D,); moved: how far the study's constraints moved a share at most; cost:
    what it really took, in runs: the same in those of a proxy; made_by: the merge study whose experts it used; job."""

    shares: np.ndarray
    moved: float
    cost: Cost
    runs: float
    made_by: str | None
    job: str


@dataclass(frozen=True)
class Standing:
    """A method as it stands in a study. runs: what it costs before it is begun, in runs of a proxy; why: what stands in
    its way, None where it can be begun; made_by: the merge study whose experts it would use; state: of its job; found:
    None before."""

    name: str
    rival: Rival
    runs: float | None
    why: str | None
    made_by: str | None
    state: str | None
    found: Found | None


def losses_weighed(store: Store, study: studies.Study) -> np.ndarray:
    """(D,) how much each domain's loss counts by the study's own priorities, of sum 1.

    Raises Problem where none does: methods that find a mixture know losses only.
    """
    aggregate = aggregate_of(store, study)
    of_domain = {
        one.domain: max(0.0, float(weight))
        for one, weight in zip(study.objectives, aggregate.weights, strict=True)
        if one.domain is not None and one.metric == one.domain
    }
    found = np.array([of_domain.get(domain, 0.0) for domain in study.domains])
    if not found.sum() > 0:
        raise Problem(
            f"Cannot find a rival mixture in {study.name!r}: no domain's loss counts there, and these methods know "
            "losses only. Give one a priority."
        )
    total: np.ndarray = found / found.sum()
    return total


def left_out(study: studies.Study) -> list[str]:
    """Metrics that count in a study and are no domain's loss: its rivals do not see them."""
    return [one.metric for one in study.objectives if one.priority and one.metric != one.domain]


def made_experts(store: Store, study: studies.Study) -> tuple[str, Fidelity, list[str]] | None:
    """The newest merge study beside this one whose experts cover its domains: its id, their size, and their files in
    the order of the domains; None where there is none."""
    for other in studies.all_studies(store):
        spec = StudySpec.from_dict(other.spec)
        if spec.merge is None or spec.merge.external or spec.fidelity is None:
            continue
        if spec.merge.of not in (study.id, study.name):
            continue
        measured = runs.measured(store, other.id)
        ids = {
            label: run
            for run, label, role in zip(measured.ids, measured.labels, measured.roles, strict=True)
            if role == EXPERT and label is not None
        }
        if spec.corpus == study.spec["corpus"] and set(study.domains) <= set(ids):
            files = [expert_file(other.id, ids[domain]) for domain in study.domains]
            if all((store.workspace.root / name).is_file() for name in files):
                return other.id, spec.fidelity, files
    return None


def task_of(store: Store, study: studies.Study, method: str) -> RivalTask:
    """The task of the job that finds a method's mixture. Raises Problem where the study cannot train, or the method
    cannot serve it."""
    spec, frame, rival = trainable(study), frame_of_study(study), rival_of(method)
    if study.kind == "merge" or spec.fidelity is None:
        raise Problem(f"Cannot find a rival mixture in {study.name!r}: it is about merges. Ask its mixture study.")
    experts = made_experts(store, study) if method == "mixmin" else None
    if experts is None and spec.start is not None:
        raise Problem(
            f"Cannot find a rival mixture in {study.name!r}: its runs begin with a saved proxy, and this method trains "
            "from random weights. Ask a study that begins with those."
        )
    fidelity = experts[1] if experts else replace(spec.fidelity, batches="mixed", sharpness=0.0)
    rival.cost(fidelity, len(study.domains), experts is not None)
    return RivalTask(
        study=study.id,
        method=method,
        corpus=spec.corpus,
        domains=study.domains,
        fidelity=fidelity.to_dict(),
        seed=spec.seed,
        weights=losses_weighed(store, study).tolist(),
        prior=frame.prior.tolist(),
        space=frame.space.to_dict(),
        keep=kept_fractions(spec, frame).tolist(),
        experts=experts and experts[2],
        made_by=experts and experts[0],
        device=spec.compute.device,
    )


def queue_rival(store: Store, study: studies.Study, method: str) -> Asked:
    """Queue the job that finds a method's mixture; the same request is one job. Raises Problem as `task_of` does."""
    need("operator", "find rival mixtures")
    task = task_of(store, study, method)
    settings = StudySpec.from_dict(study.spec).compute.settings(study.id) | {"priority": LATER}
    return ask_once(store, job_id_of(study, method, task.to_dict()), task.spec(**settings), study.id)


def standings(store: Store, study: studies.Study) -> list[Standing]:
    """Every method of the table, as it stands."""
    found = found_rivals(store, study)
    return [_standing(store, study, name, found.get(name)) for name in RIVALS]


def _standing(store: Store, study: studies.Study, name: str, found: Found | None) -> Standing:
    rival = rival_of(name)
    try:
        task = task_of(store, study, name)
        fidelity = Fidelity.from_dict(task.fidelity)
        cost = rival.cost(fidelity, len(study.domains), task.experts is not None)
    except Problem as problem:
        return Standing(name, rival, None, str(problem), None, None, found)
    job = jobs.find(store, job_id_of(study, name, task.to_dict()))
    state = job.state if job else None
    return Standing(name, rival, cost.runs(trainable(study).fidelity), None, task.made_by, state, found)


def found_rivals(store: Store, study: studies.Study) -> dict[str, Found]:
    """The newest mixture of each method by the study's own priorities, by the method's name. DoReMi's serves whatever
    counts."""
    if study.elsewhere or study.kind == "merge" or not study.domains:
        return {}
    try:
        weights = losses_weighed(store, study)
    except Problem:
        weights = np.full(len(study.domains), np.nan)
    found: dict[str, Found] = {}
    for row in results.rivals(store, study.id):
        settings, answer = row["settings"], row["found"]
        name = settings["method"]
        asked = np.array(settings["weights"])
        if name not in RIVALS or name in found:
            continue
        if RIVALS[name].weighs and not (np.abs(asked - weights) <= CLOSE).all():
            continue
        cost = Cost(int(answer["trained_tokens"]), int(answer["read_tokens"]))
        size = trainable(study).fidelity or Fidelity.from_dict(settings["fidelity"])
        shares = np.array(answer["shares"])
        found[name] = Found(shares, answer["moved"], cost, cost.runs(size), settings.get("made_by"), row["job"])
    return found


def mixtures_of(store: Store, study: studies.Study, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The mixtures that methods found, by the methods' titles. Raises Problem where one has found none yet."""
    found = found_rivals(store, study)
    for name in names:
        title = rival_of(name).title
        if name not in found:
            raise Problem(
                f"Cannot confirm the mixture of {title} in {study.name!r}: it was not found yet, or by other "
                "priorities. Find it first."
            )
    return {RIVALS[name].title: found[name].shares for name in names}


def tokens_of_experts(store: Store, study: studies.Study) -> ExpertTokens | None:
    """What experts give each validation token, once MixMin's mixture was found; None before, and where the study's
    domains are others now."""
    path = expert_tokens.file_of(store.workspace.root, study.id)
    if study.elsewhere or not path.is_file():
        return None
    found = expert_tokens.load(path)
    return found if found.domains == study.domains else None
