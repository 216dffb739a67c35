"""Commands on studies: start, show, stop, fit, search."""

from dataclasses import asdict

from engine.commands.jobs import answer_of
from engine.core.errors import Problem
from engine.core.people import takes
from engine.league import FEWEST_RUNS
from engine.search.methods import DEFAULT_METHOD
from engine.spec.repetition import DOSE, notes_on_repetition
from engine.spec.study import StudySpec
from engine.studies import advance, doses, fits, housekeeping, lifecycle, sizes
from engine.studies import text as texts
from engine.studies.lost import lost_words, lost_work
from engine.studies.measured import aggregate_of, for_fitting, frame_of_study
from engine.studies.moments import as_json, moment_of, with_behind
from engine.studies.questions import queue_search, with_optimism
from engine.studies.reach import with_places
from engine.studies.steering import before_it_starts, warnings
from engine.studies.training import costs, expected_roles
from store import jobs, results, runs, studies
from store.database import Store


def list_studies(store: Store, archived: bool = False) -> list[dict]:
    """All studies, pinned ones first, then the newest; archived: those that were archived too."""
    found = [one for one in studies.all_studies(store) if archived or not one.archived]
    return [summary(one) for one in sorted(found, key=lambda one: not one.pinned)]


def list_set_aside(store: Store) -> dict:
    """Lines of journals that could not be read or applied: how many there are, and the first, with the reasons."""
    names = ("journal", "byte", "text", "reason")
    return {
        "count": runs.corrupt_count(store),
        "lines": [dict(zip(names, line, strict=True)) for line in runs.corrupt_lines(store)],
    }


def summary(found: studies.Study) -> dict:
    """One study as an item of a list."""
    return {
        "study": found.id,
        "name": found.name,
        "state": found.state,
        "note": found.note,
        "tags": list(found.tags),
        "pinned": found.pinned,
        "archived": found.archived,
        "message": found.message,
        "corpus": found.spec["corpus"],
        "domains": found.coordinates,
        "metrics": [asdict(one) for one in found.objectives],
        "imported": found.imported,
        "runs": found.runs,
        "counts": found.counts,
        "roles": found.roles,
        "enough": found.enough,
    }


def show(store: Store, name: str) -> dict:
    """One study: its runs, jobs and latest leaderboard, and what its answers rest on at this moment."""
    found = studies.get(store, name)
    return {
        **summary(found),
        "spec": found.spec,
        "jobs": [asdict(job) for job in jobs.of_study(store, found.id)],
        "league": studies.league(store, found.id),
        "aggregate": aggregate_of(store, found).to_dict() if found.coordinates else None,
        "warnings": warnings(store, found, aggregate_of(store, found)) if found.coordinates else [],
        "moment": moment(store, found),
        **text(found),
        "sizes": sizes.summary(store, found),
        "costs": costs(store, found),
        "doses": repetition(store, found),
        "settled": advance.is_settled(store, found),
        "lost": lost(store, found),
        "corrupt_journal_lines": runs.corrupt_count(store),
    }


def moment(store: Store, found: studies.Study) -> dict | None:
    """What the study's answers rest on (engine/studies/moments.py), or the problem with its latest fit: the rest of the
    study can be shown all the same. None before it is planned."""
    try:
        return as_json(moment_of(store, found)) if found.coordinates else None
    except Problem as problem:
        return {"problem": str(problem)}


def lost(store: Store, found: studies.Study) -> dict:
    """Jobs that failed or were cancelled and that nothing has replaced, and what that means in sentences."""
    gone = lost_work(store, found)
    return {"jobs": [job.id for job in gone], "told": lost_words(found, gone)}


def repetition(store: Store, found: studies.Study) -> dict | None:
    """What dose runs measured, and how often each domain may be repeated as far as they tell; None without any."""
    if not found.roles.get(DOSE):
        return None
    try:
        dose_runs = doses.doses(store, found, aggregate_of(store, found))
    except Problem:  # the notes say why
        return None
    return {
        "runs": [{**asdict(one), "harms": one.harms} for one in dose_runs],
        "worth_repeating": [asdict(one) for one in doses.worth_repeating(dose_runs)],
    }


def text(found: studies.Study) -> dict:
    """How much text there is of each domain and how that is known, the budget, and what has to be known of both."""
    if not found.coordinates:
        return {"pools": None, "budget": None, "notes": []}
    try:
        frame, spec = frame_of_study(found), StudySpec.from_dict(found.spec)
    except Problem as problem:  # the rest of the study can be shown all the same
        return {"pools": None, "budget": None, "notes": [str(problem)]}
    return {
        "pools": frame.pools and frame.pools.rows(),
        "budget": frame.budget or None,
        "notes": [*frame.notes, *notes_on_repetition(spec, frame)],
    }


def list_runs(store: Store, name: str) -> list[dict]:
    """The runs of a study, one row each, with shares by domain and losses by metric."""
    found = studies.get(store, name)
    rows = runs.table(store, found.id).to_pylist()
    for row in rows:
        named = {
            "weights": found.coordinates,
            "losses": found.metrics,
            "losses_se": found.metrics,
            "shares": texts_of(found),
            "doses": found.coordinates,
        }
        if row["phases"]:
            row["phases"] = [dict(zip(found.coordinates, one, strict=True)) for one in row["phases"]]
        for column, names in named.items():
            values = row.pop(column)
            row[column] = dict(zip(names, values, strict=True)) if values else None
    return rows


def texts_of(found: studies.Study) -> list[str]:
    """The domains of the text that a study's proxies see: those of a merge study are no coordinates of it."""
    return list((found.corpus or {}).get("domains", ())) if found.kind == "merge" else found.coordinates


@takes("operator", "start a study")
def start(store: Store, spec: dict) -> dict:
    """Create a study from its settings (engine.spec.study.StudySpec) and start it; its text, as known, and its runs.

    Until its corpus is built, it is at most so many.
    """
    settings = StudySpec.from_dict(spec)
    begun = lifecycle.begin(store, settings)
    found = studies.get(store, begun.id)
    roles = expected_roles(found)
    known = sum(roles.values()) or None  # of a merge study nothing is known before it is planned
    facts = {"runs": known, "roles": roles, "costs": costs(store, found), "warnings": before_it_starts(settings)}
    return {"study": found.id, "already_there": begun.already_there, **facts, **text(found)}


@takes("operator", "say how much text a study has")
def give_text(
    store: Store, name: str, available_tokens: dict[str, float] | None = None, target_tokens: float | None = None
) -> dict:
    """Say how much text the real run of a planned study has, and its budget; it is searched again."""
    found = studies.get(store, name)
    texts.give_text(store, found, available_tokens or {}, target_tokens)
    return {"study": found.id, **text(studies.get(store, found.id))}


@takes("operator", "cancel a study")
def cancel(store: Store, name: str) -> dict:
    """Stop a study's jobs; its finished runs stay."""
    lifecycle.cancel(store, studies.get(store, name).id)
    return {"study": name, "state": "cancelled"}


@takes("operator", "pause a study")
def pause(store: Store, name: str) -> dict:
    """Pause a study: its jobs stop at a checkpoint and wait."""
    lifecycle.pause(store, studies.get(store, name).id)
    return {"study": name, "state": "paused"}


@takes("operator", "resume a study")
def resume(store: Store, name: str) -> dict:
    """Resume a paused or cancelled study and retry its failed jobs."""
    lifecycle.resume(store, studies.get(store, name).id)
    return {"study": name, "state": "active"}


@takes("operator", "choose how means are formed")
def choose_mean(store: Store, name: str, relative: bool | None = None) -> dict:
    """Make a study's means relative to the natural mixture, or plain; null: as the scripts of its domains are. It is
    searched again."""
    found = studies.get(store, name)
    lifecycle.choose_mean(store, found, relative)
    changed = studies.get(store, found.id)
    return {
        "study": found.id,
        "relative": relative,
        "aggregate": aggregate_of(store, changed).to_dict() if changed.coordinates else None,
    }


@takes("operator", "label a study")
def label_study(
    store: Store,
    name: str,
    new_name: str | None = None,
    note: str | None = None,
    tags: list[str] | None = None,
    pinned: bool | None = None,
    archived: bool | None = None,
) -> dict:
    """Rename, annotate, tag, pin or archive a study; what is left out stays as it is."""
    found = studies.get(store, name)
    housekeeping.label(store, found, new_name, note, tags, pinned, archived)
    return summary(studies.get(store, found.id))


@takes("operator", "delete a study")
def delete_study(store: Store, name: str, called: str) -> dict:
    """Delete a study, with its runs, jobs and candidates, for good; `called`: its name again, to confirm."""
    found = studies.get(store, name)
    gone = housekeeping.dependents(store, found)
    housekeeping.delete(store, found, called)
    return {"study": found.id, "deleted": {"runs": gone.runs, "jobs": gone.jobs, "candidates": gone.candidates}}


@takes("operator", "fit surrogates")
def fit(store: Store, name: str) -> dict:
    """Queue the leaderboard's fit on the runs that are there now, or name the job that has done so; with its state."""
    found = studies.get(store, name)
    if not fits.can_fit(store, found):
        count = len(for_fitting(store, found.id).ids)
        raise Problem(
            f"Cannot fit {name!r}: {count} of its runs are done and of one size, and cross-validation needs "
            f"{FEWEST_RUNS}. {found.way_on}"
        )
    warned = warnings(store, found, aggregate_of(store, found))
    return {"study": found.id, **answer_of(store, fits.ask_fit(store, found)), "warnings": warned}


@takes("operator", "start a search")
def search(
    store: Store,
    name: str,
    surrogate: str | None = None,
    priorities: dict | None = None,
    points: int = 1_000_000,
    method: str = DEFAULT_METHOD,
    prices: dict | None = None,
    limits: dict[str, float] | None = None,
) -> dict:
    """Queue a search of a million mixtures (or `points`) on a fitted surrogate; limits: losses at most, scores at least
    {metric: value}, that a run at the answer is to keep."""
    found = studies.get(store, name)
    job = queue_search(store, found, surrogate, priorities, points, method, prices, limits)
    warned = warnings(store, found, aggregate_of(store, found, priorities), limits or {})
    return {"study": found.id, **answer_of(store, job), "warnings": warned}


def list_searches(store: Store, name: str) -> list[dict]:
    """The results of a study's searches, latest first; optimism: how far above its prediction the best measures.

    Each says what stands behind it; each mixture its place: measured, interpolated, or extrapolated.
    """
    study = studies.get(store, name)
    found = with_places(store, study.id, results.searches(store, study.id))
    return with_behind(moment_of(store, study), [with_optimism(store, study, one) for one in found]) if found else []


COMMANDS = (
    list_studies,
    list_set_aside,
    show,
    list_runs,
    start,
    give_text,
    choose_mean,
    cancel,
    pause,
    resume,
    label_study,
    delete_study,
    fit,
    search,
    list_searches,
)
