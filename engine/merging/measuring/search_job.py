"""The background job "merge_search": measure merges, chosen by a strategy, until a budget is spent."""

import time
from dataclasses import asdict

import numpy as np
import torch

from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.jobs.events import RunsMeasured
from engine.jobs.journal import read_events
from engine.jobs.runs import MeasuredRun, run_id
from engine.jobs.spool import Job
from engine.merging.measuring.job import merges_of, why_missing
from engine.search.job import limits_of
from engine.search.strategies import STRATEGIES, History, Question
from engine.space.box import Box
from engine.spec.kinds.merge_search import MergeSearchFinished, MergeSearchTask
from engine.spec.objectives import Aggregate
from engine.spec.statistics import first_lowest, weighted_sum


def run(job: Job) -> None:
    """Run a MergeSearchTask: emit `runs.measured` for every batch, and the result at the end.

    Its state is what it has measured, so it resumes after a pause or a kill. Raises Stopped, and Problem for an invalid
    task.
    """
    task = job.task(MergeSearchTask)
    settings = task.settings
    if task.device != "cuda":
        torch.set_num_threads(1)
    merges = merges_of(task, job)
    question = Question(
        Box.from_dict(task.space),
        np.array(task.prior, float),
        Aggregate.from_dict(settings.aggregate).weights,
        settings.evaluations,
        merges.batch_size,
        settings.surrogate,
        settings.seed,
        settings.spread,
        limits_of(task.limits, len(settings.aggregate["weights"])) if task.limits else None,
    )
    search = Search(job, task, merges, question)
    while left := search.left():
        points = STRATEGIES[settings.strategy](search.history(), question)[:left]
        if not len(points):
            break  # the grid is exhausted
        search.measure(points)
    search.finish()


class Search:
    """What a search has measured so far, in this attempt and those before it."""

    def __init__(self, job: Job, task: MergeSearchTask, merges, question: Question):
        self.job, self.task, self.merges, self.question = job, task, merges, question
        measured = [event.runs for event in read_events(job.folder, RunsMeasured)]
        self.runs = [run for batch in measured for run in batch]
        self.before, self.began = sum(run.seconds for run in self.runs), time.monotonic()  # of earlier attempts

    @property
    def seconds(self) -> float:
        """Seconds searched so far; of earlier attempts, only the measuring counts."""
        return self.before + time.monotonic() - self.began

    def left(self) -> int:
        """Evaluations left in the budget. Raises Stopped."""
        settings = self.task.settings
        total, done = settings.evaluations, len(self.runs)
        self.job.progress(done, total, f"{done} of {total} merges measured{self.best_so_far()}")
        over = settings.minutes and self.seconds >= 60 * settings.minutes
        return 0 if over and self.runs else max(0, total - done)  # at least one batch, so that there is a result

    def best_so_far(self) -> str:
        if not self.runs:
            return ""
        history = self.history()
        scores = weighted_sum(history.mine()[1], self.question.metric_weights)
        return f", best {scores[first_lowest(self.ranked(history))]:.4f}"

    def ranked(self, history: History) -> np.ndarray:
        """(R,) what its own merges are ranked by, the lowest first."""
        return self.question.scores(history)[len(history.points) - history.own :]

    @property
    def counted(self) -> np.ndarray:
        """(M,) whether each metric counts, or has a limit."""
        limits = self.question.limits
        found: np.ndarray = np.asarray(self.question.metric_weights) != 0
        return found if limits is None else found | np.isfinite(limits.values)

    def history(self) -> History:
        """Known runs, then its own. A diverged or refused merge counts as worse than all others, one without a score as
        the worst in that score. A score that no merge has is 0 for all, if it does not count."""
        known, size = self.task.known, len(self.question.centre)
        points = np.array(known.weights + [run.weights for run in self.runs], float).reshape(-1, size)
        metrics = len(self.question.metric_weights)
        losses = [[np.nan if x is None else x for x in row] for row in known.losses]
        losses += [[np.nan if x is None else x for x in run.losses] for run in self.runs]
        losses = np.array(losses, float).reshape(-1, metrics)
        if len(losses) and not np.isfinite(losses).all():
            nowhere = ~np.isfinite(losses).any(axis=0)
            if (nowhere & self.counted).any():
                why = next((run.missing for run in self.runs if run.missing), None)
                cure = "Lower the upper bound of the coefficients."
                raise Problem(f"Cannot search: every merge breaks a metric that counts. {why or cure}")
            losses[:, nowhere] = 0.0
            losses = np.where(np.isfinite(losses), losses, np.nanmax(np.where(np.isfinite(losses), losses, np.nan), 0))
        errors = known.losses_se or [[np.nan] * metrics] * len(known.weights)
        errors = [*errors, *(run.losses_se for run in self.runs)]
        return History(points, losses, len(self.runs), np.array(errors, float).reshape(-1, metrics))

    def measure(self, points: np.ndarray) -> None:
        """Measure one batch and emit it."""
        began, cpu = time.monotonic(), time.process_time()
        losses, errors = self.merges.measure(points)
        spent, cpu = (time.monotonic() - began) / len(points), (time.process_time() - cpu) / len(points)
        task, first = self.task, self.task.first + len(self.runs)
        batch = [
            MeasuredRun(
                id=run_id(task.study, first + k),
                number=first + k,
                role="search",
                label=task.settings.strategy,
                weights=point.tolist(),
                seed=task.settings.seed,
                losses=or_null(loss),
                losses_se=or_null(error),
                seconds=spent,
                cpu_seconds=cpu,
                device=self.merges.device,
                parameters=self.merges.parameters,
                refused=self.merges.refused.get(k),
                missing=why_missing(self.merges.measures, loss, self.merges.missing[k]),
            )
            for k, (point, loss, error) in enumerate(zip(points, losses, errors, strict=True))
        ]
        self.job.emit(RunsMeasured(task.study, batch))
        self.runs += batch

    def finish(self) -> None:
        """Emit the best run and the course of the search: the best aggregate after each evaluation, and how many runs a
        guided search started from."""
        task = self.task
        history = self.history()
        points, losses = history.mine()
        scores, ranked = weighted_sum(losses, self.question.metric_weights), self.ranked(history)
        best = int(first_lowest(ranked))
        found = {
            "run": self.runs[best].id,
            "weights": points[best].tolist(),
            "losses": self.runs[best].losses,
            "aggregate": float(scores[best]),
            "trace": scores[best_after(ranked)].tolist(),
            "evaluations": len(points),
            "seconds": self.seconds,
            "known": len(task.known.weights) if task.settings.strategy == "guided" else 0,
        }
        if (limits := self.question.limits) is not None:
            errors = history.known_errors[len(history.points) - history.own :]
            inside = int(limits.kept(losses, errors).sum())
            found["kept"] = asdict(limits.measured(losses[best], errors[best], inside))
        self.job.emit(MergeSearchFinished(study=task.study, settings=task.settings.to_dict(), found=found))


def best_after(ranked: np.ndarray) -> np.ndarray:
    """(R,) the place of the lowest of what there is after each of some values (R,)."""
    lower = np.ones(len(ranked), bool)
    lower[1:] = ranked[1:] < np.minimum.accumulate(ranked)[:-1]
    found: np.ndarray = np.maximum.accumulate(np.where(lower, np.arange(len(ranked)), 0))
    return found
