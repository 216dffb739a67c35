"""Train a stack of proxies, each on its own mixture, as a background job that can be stopped and resumed.

One optimiser (AdamW) runs the whole stack, but members share nothing: gradients are clipped per member, and a
member whose loss explodes is frozen while the others go on. All randomness is in the initial weights
and in engine/proxies/sampling.py, which has no state, so a checkpoint is the weights, the moments and the step.

A run may be a branch of another one of its stack: then it joins the stack at the start of the last phase, as a copy of
its trunk's weights and moments, and costs that phase alone.
"""

import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine import corpus as corpora
from engine.core.checks import or_null
from engine.core.errors import Problem, Stopped
from engine.core.files import clear_parts, replacing
from engine.jobs import stops
from engine.jobs.events import OVER, JobNote, RunStopped
from engine.jobs.journal import read_events
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.metrics import asked_of, check_tasks, measured_by
from engine.proxies.adam import KEYS, AdamW
from engine.proxies.checkpoints import CHECKPOINTS, notes_of
from engine.proxies.device import choose_device, halves, sized_to_memory
from engine.proxies.evaluate import validation_windows
from engine.proxies.model import Stack, saved_proxy, shrinking
from engine.proxies.reporter import Reporter
from engine.proxies.run_checks import check_phases, check_runs
from engine.proxies.sampling import Sampler
from engine.spec.fidelity import Fidelity, shapes
from engine.spec.kinds.train import TrainTask
from engine.spec.phases import phase_ends
from engine.tasks.reading import CorpusReader

AHEAD = 16  # steps whose batches are read from the shards together


class Training:
    """The state of one stack in training. `advance` makes one step; `save` and `resume` keep it on disk.

    runs: G, some with doses (D,) where their text is cut, or with phases (F, D); corpus: as engine.corpus.load gives
    it; domains: its D names; keep: the fraction of every domain, or of each (D,), that runs without doses see;
    fractions (F,): of the tokens, of the phases. ids: of the members so far; those of branches come last, once they
    have joined.
    """

    def __init__(
        self,
        fidelity: Fidelity,
        corpus,
        domains: list[str],
        runs: list[TaskRun],
        device: str,
        keep: float | list[float] = 1.0,
        fractions: list[float] | None = None,
    ):
        self.fidelity, self.device, self.vocabulary = fidelity, device, corpus.vocabulary
        self.runs = sorted(runs, key=lambda run: run.trunk is not None)
        self.seeds = [run.seed for run in self.runs]
        ends = phase_ends(fractions or [1.0], fidelity.steps)
        self.joins = ends[-2] if len(ends) > 1 else 0  # the step at which branches join
        first = sum(run.trunk is None for run in self.runs)
        self.ids = [run.id for run in self.runs[:first]]
        self.sampler = self.sampler_of(corpus, domains, keep, ends)
        self.take(Stack(fidelity, corpus.vocabulary, self.seeds[:first], device))
        self.step, self.last = 0, fidelity.steps
        self.seconds, self.cpu_seconds = 0.0, 0.0
        self.first, self.ahead = -AHEAD, ()
        self.token_bytes = torch.from_numpy(corpus.token_bytes.astype(np.float32)).to(device)  # (2 V,)
        self.nats = torch.zeros(first, device=device)  # (G,) of the steps since the last report
        self.bytes = torch.zeros(first, device=device)  # (G,) that their targets stand for
        self.alive = torch.ones(first, dtype=torch.bool, device=device)  # (G,)
        self.diverged_at = torch.full((first,), -1, device=device)  # (G,) step, or -1
        self.exploded = 2 * math.log(corpus.vocabulary)  # nats: twice the loss of a uniform guess

    def sampler_of(self, corpus, domains: list[str], keep: float | list[float], ends: list[int]) -> Sampler:
        """What every run reads; its phases end before the steps `ends`."""
        weights = np.array([run.phases or [run.weights] * len(ends) for run in self.runs], dtype=float)  # (G, F, D)
        doses = np.array([run.doses or np.ones(len(domains)) for run in self.runs])
        size, context = self.fidelity.batch, self.fidelity.context
        return Sampler(
            [corpus.train(domain) for domain in domains],
            domains,
            weights,
            self.seeds,
            context,
            self.fidelity.steps * size,
            np.asarray(keep) * doses,
            [end * size for end in ends],
            size if self.fidelity.batches == "unmixed" else 1,
        )

    def take(self, stack: Stack) -> None:
        """Train this stack from here on, with moments of zero."""
        fidelity, self.stack = self.fidelity, stack
        betas, shrinks = (fidelity.beta1, fidelity.beta2), shrinking(fidelity, stack.shapes)
        self.optimiser = AdamW(
            [stack.flat],
            fidelity.learning_rate,
            betas,
            fidelity.weight_decay,
            fused=True,
            shrinks=None if shrinks is None else shrinks.to(self.device),
        )
        self.losses_of = stack.losses
        if self.device == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32 for operations that autocast leaves in fp32
            self.losses_of = torch.compile(stack.losses, dynamic=False)

    @property
    def waiting(self) -> int:
        """How many branches have not joined yet."""
        return len(self.runs) - len(self.ids)

    @torch.no_grad()
    def join(self) -> list[str]:
        """Every branch becomes a member, as a copy of its trunk's weights, moments and fate; returns their ids."""
        joined = [run.id for run in self.runs[len(self.ids) :]]
        source = [self.ids.index(run.trunk or run.id) for run in self.runs]
        self.copy(source)
        self.ids = [*self.ids, *joined]
        return joined

    @torch.no_grad()
    def leave(self, gone: set[str]) -> None:
        """Go on without these members, while at least one stays and no branch is to join."""
        rows = [g for g, name in enumerate(self.ids) if name not in gone]
        part = len(rows) / len(self.ids)
        self.seconds, self.cpu_seconds = part * self.seconds, part * self.cpu_seconds
        self.ids, self.runs, self.seeds = ([own[g] for g in rows] for own in (self.ids, self.runs, self.seeds))
        self.sampler.take(rows)
        self.copy(rows)

    def copy(self, source: list[int]) -> None:
        """Members become copies of these, of their weights, moments and fates; `seeds` has one of each already."""
        flat, moments = self.stack.flat, self.optimiser.state[self.stack.flat]
        self.take(Stack(self.fidelity, self.vocabulary, self.seeds, self.device))
        self.stack.flat.copy_(flat[source])
        copied = {name: value[source] if value.dim() else value for name, value in moments.items()}
        self.optimiser.state[self.stack.flat] = copied
        self.nats, self.bytes = self.nats[source], self.bytes[source]
        self.alive, self.diverged_at = self.alive[source], self.diverged_at[source]
        self.first = -AHEAD

    def trained(self, step: int) -> list[int]:
        """How many steps each run has been trained for itself before a step: a branch none that its trunk was."""
        return [max(0, step - self.joins) if run.trunk is not None else step for run in self.runs]

    def batch(self, step: int) -> Tensor:
        """The tokens of a step, (G, B, T + 1) on the device, read AHEAD steps at a time."""
        if not 0 <= step - self.first < AHEAD:
            size, self.first = self.fidelity.batch, step
            tokens = torch.from_numpy(self.sampler.tokens(step * size, (step + AHEAD) * size, len(self.ids)))
            if self.device == "cuda":  # the copy goes on while the card computes
                tokens = tokens.pin_memory()
            self.ahead = tokens.to(self.device, non_blocking=True).split(size, 1)
        return self.ahead[step - self.first]

    def advance(self) -> None:
        """One optimiser step for every living member."""
        tokens = self.batch(self.step)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            losses = self.losses_of(tokens)
        self.stack.backward(losses)
        losses = losses.detach()
        if self.fidelity.sharpness:
            self.look_uphill(tokens)
        self.contain(losses)
        self.optimiser.rate = self.fidelity.rate(self.step)
        self.optimiser.step()
        self.nats += losses * (tokens[..., 1:] < self.stack.vocabulary).sum((1, 2))
        self.bytes += self.token_bytes[tokens[..., 1:]].sum((1, 2))
        self.step += 1

    def look_uphill(self, tokens: Tensor) -> None:
        """Replace each member's gradient by the one at `sharpness` from its weights, where the loss rises fastest."""
        flat = self.stack.flat
        with torch.no_grad():
            there = flat.clone()
            norm = torch.linalg.vector_norm(flat.grad, dim=1, keepdim=True)  # (G, 1)
            flat += (self.fidelity.sharpness / norm.clamp(min=1e-12)) * torch.nan_to_num(flat.grad)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            losses = self.losses_of(tokens)
        self.stack.backward(losses)
        with torch.no_grad():
            flat.copy_(there)

    def bits_per_byte(self) -> list[float | None]:
        """Training loss of each member since the last call, None where it is not a number."""
        losses = (self.nats / self.bytes / math.log(2)).tolist()
        self.nats.zero_(), self.bytes.zero_()
        return or_null(losses)

    @torch.no_grad()
    def contain(self, losses: Tensor) -> None:
        """Clip each member's gradient by its own norm, and stop those whose loss is not a number or exploded."""
        gradient = self.stack.flat.grad  # (G, P)
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)  # (G, 1)
        sound = (losses < self.exploded) & norm.squeeze(1).isfinite()  # (G,), False for NaN
        self.diverged_at[self.alive & ~sound] = self.step
        self.alive &= sound
        gradient.mul_((self.fidelity.clip / norm).clamp_(max=1.0))
        gradient.masked_fill_(~self.alive.unsqueeze(1), 0.0)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically: weights and moments as safetensors, the rest in its header."""
        state = self.optimiser.state[self.stack.flat]
        tensors = {name: state[name].cpu() for name in KEYS}
        tensors |= {"weights": self.stack.flat.cpu(), "diverged_at": self.diverged_at.cpu()}
        notes = {"step": self.step, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "ids": self.ids}
        with replacing(path) as part:
            save_file(tensors, part, {"training": json.dumps(notes)})

    def resume(self, path: Path) -> None:
        """Resume from a checkpoint of the same runs, or from the one of a larger stack that they were members of, where
        that is as far; without one, start at step 0."""
        clear_parts(path)
        own, found = [run.id for run in self.runs], []
        for file in {path, *path.parent.glob(CHECKPOINTS)}:
            if file.exists() and (notes := notes_of(file)) is not None:
                ids = own if set(own) <= set(notes["ids"]) else self.ids  # before branches joined, or after
                if set(ids) <= set(notes["ids"]):
                    found.append((notes["step"], file == path, file, ids))
        if found:
            self.load(*max(found, key=lambda one: one[:2])[2:])

    @torch.no_grad()
    def load(self, path: Path, ids: list[str]) -> None:
        """Go on from these members of a checkpoint."""
        if len(ids) > len(self.ids):
            self.join()
        with safe_open(path, "pt", device=self.device) as file:
            notes = json.loads(file.metadata()["training"])
            rows = torch.tensor([notes["ids"].index(name) for name in self.ids], device=self.device)
            self.stack.flat.copy_(file.get_tensor("weights")[rows])
            self.diverged_at = file.get_tensor("diverged_at")[rows]
            moments = {name: file.get_tensor(name) for name in KEYS}
        moments = {name: value[rows] if value.dim() else value for name, value in moments.items()}
        self.optimiser.state[self.stack.flat] = moments
        self.alive = self.diverged_at < 0
        part = len(rows) / len(notes["ids"])  # of what the larger stack has cost
        self.step, self.seconds, self.cpu_seconds = notes["step"], part * notes["seconds"], part * notes["cpu_seconds"]


# The job -------------------------------------------------------------------------------------------------


def run(job: Job) -> None:
    """Run a TrainTask: train and measure its runs (bits per byte throughout).

    Runs that an earlier attempt finished are skipped. Raises Stopped, and Problem for an invalid task.
    """
    task = job.task(TrainTask)
    device = choose_device(task.device)
    if device == "cpu":
        torch.set_num_threads(1)  # worker processes run side by side
    corpus = corpora.load(job.workspace / "corpora" / task.corpus)
    check_runs(task.runs, task.domains, corpus.domains)
    check_phases(task)
    measured_by(task.metrics)
    fidelity = Fidelity.from_dict(task.fidelity)
    for domain in task.domains:  # fail before the training, not after it
        validation_windows(corpus.valid(domain), fidelity.context, fidelity.eval_tokens, domain)
    reader, asked = CorpusReader(corpus, fidelity.context), asked_of(job.workspace, task.tasks)
    for note in check_tasks(asked, reader, job.workspace, job.beat):
        job.emit(JobNote(note))
    start = None
    if task.start is not None:
        start = saved_proxy(job.workspace, task.start, shapes(fidelity, corpus.vocabulary))
    if os.environ.get("CUDA_VISIBLE_DEVICES") and device == "cpu" and task.device == "auto":
        job.emit(JobNote("torch cannot use the GPU that this job was given: training on the CPU. See its log."))
    for group in sized_to_memory(job, fidelity, corpus.vocabulary, task.runs, device):
        train_group(job, task, corpus, fidelity, group, device, start)
    for left in job.folder.glob(CHECKPOINTS):
        left.unlink()


def train_group(
    job: Job, task: TrainTask, corpus, fidelity: Fidelity, runs: list[TaskRun], device: str, start: dict | None
) -> None:
    """Train runs as one stack, from the weights `start` or from scratch.

    If it does not fit in the GPU's memory, as two halves one after the other.
    """
    ended = list(read_events(job.folder, *OVER))
    over, gone = {event.run for event in ended}, {event.run for event in ended if isinstance(event, RunStopped)}
    if all(run.id in over for run in runs):
        return
    runs = [run for run in runs if run.id not in gone]
    try:
        training = Training(fidelity, corpus, task.domains, runs, device, task.keep, task.fractions)
        if start is not None:
            training.stack.load([start] * len(training.ids))
        if task.untrained:
            training.last = 0
        follow(job, task, training, corpus, over)
        return
    except torch.OutOfMemoryError:
        parts = halves(runs)
        if not parts[0]:
            raise Problem(
                f"Cannot train run {runs[0].id!r}: one proxy of "
                f"{fidelity.parameters(corpus.vocabulary)} parameters does not fit into the GPU's memory. "
                "Choose a smaller batch or model, or the cpu."
            ) from None
    torch.cuda.empty_cache()  # outside the handler, whose traceback would keep the stack in memory
    first = len(parts[0])
    job.emit(JobNote(f"{len(runs)} proxies do not fit into the GPU's memory at once: training {first} at a time."))
    for part in parts:
        train_group(job, task, corpus, fidelity, part, device, start)


def follow(job: Job, task: TrainTask, training: Training, corpus, over: set[str]) -> None:
    """Train a stack to its end: steps, reports, checkpoints, final losses. Finished members are not reported again."""
    path = job.folder / CHECKPOINTS.replace("*", f"{training.ids[0]}-{len(training.runs)}")  # its halves have others
    training.resume(path)
    reporter = Reporter(job, task, training, corpus, over)
    saved, interval = time.monotonic(), task.checkpoint_seconds
    try:
        while training.step < training.last and (reporter.living() or training.waiting):
            if training.waiting and training.step >= training.joins:
                reporter.joined(training.join())
            training.advance()
            reporter.after_step()
            if not training.waiting:
                reporter.stop(stops.asked(job.folder))
            if time.monotonic() - saved > interval:
                reporter.clock()
                training.save(path)
                saved = time.monotonic()
        if reporter.living():
            reporter.finish()
    except (Stopped, torch.OutOfMemoryError):  # its halves go on from there, too
        reporter.clock()
        if training.step:
            training.save(path)
        raise
    path.unlink(missing_ok=True)
