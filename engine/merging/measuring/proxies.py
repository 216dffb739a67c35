"""Merges of proxies: G points of a merge study built in memory and measured there, without a file.

A linear merge of G points at once is one contraction, (G, K) x (K, P) -> (G, P), straight into the stack's flat buffer;
other methods are merged one by one in memory. Nothing is written. G points, K experts, D coordinates, M domains.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.core.workspace import within
from engine.corpus import passages
from engine.merging.measuring.flips import Losses, Reference
from engine.merging.methods.memory import merge_in_memory
from engine.metrics import asked_of, measured_by, names_of, task_values
from engine.proxies.answering import StackModels
from engine.proxies.device import choose_device
from engine.proxies.evaluate import evaluate, passage_bits, validation_windows, window_sums
from engine.proxies.generate import continued
from engine.proxies.model import Stack, saved_proxy
from engine.spec.fidelity import Fidelity, group_size, shapes
from engine.spec.merge import MergeSpec, Setting, setting_of
from engine.spec.tasks import Merging
from engine.tasks.outcomes import Outcome
from engine.tasks.reading import CorpusReader

LINEAR = {"task_arithmetic"}  # methods whose merges are base + sum of coefficient x task vector


class ProxyMerges:
    """A base proxy and its K experts in memory, and the text to measure their merges on.

    task: of a merge job. Raises Problem if an expert is missing or does not fit.
    """

    def __init__(self, task: Merging, workspace: Path, device: str = "auto"):
        self.merge, self.names, self.domains = MergeSpec.from_dict(task.merge), task.names, task.domains
        self.experts, self.metrics = list(task.experts), measured_by(task.metrics)
        self.workspace, self.tasks = workspace, asked_of(workspace, task.tasks)
        self.measures = names_of(self.metrics, self.domains, self.tasks)
        self.counts_flips = task.flips
        self.device = choose_device(device)
        self.corpus = corpora.load(within(workspace / "corpora", task.corpus))
        self.fidelity = Fidelity.from_dict(task.fidelity)
        for domain in self.domains:
            validation_windows(self.corpus.valid(domain), self.fidelity.context, self.fidelity.eval_tokens, domain)
        self.shapes = shapes(self.fidelity, self.corpus.vocabulary)
        self.base = self._read(workspace, task.base)  # (P,)
        self.deltas = torch.stack([self._read(workspace, path) for path in task.experts.values()]) - self.base
        self.blocks = dict(zip(self.shapes, self._parts(), strict=True))
        self.stack: Stack | None = None
        self.refused: dict[int, str] = {}  # of the last merges measured: place -> why the method refuses it
        self.outcomes: list[dict[str, Outcome]] = []  # of the last merges measured: what each answered, by task
        self.missing: list[dict[str, str]] = []  # of the last merges measured: metrics without a value, and why
        self.references: dict[int, Reference] = {}  # what the base did on so many tokens of each domain
        if self.counts_flips:
            self.measures += self.reference(self.fidelity.eval_tokens).names

    def set_method(self, merge: MergeSpec, names: list[str]) -> None:
        """Measure by another method, or in other coordinates, with the same experts."""
        self.merge, self.names = merge, names

    def _read(self, workspace: Path, path: str) -> Tensor:
        """A saved proxy as its flat buffer (P,)."""
        state = saved_proxy(workspace, path, self.shapes)
        return torch.cat([state[f"{name}.weight"].flatten() for name in self.shapes]).to(self.device)

    def _parts(self) -> list[slice]:
        """Where each tensor lies in the flat buffer."""
        ends = np.cumsum([0, *(np.prod(shape) for shape in self.shapes.values())]).tolist()
        return [slice(start, end) for start, end in itertools.pairwise(ends)]

    @property
    def reader(self) -> CorpusReader:
        """How its merges read a text."""
        return CorpusReader(self.corpus, self.fidelity.context)

    @property
    def parameters(self) -> int:
        """Parameters of one proxy, P."""
        return len(self.base)

    @property
    def batch_size(self) -> int:
        """How many merges to build and measure as one batch: stacked on CUDA, one after another on a CPU."""
        return group_size(self.fidelity.width) if self.device == "cpu" else 64

    @torch.no_grad()
    def build(self, points: np.ndarray) -> Tensor:
        """The merged weights (G, P) of points (G, D); NaN if the method refuses one; `refused` says why."""
        self.refused = {}
        settings = [setting_of(self.merge, self.experts, self.names, point) for point in points]
        if self.merge.method in LINEAR and not self.merge.knobs.get("normalize") and not self._trims(settings):
            return self._linear(settings)
        return torch.stack([self._merged(place, setting) for place, setting in enumerate(settings)])

    def _merged(self, place: int, setting: Setting) -> Tensor:
        try:
            return self._any(setting)
        except Problem as problem:
            self.refused[place] = str(problem)
            return torch.full_like(self.base, torch.nan)

    @staticmethod
    def _trims(settings: list[Setting]) -> bool:
        return any(np.min(setting.knobs.get("density", 1.0)) < 1 for setting in settings)

    def _linear(self, settings: list[Setting]) -> Tensor:
        """base + sum of coefficient x task vector: one contraction, or one per tensor where they differ by layer."""
        scale = torch.tensor([setting.knobs.get("lam", 1.0) for setting in settings], device=self.device)[:, None]
        if all(setting.whole is not None for setting in settings):
            weights = torch.tensor(np.array([setting.whole for setting in settings]), dtype=torch.float32)
            return torch.addmm(self.base.expand(len(settings), -1), weights.to(self.device) * scale, self.deltas)
        flat = self.base.repeat(len(settings), 1)
        for name, part in self.blocks.items():
            weights = torch.tensor(np.array([setting.weight(name) for setting in settings]), dtype=torch.float32)
            flat[:, part] += (weights.to(self.device) * scale) @ self.deltas[:, part]
        return flat

    def _any(self, setting: Setting) -> Tensor:
        """One merge (P,) by any method of the table."""
        base = self._named(self.base)
        experts = [self._named(self.base + delta) for delta in self.deltas]
        merged = merge_in_memory(self.merge.method, base, experts, setting.weight, setting.knobs)
        return torch.cat([merged[name].flatten() for name in self.shapes])

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        return {name: flat[part].view(self.shapes[name]) for name, part in self.blocks.items()}

    def anatomy(self) -> dict:
        """Which expert moved which tensor, and how similarly: {"tensors" [T], "moved" [K][T]: |d| / |base|, "cosines"
        [T][K][K] between task vectors; 0 where one did not move}."""
        moved, cosines = [], []
        for part in self.blocks.values():
            base, delta = self.base[part].double(), self.deltas[:, part].double()
            size = delta.norm(dim=1)
            moved.append((size / base.norm().clamp_min(1e-12)).tolist())
            unit = delta / size.clamp_min(1e-12)[:, None]
            cosines.append((unit @ unit.T).tolist())
        return {"tensors": list(self.shapes), "moved": np.array(moved).T.tolist(), "cosines": cosines}

    @property
    def tensors(self) -> list[str]:
        """The names of its tensors, from the bottom up."""
        return list(self.shapes)

    @torch.no_grad()
    def without(self, point: np.ndarray, groups: list[list[str]]) -> Iterator[dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Nats and bytes of every validation window, {domain: ((W,), (W,))}: of the merge at a point (D,), then of it
        with each group's tensors as the base has them. Raises Problem if the method refuses the merge."""
        (whole,) = self.build(point[None])
        if self.refused:
            raise Problem(self.refused[0])
        for start in range(0, 1 + len(groups), self.batch_size):
            part = [[], *groups][start : start + self.batch_size]
            flat = whole.repeat(len(part), 1)
            for row, names in zip(flat, part, strict=True):
                for name in names:
                    row[self.blocks[name]] = self.base[self.blocks[name]]
            stack = Stack(self.fidelity, self.corpus.vocabulary, [0] * len(part), self.device)
            stack.flat.copy_(flat)
            found = {one: window_sums(stack, self.corpus, one, self.fidelity.eval_tokens) for one in self.domains}
            for g in range(len(part)):
                yield {one: (nats[0, g], text.bytes) for one, (nats, text) in found.items()}

    def measure(self, points: np.ndarray, tokens: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Metrics of merges at points (G, D), and standard errors over windows: (G, M) each, in order of `measures`.

        tokens: validation tokens per domain; by default the study's.
        """
        tokens, losses = tokens or self.fidelity.eval_tokens, Losses()
        reference = self.reference(tokens) if self.counts_flips else None
        stack, tell = self._stacked(points), None if reference is None else losses.take
        values, errors = evaluate(stack, self.corpus, self.domains, tokens, self.metrics, tell)
        answered = task_values(StackModels(stack, self.corpus), self.tasks, self.workspace)
        missing = answered.missing(self.tasks) | (reference.missing(answered.unscored) if reference else {})
        self.outcomes, self.missing = answered.outcomes, [missing] * len(values)
        values, errors = np.hstack([values, answered.values]), np.hstack([errors, answered.errors])
        if reference is None:
            return values, errors
        worse, of_worse = reference.flips(losses, answered.outcomes)
        worse[list(self.refused)] = np.nan
        return np.hstack([values, worse]), np.hstack([errors, of_worse])

    def reference(self, tokens: int) -> Reference:
        """What the base itself did on so many validation tokens of each domain."""
        if tokens not in self.references:
            alone, losses = Stack(self.fidelity, self.corpus.vocabulary, [0], self.device), Losses()
            with torch.no_grad():
                alone.flat.copy_(self.base[None])
            evaluate(alone, self.corpus, self.domains, tokens, tell=losses.take)
            answered = task_values(StackModels(alone, self.corpus), self.tasks, self.workspace)
            self.references[tokens] = Reference(
                losses, answered.outcomes[0], [task.name for task, _ in self.tasks], answered.unscored
            )
        return self.references[tokens]

    def _stacked(self, points: np.ndarray) -> Stack:
        """The merges at points (G, D) as a stack, which the next ones take over."""
        flat = self.build(np.atleast_2d(points))
        if self.stack is None or self.stack.members != len(flat):
            self.stack = Stack(self.fidelity, self.corpus.vocabulary, [0] * len(flat), self.device)
        with torch.no_grad():
            self.stack.flat.copy_(flat)
        return self.stack

    def passages(self) -> np.ndarray:
        """Bits (G, P, T) of the tokens of the corpus' passages, by the merges measured last."""
        found = passages.places(self.corpus, self.domains, self.fidelity.context)
        return passage_bits(self.stack, passages.tokens_of(self.corpus, found, self.fidelity.context))

    def continued(self, point: np.ndarray, passage: int, seed: int) -> np.ndarray:
        """Tokens by which the merge at a point (D,) continues the first half of a passage, as many as the other half
        has; none if the method refuses the merge."""
        context = self.fidelity.context
        found = passages.places(self.corpus, self.domains, context)
        (tokens,) = passages.tokens_of(self.corpus, [found[passage]], context)
        models = StackModels(self._stacked(point), self.corpus)
        prompt, count = tokens[: context // 2].tolist(), 0 if self.refused else context // 2
        ((new,),) = continued(models.next_logits, [[prompt]], count, 1.0, torch.Generator().manual_seed(seed))
        return np.array(new, np.int64)

    @torch.no_grad()
    def windows(self) -> list[dict[str, np.ndarray]]:
        """Of each merge measured last: bits per byte of every validation window, {domain: (W,)}."""
        found: list[dict] = [{} for _ in range(self.stack.members)]
        for domain in self.domains:
            (nats,), text = window_sums(self.stack, self.corpus, domain, self.fidelity.eval_tokens)
            for one, own in zip(found, nats / np.log(2) / np.maximum(text.bytes, 1), strict=True):
                one[domain] = own
        return found
