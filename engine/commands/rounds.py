"""Commands on rounds: trade-offs and targets of a search, next runs, confirmations, new sources, changed domains."""

from dataclasses import asdict

import numpy as np

from engine.commands.jobs import answer_of
from engine.core.checks import check, is_whole
from engine.core.errors import Problem
from engine.core.people import need, takes
from engine.search import plain
from engine.search.job import draws_file, limits_of
from engine.search.pool import Pool, front, meet_targets
from engine.space.baselines import epochs
from engine.studies import confirmations, domain_changes, price_ledger, proposals, repeating, size_plans, source_value
from engine.studies.claims import claims
from engine.studies.desk_file import desk_of
from engine.studies.fits import fit_of, load
from engine.studies.levels import levels_in, told, totals_in
from engine.studies.measured import aggregate_in, aggregate_of, frame_of_study
from engine.studies.moments import Moment, moment_of, with_behind
from engine.studies.points import named_points, point_of
from engine.studies.questions import checked_limits, limits_in
from engine.studies.reach import places_in
from engine.studies.steering import warnings
from engine.studies.targets import checked_tokens, fit_at
from engine.studies.training import vocabulary_of
from store import results, studies
from store.database import Store


def repetition(store: Store, name: str, tokens: float | None = None, candidate: str | None = None) -> dict:
    """What reading each domain more often is predicted to do in a real run of `tokens`, and how often is worth it."""
    study = studies.get(store, name)
    if (fit := fit_of(store, study)) is None:
        raise Problem(f"Cannot tell what repetition does in {name!r}: nothing is fitted yet. {study.way_on}")
    frame, aggregate = frame_of_study(study), aggregate_of(store, study)
    tokens = checked_tokens(frame.budget if tokens is None else tokens)
    at = next(iter(named_points(moment_of(store, study, aggregate)).values()))
    at = at if candidate is None else point_of(store, study, candidate)
    answer = {
        "study": study.id,
        "surrogate": fit.name,
        "tokens": tokens,
        "mixture": dict(zip(study.coordinates, at.tolist(), strict=True)),
        "totals": totals_in(study, at),
        "unknown": repeating.why_not(study, frame, fit),
        "extrapolated": None,
        "domains": [],
    }
    if answer["unknown"] is None:
        there = fit_at(study, frame, fit, tokens)
        found = repeating.curves(store, study, frame, there, aggregate, at, tokens)
        answer["domains"] = [repeating.as_json(one, aggregate) for one in found]
        passes = epochs(at, frame.pools.tokens, tokens)
        answer["extrapolated"] = repeating.beyond(study.coordinates, passes, repeating.epochs_read(store, study, frame))
    return answer


def desk(store: Store, name: str, surrogate: str | None = None, priorities: dict | None = None) -> dict:
    """What a desk needs to work on its own: runs, the numbers of a surrogate, named points; no text of a corpus."""
    return desk_of(store, studies.get(store, name), surrogate, priorities)


def drawn(store: Store, name: str) -> tuple[Moment, dict, Pool]:
    """A study now, its search in use, or the latest where none is by its own priorities, and that search's draws.
    Raises Problem before the first search."""
    found = studies.get(store, name)
    if not (done := results.searches(store, found.id)):
        raise Problem(f"Cannot read the draws of {name!r}: there is no search yet. Search first.")
    moment = moment_of(store, found)
    search = moment.search or next((one for one in done if not one["settings"].get("limits")), done[0])
    return moment, search, Pool.load(store.workspace.root / draws_file(search["job"]))


def trade_off(store: Store, name: str, metrics: list[str], limits: dict[str, float] | None = None) -> list[dict]:
    """The Pareto front of the draws of the search in use, along the first metric; limits: losses at most, scores at
    least {metric: value}, that runs on it keep with a probability of 90%."""
    moment, search, pool = drawn(store, name)
    study, settings = moment.study, search["settings"]
    columns, signs = columns_of(study, metrics)
    if limits:
        folder = store.workspace.surrogates(study.id, settings["fingerprint"])
        wanted = limits_of(limits_in(store, study, checked_limits(study, limits)), len(study.metrics))
        pool = wanted.within(pool, load(folder / f"{settings['surrogate']}.npz"))
    rows, fingerprint, levels = front(pool, columns, signs), settings["fingerprint"], levels_in(study)
    return [
        {
            "shares": dict(zip(study.coordinates, pool.points[row].round(6).tolist(), strict=True)),
            "totals": told(levels, pool.points[row]),
            "predicted": dict(zip(study.metrics, pool.mean[row].round(6).tolist(), strict=True)),
            "place": place,
        }
        for row, place in zip(rows, places_in(store, study.id, pool.points[rows], fingerprint), strict=True)
    ]


def columns_of(study: studies.Study, metrics: list[str]) -> tuple[list[int], np.ndarray]:
    """The columns of metrics by name, and the signs (M,) of all. Raises Problem if one is unknown."""
    if unknown := [metric for metric in metrics if metric not in study.metrics]:
        raise Problem(f"Cannot use {unknown[0]!r}: the metrics of this study are {', '.join(study.metrics)}.")
    signs = np.array([-1.0 if one.higher_is_better else 1.0 for one in study.objectives])
    return [study.metrics.index(metric) for metric in metrics], signs


def targets(store: Store, name: str, limits: dict[str, float], most: int = 10) -> dict:
    """Inverse search: the likeliest mixtures for losses of at most (scores of at least) `limits` {metric: value}."""
    check(is_whole(most, 1), most, "the number of mixtures", "a whole number of at least 1")
    moment, search, pool = drawn(store, name)
    study = moment.study
    wanted = limits_of(limits_in(store, study, checked_limits(study, limits)), len(study.metrics))
    settings = search["settings"]
    folder = store.workspace.surrogates(study.id, settings["fingerprint"])
    found = meet_targets(pool, load(folder / f"{settings['surrogate']}.npz"), wanted)
    ranges = None
    if found.lowest is not None:
        ranges = {
            domain: [float(low), float(high)]
            for domain, low, high in zip(study.coordinates, found.lowest, found.highest, strict=True)
        }
    rows, levels = found.rows[:most], levels_in(study)
    places = places_in(store, study.id, pool.points[rows], settings["fingerprint"])
    mixtures = [
        {
            "chance": round(float(chance), 4),
            "shares": dict(zip(study.coordinates, pool.points[row].tolist(), strict=True)),
            "totals": told(levels, pool.points[row]),
            "predicted": dict(zip(study.metrics, pool.mean[row].tolist(), strict=True)),
            "place": place,
        }
        for row, chance, place in zip(rows, found.chance[:most], places, strict=True)
    ]
    behind = asdict(moment.behind(search))
    weighed = aggregate_in(store, study, search)
    return {
        "search": {"job": search["job"], "surrogate": settings["surrogate"], "t": search["t"], **behind},
        "predicted_to_keep_all": found.expected,
        "draws": len(pool.points),
        "ranges": ranges,
        "in_the_way": study.metrics[found.binding],
        "mixtures": mixtures,
        "warnings": warnings(store, study, weighed, limits),
    }


@takes("operator", "ask for the next runs")
def propose(
    store: Store,
    name: str,
    proposer: str = "improvement",
    count: int = 8,
    surrogate: str | None = None,
    priorities: dict | None = None,
) -> dict:
    """Queue a proposal of next runs."""
    found = studies.get(store, name)
    job = proposals.queue_proposal(store, found, proposer, count, surrogate, priorities)
    warned = warnings(store, found, aggregate_of(store, found, priorities))
    return {"study": found.id, **answer_of(store, job), "warnings": warned}


def list_proposals(store: Store, name: str) -> list[dict]:
    """The proposals for a study, latest first, with what stands behind each."""
    study = studies.get(store, name)
    found = results.proposals(store, study.id)
    return with_behind(moment_of(store, study), found) if found else []


@takes("operator", "train proposed mixtures")
def start_proposed(store: Store, name: str, points: list[list[float]]) -> dict:
    """Train proxies at proposed mixtures; the leaderboard refits when they are in."""
    found = studies.get(store, name)
    return {"study": found.id, **proposals.start_proposed(store, found, np.array(points, float))._asdict()}


@takes("operator", "confirm mixtures")
def confirm(
    store: Store,
    name: str,
    candidate: str = "best",
    times: float = 4,
    seeds: int = 3,
    spread: int = 4,
    rivals: list[str] | None = None,
) -> dict:
    """Train a candidate, the baselines and a spread of others as larger models with several seeds."""
    found = studies.get(store, name)
    plan = confirmations.plan_confirmation(store, found, candidate, times, seeds, spread, rivals or ())
    new = confirmations.confirm(store, found, plan)
    return {"study": found.id, "mixtures": list(plan.mixtures), "runs": new, "already_there": not new}


def plan_confirmation(
    store: Store,
    name: str,
    candidate: str = "best",
    times: float = 4,
    seeds: int = 3,
    spread: int = 4,
    rivals: list[str] | None = None,
) -> dict:
    """What a confirmation would train, what that costs, and which claims its noise lets it make. Trains nothing."""
    found = studies.get(store, name)
    plan = confirmations.plan_confirmation(store, found, candidate, times, seeds, spread, rivals or ())
    one, vocabulary = plan.fidelity, vocabulary_of(store, found.spec["corpus"])
    return {
        "study": found.id,
        "mixtures": list(plan.mixtures),
        "seeds": plan.seeds,
        "runs": plan.runs,
        "tokens": plan.runs * one.trained_tokens,
        "flops": plan.runs * one.flops(vocabulary),
        **asdict(claims(store, found, plan, aggregate_of(store, found))),
    }


def trust(store: Store, name: str, surrogate: str | None = None) -> list[dict]:
    """How well proxies predict the larger models trained so far, the largest first."""
    found = studies.get(store, name)
    return [
        {
            "fidelity": one.fidelity.to_dict(),
            "mixtures": one.names,
            "predicted": one.predicted.tolist(),
            "runs": one.runs,
            "done": one.done,
            "waiting": one.waiting,
            "trust": plain(one.trust),
        }
        for one in confirmations.confirmations(store, found, surrogate)
    ]


def scale(store: Store, name: str) -> dict:
    """Ways to extrapolate over shares and size, fitted without the largest size and checked there, the best first."""
    return plain(confirmations.scale_check(store, studies.get(store, name)))


@takes("viewer", "price a source")
def value_source(
    store: Store,
    name: str,
    corpus: str,
    domain: str,
    share: float = source_value.SHARE,
    candidate: str | None = None,
    priorities: dict[str, float] | None = None,
) -> dict:
    """What a share of a domain of any built corpus is predicted to change before a proxy saw it, with the evidence;
    written into the ledger for a reviewer or an operator."""
    found = studies.get(store, name)
    by = aggregate_of(store, found, priorities)
    value = source_value.value_source(store, found, corpus, domain, by, share, candidate)
    beside = [{**asdict(one), "rank": rank} for one, rank in value.studies]
    answer = {**asdict(value), "told": value.settled}  # told: as version 0.3 called it
    registered = price_ledger.register(store, found, corpus, domain, value, by)
    return {"study": found.id, **answer, "studies": beside, "registered": registered}


def plan_runs(
    store: Store, name: str, parameters: float, tokens: float, flops: float, priorities: dict[str, float] | None = None
) -> dict:
    """Which sizes to buy further runs at, by information per FLOP about the choice at a target."""
    study = studies.get(store, name)
    by = aggregate_of(store, study, priorities)
    return size_plans.as_json(study, by, size_plans.plan_runs(store, study, by, parameters, tokens, flops))


@takes("viewer", "change the domains of a study")
def change_domains(
    store: Store, name: str, corpus: str, parts: dict | None = None, new_name: str | None = None, start: bool = False
) -> dict:
    """Preview a study on a corpus with other domains, and its cost compared with starting again; start: do it."""
    if start:
        need("operator", "change the domains of a study")
    found = studies.get(store, name)
    plan = domain_changes.plan_change(store, found, corpus, parts, new_name)
    answer = {
        "domains": list(plan.change.new),
        "opened": plan.change.touched,
        "removed": plan.change.removed,
        "frozen": plan.change.unchanged,
        "runs_that_count": len(plan.ids),
        "of": found.done,
        "new_runs": plan.count + len(plan.priced),
        "runs_if_started_anew": domain_changes.SPARE * plan.reuse.from_scratch,
    }
    return answer | ({"study": domain_changes.start_change(store, found, plan)} if start else {})


COMMANDS = (
    trade_off,
    targets,
    repetition,
    desk,
    propose,
    list_proposals,
    start_proposed,
    plan_confirmation,
    confirm,
    trust,
    scale,
    value_source,
    plan_runs,
    change_domains,
)
