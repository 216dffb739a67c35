"""The job that trains proxies in one stack and measures them."""

from dataclasses import dataclass, field
from typing import Any

from engine.jobs.kinds import JobKind
from engine.jobs.runs import TaskRun
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class TrainTask(Task):
    """runs: G of {id, weights [D], seed, [doses [D]], [phases [F][D]], [trunk]}, trained on domains [D] of a corpus at
    a fidelity (engine.spec.fidelity.Fidelity as a dict).

    keep: the fraction of every domain, or of each, that may be seen (engine/spec/repetition.py); start: a file of
    initial weights for all, null for random ones; untrained: whether these are measured as they are, without a step;
    save: the folder for their final weights, as <run>.safetensors, or null; all in the workspace; checkpoint_seconds:
    between checkpoints; keep_windows: whether the losses of single validation windows are kept
    (engine/corpus/windows.py); metrics: measured besides each domain's loss (engine/metrics/); tasks: whose items are
    answered (engine/tasks/). fractions [F]: of the tokens that each phase takes, null without phases.
    """

    kind = "train"
    corpus: str
    domains: list[str]
    runs: list[TaskRun]
    fidelity: dict[str, Any]
    keep: float | list[float] = 1.0
    start: str | None = None
    untrained: bool = False
    save: str | None = None
    device: str = "auto"
    checkpoint_seconds: float = 15.0
    keep_windows: bool = False
    metrics: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    fractions: list[float] | None = None


KIND = JobKind(TrainTask, "engine.proxies.train:run", on_cluster=True)
