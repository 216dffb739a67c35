"""Runs that end early, as all of their predicted interval is worse than the best finished run. Off unless asked for.

The rule is that of benchmarks/curves.py. It is asked whenever the studies go on, of runs that have a look at their
losses on the way, once enough runs were trained whole. Baselines, repeats and runs of doses or phases are never
stopped: they measure noise, or others are compared with them. A stopped run has no results, so surrogates learn from
the runs that were trained whole, and pages and commands say how many were not. Uses the store.
"""

from dataclasses import dataclass

from engine.core.short_names import counted
from engine.jobs import stops
from engine.spec.objectives import Aggregate
from engine.studies.endings import WORSE, Ending, endings_of
from engine.studies.measured import aggregate_of
from store import studies
from store.database import Store
from store.stopped import StoppedRun, jobs_of, stopped, tokens_of_ended

FIRST = 12  # runs that are trained whole before any is stopped, or as many as a fit needs where that is more
ROLES = ("design", "proposed")  # that may be stopped


@dataclass(frozen=True)
class Spared:
    """Runs of a study that ended early, and the part that this saved of the tokens of all runs that have ended."""

    runs: list[StoppedRun]
    saved: float

    @property
    def sentence(self) -> str:
        """How many, when, what it saved, and what follows."""
        parts = sorted(one.tokens / one.whole for one in self.runs)
        when = f"{parts[0]:.0%}" if parts[0] == parts[-1] else f"{parts[0]:.0%} to {parts[-1]:.0%}"
        return (
            f"{counted(len(self.runs), 'run')} stopped early, after {when} of the tokens, which saved {self.saved:.0%} "
            "of the tokens of all runs that have ended. Surrogates learn from runs that were trained whole alone, so "
            "they know less of bad mixtures."
        )


def stop_hopeless(store: Store, study: studies.Study) -> None:
    """Ask the jobs of a study that wants it to end its hopeless runs. Idempotent."""
    if not study.spec.get("stop_hopeless") or not study.counts.get("running") or study.done < fewest(study):
        return
    found = endings_of(store, study, aggregate_of(store, study))
    worse = {one.run: one for one in found.runs if one.verdict == WORSE and one.taught >= fewest(study)}
    for job, own in jobs_of(store, list(worse), ROLES).items():
        stops.ask(store.spool, job, {run: reason(worse[run], found.by) for run in own})


def fewest(study: studies.Study) -> int:
    """How many runs must have been trained whole before one is stopped."""
    return max(FIRST, study.enough)


def reason(one: Ending, by: Aggregate) -> str:
    """Why a run is stopped, in a sentence, in the sign that people read."""
    mean, best = by.sign * one.mean[-1], by.sign * one.best
    return (
        f"Stopped early: by its losses after {one.tokens:,} of {one.whole:,} tokens, {by.title} was predicted to end "
        f"at {mean:.4g} ± {one.half[-1]:.2g}, and the best of {one.taught} finished runs has {best:.4g}."
    )


def spared(store: Store, study: studies.Study) -> Spared | None:
    """What stopping runs of a study early has saved; None where none was."""
    found = stopped(store, study.id)
    if not found:
        return None
    less = sum(one.whole - one.tokens for one in found)
    return Spared(found, less / (less + tokens_of_ended(store, study.id)))
