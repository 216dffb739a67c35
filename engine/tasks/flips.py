"""Counts negative flips: windows of text and items of tasks that a run does worse than the reference beyond noise.

A window is worse where its loss lies above the mean of the reference's seeds by more than half the 95% interval of such
a difference; the noise between seeds is pooled over all mixtures that were trained with several, and over a
domain's windows. Merges have no seeds: a window is worse where the mean difference of its tokens' losses lies above 0
by more than half its 95% interval. An item is worse where the run scores less than each of the reference's seeds. A run
of the reference is compared with its other seeds. S seeds, w windows, T tokens of a window, I items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.corpus import windows
from engine.jobs.events import JobNote, RunsCompared
from engine.jobs.runs import ComparedRun
from engine.jobs.spool import Job
from engine.spec.flips import WINDOWS, items_of
from engine.spec.kinds.flips import FlipsTask, PlacedRun
from engine.spec.statistics import ci_half_width
from engine.tasks import outcomes

SAME = 1e-3  # scores that differ by less are equal: they are kept in half precision
SAME_TOKEN = 1e-6  # nats by which losses differ in rounding alone
Share = tuple[float, float]  # and its standard error


def noise_of(groups: Sequence[np.ndarray]) -> float | None:
    """Standard deviation of a window's loss between seeds, pooled over windows and mixtures (S, w); None where no
    mixture has two seeds. A shift that all windows of a seed share is a part of it: no mixture made it."""
    several = [losses for losses in groups if len(losses) > 1]
    freedom = sum((len(losses) - 1) * losses.shape[1] for losses in several)
    if not freedom:
        return None
    squares = sum(((losses - losses.mean(axis=0)) ** 2).sum() for losses in several)
    return float(max(np.sqrt(squares / freedom), 1e-9))


def worse_windows(own: np.ndarray, reference: np.ndarray, noise: float) -> Share:
    """The share of windows (w,) that are worse than under the reference (S, w) beyond noise."""
    beyond = ci_half_width(noise * np.sqrt(1 + 1 / len(reference)))
    return _share(own - reference.mean(axis=0) > beyond)


def worse_items(own: np.ndarray, reference: np.ndarray) -> Share:
    """The share of items (I,) that score less than under every seed of the reference (S, I); NaN is left out."""
    known = np.isfinite(own) & np.isfinite(reference).all(axis=0)
    return _share(own[known] < reference[:, known].min(axis=0) - SAME)


def worse_by_tokens(own: np.ndarray, reference: np.ndarray) -> Share:
    """The share of windows whose tokens have higher losses than under the reference, (w, T) each, beyond their noise.
    NaN: no token that counts; a window of fewer than two tells nothing, and is not worse."""
    gap = own - reference
    known = np.isfinite(gap)
    count = known.sum(axis=1)
    mean = np.where(known, gap, 0).sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(known, gap - mean[:, None], 0) ** 2).sum(axis=1)
    error = np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1))
    return _share((count > 1) & (mean > ci_half_width(error)) & (mean > SAME_TOKEN))


def of_all(shares: Sequence[Share]) -> Share:
    """The mean of the domains' shares, and its standard error."""
    values, errors = np.array(shares).T
    return float(values.mean()), float(np.sqrt((errors**2).sum()) / len(errors))


def _share(worse: np.ndarray) -> Share:
    """A share and its binomial error, as if two of four more had been worse, since of none or all it would be 0
    (Agresti and Coull 1998); of no window NaN."""
    if not len(worse):
        return np.nan, np.nan
    near = (worse.sum() + 2) / (len(worse) + 4)
    return float(worse.mean()), float(np.sqrt(near * (1 - near) / (len(worse) + 4)))


@dataclass(frozen=True)
class Kept:
    """What was kept of runs, by id: the losses of windows by domain, and the scores of items by task, where it has
    any."""

    bits: dict[str, dict[str, np.ndarray]]
    scores: dict[str, dict[str, np.ndarray]]

    @classmethod
    def load(cls, workspace: Path, runs: Sequence[str], tasks: Sequence[str]) -> "Kept":
        """Of those runs whose files are there and whole."""
        bits, scores = {}, {}
        for run in runs:
            try:
                own = windows.load(windows.file_of(workspace, run)).bits
                found = outcomes.load(outcomes.file_of(workspace, run)) if tasks else {}
                scores[run] = {task: found[task].scores for task in tasks if task in found}
                bits[run] = own
            except Problem:
                continue
        return cls(bits, scores)


def compared(task: FlipsTask, kept: Kept) -> list[ComparedRun]:
    """The flips of the runs that are asked about and kept theirs. Raises Problem where the reference has too few."""
    reference = [run for run in task.reference if run in kept.bits]
    if len(reference) < 2:
        raise Problem(
            f"Cannot count what got worse in {task.study!r}: {len(reference)} runs of its reference kept their "
            "windows, and two seeds are the fewest. Train the reference again with other seeds (repeats)."
        )
    noise = {domain: _noise(task.runs, kept, domain) for domain in kept.bits[reference[0]]}
    numbers = {run.id: run.number for run in task.runs} | {run: number_of(run) for run in task.asked}
    return [
        ComparedRun(
            id=run, number=numbers[run], **_values(run, [one for one in reference if one != run], kept, noise, task)
        )
        for run in task.asked
        if run in kept.bits
    ]


def number_of(run: str) -> int:
    """The number of a run in its study, from its id."""
    return int(run.rpartition("-")[2])


def _noise(runs: Sequence[PlacedRun], kept: Kept, domain: str) -> float:
    groups: dict[tuple[float, ...], list[np.ndarray]] = {}
    for run in runs:
        if run.id in kept.bits:
            groups.setdefault(tuple(np.round(run.weights, 6)), []).append(kept.bits[run.id][domain])
    found = noise_of([np.stack(losses) for losses in groups.values()])
    assert found is not None  # the reference has two seeds
    return found


def _values(
    run: str, reference: list[str], kept: Kept, noise: dict[str, float], task: FlipsTask
) -> dict[str, dict[str, float]]:
    """The values and standard errors of a run's metrics, by name."""
    by_domain = [
        worse_windows(kept.bits[run][domain], np.stack([kept.bits[one][domain] for one in reference]), sigma)
        for domain, sigma in noise.items()
    ]
    found = {WINDOWS: of_all(by_domain)}
    for name in task.tasks:
        there = [kept.scores[one][name] for one in reference if name in kept.scores[one]]
        if there and name in kept.scores[run]:  # a task that could not be scored has none
            found[items_of(name)] = worse_items(kept.scores[run][name], np.stack(there))
    known = {name: pair for name, pair in found.items() if np.isfinite(pair).all()}
    return {
        "losses": {name: one for name, (one, _) in known.items()},
        "losses_se": {name: e for name, (_, e) in known.items()},
    }


def run(job: Job) -> None:
    """The background job of a FlipsTask; says how many runs kept nothing to compare."""
    task = job.task(FlipsTask)
    everything = list(dict.fromkeys([*(one.id for one in task.runs), *task.asked]))
    job.progress(0, 1, "reading what runs kept of single windows and items")
    kept = Kept.load(job.workspace, everything, task.tasks)
    found = compared(task, kept)
    job.emit(RunsCompared(study=task.study, runs=found))
    if lost := len(task.asked) - len(found):
        words = "kept no windows or items: what got worse there is unknown."
        job.emit(JobNote(f"{lost} of {counted(len(task.asked), 'run')} {words}"))
    job.progress(1, 1, "done")
