"""Changes of domains: a study that continues another one, with the runs that still count. Uses the store."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from engine.core.errors import Problem
from engine.core.people import takes
from engine.jobs.decisions import PlannedJob, StudyCreated, StudyMetric, StudyPlanned
from engine.jobs.runs import CarriedRun, PlannedRun, run_id
from engine.space.domain_change import Change, Reuse, reuse
from engine.space.groups import Group
from engine.space.simplex import Simplex
from engine.spec.frame import Frame, frame_of
from engine.spec.groups import lasting
from engine.spec.study import StudySpec, chosen_domains, design_points
from engine.studies.advance import advance, text_of
from engine.studies.jobs import queue_runs
from engine.studies.lifecycle import same_study
from engine.studies.measured import for_fitting, frame_of_study
from engine.studies.moments import moment_of
from engine.studies.points import BEST_PREDICTED, named_points
from engine.studies.price_ledger import priced_points
from engine.studies.tasks import objectives_in
from engine.studies.training import trainable, training_jobs, vocabulary_of
from store import corpora, studies
from store.database import Store, in_turn

SPARE = 2  # times the law's minimum of runs: cross-validation needs some too


@dataclass(frozen=True)
class Succession:
    """A change of domains before it starts.

    spec: of the new study; reuse: engine.space.domain_change.Reuse; ids: the runs that still count; known:
    (E,) whether a domain's loss was measured on the same held-out text; count: new runs that will be trained; priced:
    mixtures (E,) that are trained besides, by what they are called: they measure what new sources were priced at.
    """

    spec: StudySpec
    change: Change
    reuse: Reuse
    ids: list[str]
    losses: np.ndarray
    known: np.ndarray
    count: int
    priced: dict[str, np.ndarray]


def plan_change(
    store: Store,
    study: studies.Study,
    corpus: str,
    parts: dict[str, dict[str, float]] | None = None,
    name: str | None = None,
) -> Succession:
    """A study's continuation on another corpus.

    parts: old domain -> {new domain: fraction of it} (engine.space.domain_change.Change); by default a domain of the
    same name and text stays, and one that the corpus lacks is removed. Raises Problem if the corpus does not exist, or
    nothing changes.
    """
    old_spec, manifest = trainable(study), corpora.manifest(store, corpus)
    if manifest is None:
        built = ", ".join(corpora.names(store)) or "none"
        raise Problem(f"Cannot change to the corpus {corpus!r}: it is not built. Corpora here: {built}.")
    spec = spec_on(old_spec, study, corpus, manifest, name)
    new = chosen_domains(spec, manifest)
    same = {name for name in study.domains if name in new and same_text(study, manifest, name)}
    said = parts or {}
    if unknown := [name for name in said if name not in study.domains]:
        raise Problem(f"Cannot change {unknown[0]!r}: the domains of {study.name!r} are {', '.join(study.domains)}.")
    stays = {name: {name: 1.0} if name in same else {} for name in study.domains}
    change = Change(tuple(study.domains), tuple(new), stays | said)
    measured = for_fitting(store, study.id)
    best = named_points(moment_of(store, study))
    frozen = best.get(BEST_PREDICTED, next(iter(best.values())))  # a baseline may lie outside the bounds
    kept = reuse(change, measured.weights, frame_of_study(study).space.project(frozen[None])[0])
    losses = np.full((len(kept.rows), len(new)), np.nan)
    for name in same:
        losses[:, new.index(name)] = measured.losses[kept.rows, study.metrics.index(name)]
    ids = [measured.ids[row] for row in kept.rows]
    space, priced = frame_of(spec, new, manifest).design_space, priced_points(store, study, new, manifest["domains"])
    inside = {label: point for label, point in priced.items() if space.contains(point[None])[0]}
    return Succession(spec, change, kept, ids, losses, np.isin(new, list(same)), SPARE * kept.needed, inside)


def spec_on(spec: StudySpec, study: studies.Study, corpus: str, manifest: dict, name: str | None) -> StudySpec:
    """A study's settings on another corpus: what is said of domains that it lacks goes, and so do counts of text that
    became another."""
    there = manifest["domains"]
    return replace(
        spec,
        name=name or f"{study.name} on {corpus}"[:80],
        corpus=corpus,
        domains=(),
        priorities={domain: weight for domain, weight in spec.priorities.items() if domain in there},
        bounds={domain: bound for domain, bound in spec.bounds.items() if domain in there},
        available_tokens={
            domain: count
            for domain, count in spec.available_tokens.items()
            if domain in there and same_text(study, manifest, domain)
        },
        dose_runs=0,
        phases=(),
        order_triples=None,
        branches=0,
        flips=False,  # the runs that are carried over were compared with another reference
        groups=lasting(spec.groups, list(there)),
    )


def same_text(study: studies.Study, manifest: dict, domain: str) -> bool:
    """Whether a domain has the same validation text in the study's corpus and in another."""
    before = study.corpus["domains"].get(domain, {}).get("sha256", {}).get("valid")
    return before is not None and before == manifest["domains"][domain]["sha256"]["valid"]


@takes("operator", "change the domains of a study")
@in_turn
def start_change(store: Store, study: studies.Study, plan: Succession) -> str:
    """Create the continuing study, with the runs that count, and queue the new ones; returns its id, also where it was
    created before."""
    if (there := same_study(store, plan.spec)) is not None:
        return there
    manifest = corpora.manifest(store, plan.spec.corpus)
    new = list(plan.change.new)
    frame = frame_of(plan.spec, new, manifest)
    successor = f"{study.id[:40]}-{plan.spec.corpus}"[:56]
    taken = {one.id for one in studies.all_studies(store)}
    successor = next(name for n in range(1, 1000) if (name := f"{successor}-{n}") not in taken)
    rows = [
        {
            "role": "carried",
            "label": run,
            "weights": weights.tolist(),
            "losses": [None if np.isnan(x) else float(x) for x in losses],
        }
        for run, weights, losses in zip(plan.ids, plan.reuse.weights, plan.losses, strict=True)
    ]
    fresh = [{"role": "baseline", "label": name, "weights": p.tolist()} for name, p in frame.baselines.items()]
    fresh += [{"role": "proposed", "label": label, "weights": p.tolist()} for label, p in plan.priced.items()]
    fresh += [{"role": "design", "label": None, "weights": p.tolist()} for p in opened(plan, frame)]
    for number, row in enumerate([*rows, *fresh], 1):
        row |= {"id": run_id(successor, number), "number": number, "seed": plan.spec.seed}
    planned = training_jobs(successor, plan.spec, frame, fresh, vocabulary_of(store, plan.spec.corpus))
    store.write(StudyCreated(successor, plan.spec.name, plan.spec.to_dict()))
    decided = StudyPlanned(
        study=successor,
        domains=new,
        metrics=[StudyMetric(**asdict(one)) for one in objectives_in(store, plan.spec, new, frame.prior_name)],
        corpus=text_of(frame, manifest),
        runs=[PlannedRun(**row) for row in fresh],
        jobs=[PlannedJob(**one) for one in planned],
        carried=[CarriedRun(**row) for row in rows],
    )
    queue_runs(store, decided)
    advance(store)
    return successor


def opened(plan: Succession, frame: Frame) -> np.ndarray:
    """(count, E) initial design over the touched domains and those that stay as they are, by the study's design and
    inside all of its bounds: what stays keeps its ratios, as one more group, which may cross others. Raises Problem
    where it cannot."""
    if not plan.count or len(plan.reuse.names) < 2:
        return np.empty((0, len(plan.change.new)))
    space, prior = frame.space, frame.prior.copy()
    assert isinstance(space, Simplex)
    if plan.change.unchanged:
        places = [plan.change.new.index(name) for name in plan.change.unchanged]
        ratios = plan.reuse.virtual[-1, places]
        frozen = Group("unchanged", tuple(plan.change.unchanged), ratios=tuple(ratios.tolist()))
        space, prior[places] = replace(space, groups=(*space.groups, frozen)), prior[places].sum() * ratios
    return design_points(plan.spec, space, prior, plan.count)
