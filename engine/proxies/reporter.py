"""What a stack in training tells its job: progress, losses on the way, diverged members, results and what is kept."""

import math
import time
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import save_file

from engine.core.files import replacing
from engine.core.workspace import within
from engine.corpus import passages, windows
from engine.jobs.events import RunDiverged, RunFinished, RunsEvaluated, RunsProgress, RunsStarted, RunStopped
from engine.jobs.spool import Job
from engine.metrics import LOSS, Text, asked_of, measured_by, names_of, task_values, values_of
from engine.proxies.answering import StackModels
from engine.proxies.evaluate import evaluate, passage_bits, window_sums
from engine.spec.kinds.train import TrainTask
from engine.tasks import outcomes

if TYPE_CHECKING:
    from engine.proxies.train import Training

REPORT_SECONDS = 1.0
AVERAGED, AVERAGED_PART = 10, 0.02  # steps that a report averages, or this part of all: one batch says little
LOOKS = (0.25, 0.5)  # when validation losses are measured during training, in fractions of the steps
LOOK_TOKENS = 2048  # and on how many validation tokens per domain


class Reporter:
    """Emits a training's state as events of its job."""

    def __init__(self, job: Job, task: TrainTask, training: "Training", corpus, over: set[str]):
        self.job, self.task, self.training, self.corpus, self.over = job, task, training, corpus, set(over)
        self.domains, fidelity, self.metrics = task.domains, training.fidelity, measured_by(task.metrics)
        self.tasks = asked_of(job.workspace, task.tasks)
        self.looks = {math.ceil(part * fidelity.steps) for part in LOOKS}
        self.averaged = min(AVERAGED, math.ceil(AVERAGED_PART * fidelity.steps))
        self.step_tokens = fidelity.batch * fidelity.context
        self.counted = time.monotonic(), time.process_time()
        self.reported = self.counted[0], training.step
        job.emit(RunsStarted(training.ids, training.device, training.stack.parameters))

    def clock(self) -> None:
        """Add the time since the last call to the training's cost, which later attempts continue."""
        now = time.monotonic(), time.process_time()
        self.training.seconds += now[0] - self.counted[0]
        self.training.cpu_seconds += now[1] - self.counted[1]
        self.counted = now

    def living(self) -> list[int]:
        """The members that have neither finished nor diverged, as of the last report."""
        return [g for g, name in enumerate(self.training.ids) if name not in self.over]

    def progress(self, note: str) -> None:
        """The job's progress in tokens over all runs. Raises Stopped."""
        done, total = (sum(self.training.trained(s)) for s in (self.training.step, self.training.fidelity.steps))
        self.job.progress(done * self.step_tokens, total * self.step_tokens, note)

    def joined(self, ids: list[str]) -> None:
        """Branches have become members."""
        self.job.emit(RunsStarted(ids, self.training.device, self.training.stack.parameters))

    def after_step(self) -> None:
        """Report if one is due. Cheap otherwise: nothing here waits for a GPU."""
        step, steps = self.training.step, self.training.fidelity.steps
        self.progress(f"training {len(self.training.ids)} proxies: step {step} of {steps}")
        if step == steps or (self.enough_to_average(step) and time.monotonic() - self.reported[0] > REPORT_SECONDS):
            self.report()
        if step in self.looks:
            self.look()

    def enough_to_average(self, step: int) -> bool:
        """Whether a report now has enough steps behind it, and leaves enough for the last one."""
        return min(step - self.reported[1], self.training.fidelity.steps - step) >= self.averaged

    def report(self) -> None:
        """Emit training losses, each the mean over the steps since the last report, and diverged members."""
        training, step = self.training, self.training.step
        losses = training.bits_per_byte()
        now, tokens = time.monotonic(), (step - self.reported[1]) * self.step_tokens * len(training.ids)
        speed = tokens / (now - self.reported[0])
        steps, so_far = training.fidelity.steps, step * self.step_tokens
        self.job.emit(RunsProgress(training.ids, step, steps, so_far, losses, speed))
        self.reported = now, step
        for g, diverged_at in enumerate(training.diverged_at.tolist()):
            if diverged_at >= 0 and training.ids[g] not in self.over:
                self.over.add(training.ids[g])
                self.job.emit(RunDiverged(training.ids[g], diverged_at, losses[g]))

    def stop(self, asked: dict[str, str]) -> None:
        """End members early: {run: why}. Trunks stay, as their branches start again from them after a kill, and so do
        members that are over."""
        training = self.training
        trunks = {run.trunk for run in training.runs}
        gone = [training.ids[g] for g in self.living() if training.ids[g] in asked.keys() - trunks]
        if not gone or training.step == training.last:  # one that is trained is measured
            return
        self.clock()
        members, at = len(training.ids), (training.step, training.fidelity.steps, training.step * self.step_tokens)
        for name in gone:
            self.over.add(name)
            cost = training.seconds / members, training.cpu_seconds / members
            self.job.emit(RunStopped(name, *at, *cost, asked[name]))
        if len(gone) < members:
            training.leave(set(gone))

    def look(self) -> None:
        """Emit validation losses on a few windows, for curves during training."""
        losses, _ = evaluate(self.training.stack, self.corpus, self.domains, LOOK_TOKENS)  # (G, D)
        fine = [g for g in self.living() if np.isfinite(losses[g]).all()]
        names, tokens = [self.training.ids[g] for g in fine], self.training.step * self.step_tokens
        self.job.emit(RunsEvaluated(names, tokens, losses[fine].tolist()))

    def finish(self) -> None:
        """Measure every domain in full, and emit each living member's result. Raises Stopped."""
        training, sums, texts = self.training, [], []
        for domain in self.domains:
            self.progress(f"measuring {domain}")
            tokens = training.fidelity.eval_tokens
            own, text = window_sums(training.stack, self.corpus, domain, tokens, self.metrics)
            sums.append(own)
            texts.append(text)
        models = StackModels(training.stack, self.corpus)
        answered = task_values(
            models, self.tasks, self.job.workspace, lambda task: self.progress(f"answering the items of {task}")
        )
        values, errors = values_of(self.metrics, sums, texts)  # (G, M) each
        values, errors = np.hstack([values, answered.values]), np.hstack([errors, answered.errors])
        names, missing = names_of(self.metrics, self.domains, self.tasks), answered.missing(self.tasks)
        self.clock()
        shares, own = training.sampler.shares(), np.array(training.trained(training.step), float)
        part = own / max(own.sum(), 1.0)  # (G,) of the training's cost
        context = training.fidelity.context
        found = passages.places(self.corpus, self.domains, context)
        bits = passage_bits(training.stack, passages.tokens_of(self.corpus, found, context))
        for g in self.living():
            passages.save(passages.file_of(self.job.workspace, training.ids[g]), context, bits[g])
            if self.task.save is not None:
                self.save_model(g)
            if self.task.keep_windows:
                self.save_windows(g, sums, texts)
            if self.tasks:
                outcomes.save(outcomes.file_of(self.job.workspace, training.ids[g]), answered.outcomes[g])
            finished = RunFinished(
                run=training.ids[g],
                losses={name: values[g, m].item() for m, name in enumerate(names) if name not in missing},
                losses_se={name: errors[g, m].item() for m, name in enumerate(names) if name not in missing},
                tokens=training.step * self.step_tokens,
                shares=shares[g].tolist(),
                seconds=training.seconds * part[g],
                cpu_seconds=training.cpu_seconds * part[g],
                device=training.device,
                parameters=training.stack.parameters,
                message=" ".join(answered.unscored.values()) or None,
            )
            self.job.emit(finished)

    def save_windows(self, g: int, sums: list[np.ndarray], texts: list[Text]) -> None:
        """Save a member's loss on every validation window, from the sums (metrics, G, W) of each domain."""
        fidelity, place = self.training.fidelity, self.metrics.index(LOSS)
        bits = {
            name: own[place, g] / math.log(2) / np.maximum(text.bytes, 1)
            for name, own, text in zip(self.domains, sums, texts, strict=True)
        }
        path = windows.file_of(self.job.workspace, self.training.ids[g])
        windows.save(path, fidelity.context, fidelity.eval_tokens, bits)

    def save_model(self, g: int) -> None:
        """Write a member's weights, atomically."""
        folder = within(self.job.workspace, self.task.save)
        folder.mkdir(parents=True, exist_ok=True)
        state = self.training.stack.member(g)
        with replacing(folder / f"{self.training.ids[g]}.safetensors") as part:
            save_file(state, part)
