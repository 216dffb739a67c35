"""The fidelity lab of a study: cheaper proxies compared with larger ones on spread mixtures. Uses the store.

N mixtures, S seeds, D domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.analysis.fidelity_lab import Judged, judged, recommended, reliability
from engine.core.checks import check, is_number, is_whole
from engine.core.errors import Problem
from engine.core.people import need
from engine.core.short_names import digest
from engine.spec.compute import group_and_lanes
from engine.spec.fidelity import Fidelity
from engine.spec.kinds.lab import LabTask
from engine.spec.lab import FEWEST, OWN, REFERENCE, candidates, reference
from engine.spec.repetition import kept_fractions
from engine.spec.study import StudySpec, design_points
from engine.studies import lifecycle
from engine.studies.measured import frame_of_study
from engine.studies.questions import Asked, ask_once, job_id_of
from engine.studies.rivals import losses_weighed
from engine.studies.training import trainable, vocabulary_of
from store import results, studies
from store.database import Store

SEEDS, MOST, LAB_SEED = 2, 256, 9000  # seeds of each mixture; mixtures at most; offset of seeds from the study's own
TIMES = 2.0  # the size of the reference, in a proxy's
LATER = 2.0  # priority of these jobs: after all else of a study


@dataclass(frozen=True)
class Plan:
    """A lab before it is begun. mixtures (N, D); fidelities: by name, the reference among them; flops: of all proxies
    of each; one: of a single proxy of the study; tasks."""

    mixtures: np.ndarray
    fidelities: dict[str, Fidelity]
    flops: dict[str, float]
    one: float
    tasks: list[LabTask]

    @property
    def runs(self) -> float:
        """What all of it costs, in proxies of the study."""
        return sum(self.flops.values()) / self.one


@dataclass(frozen=True)
class Lab:
    """What a lab measured so far. id: of its mixtures and seeds; reference: of what size, None while it is missing;
    found: every candidate that is there, the cheapest first; fidelities: by name, the reference not among them;
    lost: candidate -> why it is not judged; chosen: the recommended one, None where there is none."""

    id: str
    mixtures: int
    seeds: int
    reference: Fidelity | None
    reliability: float | None
    found: list[Judged]
    fidelities: dict[str, Fidelity]
    lost: dict[str, str]
    chosen: Judged | None


def plan_lab(
    store: Store, study: studies.Study, names: Sequence[str] = (), mixtures: int = FEWEST, times: float = TIMES
) -> Plan:
    """Which proxies a lab would train: these candidates (all by default) and the reference, on spread mixtures.

    times: the reference's weights and tokens, in a proxy's. Raises Problem if anything is invalid.
    """
    check(is_whole(mixtures, FEWEST, MOST), mixtures, "a lab's number of mixtures", f"from {FEWEST} to {MOST}")
    check(is_number(times) and 1 < times <= 64, times, "the size of a lab's reference", "above 1, up to 64")
    spec, frame = trainable(study), frame_of_study(study)
    if study.kind == "merge" or spec.fidelity is None:
        raise Problem(f"Cannot try fidelities in {study.name!r}: it is about merges. Ask its mixture study.")
    if spec.start is not None:
        raise Problem(
            f"Cannot try fidelities in {study.name!r}: its runs begin with a saved proxy, which has one architecture. "
            "Ask a study that begins with random weights."
        )
    known = candidates(spec.fidelity)
    if unknown := [name for name in names if name not in known]:
        raise Problem(f"Cannot try {unknown[0]!r}: the candidates of {study.name!r} are {', '.join(known)}.")
    chosen = {name: known[name] for name in names or known}
    points = design_points(replace(spec, seed=spec.seed + LAB_SEED), frame.design_space, frame.prior, mixtures)
    fidelities = {REFERENCE: reference(spec.fidelity, times), **chosen}  # nothing is judged without the first
    vocabulary = vocabulary_of(store, spec.corpus)
    count = len(points) * SEEDS
    return Plan(
        points,
        fidelities,
        {name: float(count * one.flops(vocabulary)) for name, one in fidelities.items()},
        float(spec.fidelity.flops(vocabulary)),
        [task_of(study, spec, points, name, one, vocabulary) for name, one in fidelities.items()],
    )


def task_of(
    study: studies.Study, spec: StudySpec, points: np.ndarray, name: str, fidelity: Fidelity, vocabulary: int
) -> LabTask:
    """The task that measures one fidelity on the points (N, D)."""
    seeds = [spec.seed + LAB_SEED + place for place in range(SEEDS)]
    keep = kept_fractions(spec, frame_of_study(study)).tolist()
    text = [spec.corpus, (study.corpus or {}).get("fingerprint"), study.domains, points.tolist(), seeds, keep]
    group, _ = group_and_lanes(spec.compute, fidelity, vocabulary, (), 1)
    return LabTask(
        study=study.id,
        name=name,
        lab=digest(text)[:12],
        reference=name == REFERENCE,
        corpus=spec.corpus,
        domains=study.domains,
        fidelity=fidelity.to_dict(),
        mixtures=points.tolist(),
        seeds=seeds,
        keep=keep,
        group=group,
        device=spec.compute.device,
    )


def start_lab(store: Store, study: studies.Study, plan: Plan) -> list[Asked]:
    """Queue the jobs of a plan; what was measured already is not measured again."""
    need("operator", "train proxies of other fidelities")
    settings = StudySpec.from_dict(study.spec).compute.settings(study.id) | {"priority": LATER}
    return [
        ask_once(store, job_id_of(study, "lab", task.to_dict()), task.spec(**settings), study.id) for task in plan.tasks
    ]


def lab_of(store: Store, study: studies.Study) -> Lab | None:
    """The newest lab of a study, by its own priorities of losses; None before anything is measured.

    Raises Problem where no domain's loss counts.
    """
    rows = results.labs(store, study.id)
    if not rows:
        return None
    own = [row for row in rows if row["settings"]["lab"] == rows[0]["settings"]["lab"]]  # the newest first
    weights, values, costs, sizes, lost = losses_weighed(store, study), {}, {}, {}, {}
    for row in own:
        name = row["settings"]["name"]
        if name in values or name in lost:
            continue
        table = np.array(row["found"]["losses"], float) @ weights  # (N, S), NaN of those that diverged
        sizes[name] = Fidelity.from_dict(row["settings"]["fidelity"])
        if gone := int(np.isnan(table).sum()):
            lost[name] = f"{gone} of {table.size} proxies diverged"
        else:
            values[name], costs[name] = table, float(row["found"]["flops"])
    settings = own[0]["settings"]
    whole, other = values.pop(REFERENCE, None), sizes.pop(REFERENCE, None)
    shape = len(settings["mixtures"]), len(settings["seeds"])
    if whole is None:
        return Lab(settings["lab"], *shape, other if REFERENCE in lost else None, None, [], sizes, lost, None)
    found = judged(values, whole, {name: cost / costs[REFERENCE] for name, cost in costs.items()})
    trust = float(reliability(whole))
    return Lab(settings["lab"], *shape, other, trust, found, sizes, lost, recommended(found))


def take(store: Store, study: studies.Study, name: str) -> Asked:
    """Begin a study like this one whose proxies are of a candidate's fidelity. Raises Problem for one that was not
    measured."""
    lab = lab_of(store, study)
    if lab is None or name not in lab.fidelities:
        there = ", ".join(lab.fidelities) if lab else "none"
        raise Problem(f"Cannot take the fidelity {name!r}: measured in {study.name!r} are {there}. Try it first.")
    spec = replace(StudySpec.from_dict(study.spec), fidelity=lab.fidelities[name])
    title = study.name if name == OWN else f"{study.name}, {name}"
    return lifecycle.begin(store, replace(spec, name=title))
