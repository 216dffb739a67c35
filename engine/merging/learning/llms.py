"""A family of causal language models of transformers: the external base and experts of a merge study."""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.core.workspace import within
from engine.merging.checkpoints.writer import writing
from engine.merging.companions import companions
from engine.merging.config import experts_of
from engine.merging.layout import lead_of
from engine.merging.learning.base import Family, Predict, Weights
from engine.merging.measuring.answering import LogitModels
from engine.merging.measuring.language_models import ModelMerges, begins_of, loaded
from engine.merging.measuring.windows import encoded
from engine.spec.merge import MergeSpec, checkpoint
from engine.spec.tasks import Merging

CONTEXT = 256  # tokens per training window, or the model's own limit if lower
PLACES, PLACE_TOKENS = 32, 8192  # of a domain's training text, in tokens of the corpus


class ModelFamily(Family):
    """task: of a merge job. Keeps the base and K task vectors in fp32. Raises Problem as ModelMerges does."""

    def __init__(self, task: Merging, workspace: Path, device: str = "auto"):
        self.merge = MergeSpec.from_dict(task.merge)
        merge = task.merge | {"method": "task_arithmetic", "knobs": {}, "tuned": {}, "by": "model"}
        self.merges = ModelMerges(replace(task, merge=merge, names=list(task.experts)), workspace, device)
        self.experts, self.domains, self.device = self.merges.experts, self.merges.domains, self.merges.device
        self.workspace, self.seed, self.model, self.metrics = workspace, 0, self.merges.model, self.merges.metrics
        self.tasks, self.vocabulary = self.merges.tasks, self.merges.vocabulary
        self.reference = self.merges.reference
        self.corpus = corpora.load(within(workspace / "corpora", task.corpus))
        self.base, self.deltas = self._tensors()
        named = [*self.model.named_buffers(), *self.model.named_parameters()]
        own = {value.data_ptr(): name for name, value in named}
        self.names = {name: own[self.merges.places[name].data_ptr()] for name in self.base}
        limit = getattr(self.model.config, "max_position_embeddings", CONTEXT) or CONTEXT
        self.context = min(CONTEXT, limit - 1)
        self.begins = begins_of(self.merges.tokenizer)
        self.text = {domain: self._training(domain) for domain in self.domains}

    def speaking(self, predict: Predict) -> LogitModels:
        return self.merges.speaking(predict)

    def _tensors(self) -> tuple[Weights, Weights]:
        """The base and the task vectors (K, *shape)."""
        config, models = self.merges.config, self.merges.models
        sources = [source.model for source in experts_of(config, config.slices[0])]
        base, deltas = {}, {}
        for one in self.merges.planned:
            name, shape = one.slot.name, one.slot.shape
            if not one.slot.dtype.is_floating_point or not one.slot.size:
                continue
            base[name] = models[lead_of(config)].flat(name).float().view(shape).to(self.device)
            own = [models[source].flat(one.inputs[source]).float().view(shape) for source in sources]
            deltas[name] = torch.stack(own).to(self.device) - base[name]
        return base, deltas

    def _training(self, domain: str) -> np.ndarray:
        """Token ids of a domain's training text, from places spread over it. Raises Problem if it is too short."""
        shard = self.corpus.train(domain)
        starts = np.arange(PLACES) * len(shard) // PLACES
        size = min(PLACE_TOKENS, max(1, len(shard) // PLACES))
        parts = [self.corpus.parts(shard[start : start + size]) for start in starts]
        own = [encoded(self.merges.tokenizer, one) for one in parts]
        found = np.concatenate([one.ids + self.vocabulary * ~one.predicted for one in own])
        if len(found) < 2 * self.context + 2:
            raise Problem(f"Cannot learn from {domain!r}: its training text has {len(found)} tokens. Add text.")
        return found

    def _call(self, weights: Weights, tokens: Tensor, **more):
        named = {self.names[name]: value for name, value in weights.items()}
        ids = tokens % self.vocabulary
        return torch.func.functional_call(self.model, named, (ids,), {"use_cache": False, **more})

    def logits(self, weights: Weights, tokens: Tensor) -> Tensor:
        return self._call(weights, tokens).logits

    def hidden(self, weights: Weights, tokens: Tensor) -> Tensor:
        return self._call(weights, tokens, output_hidden_states=True).hidden_states[-1]

    def batch(self, domain: str, rows: int, draw: int) -> Tensor:
        ids, size = self.text[domain], self.context + 1 - len(self.begins)
        rng = np.random.default_rng([self.seed, zlib.crc32(domain.encode()), draw])
        starts = rng.integers(len(ids) - size, size=rows)
        windows = [[*self.begins, *ids[start : start + size]] for start in starts]
        return torch.tensor(np.array(windows), device=self.device)

    def validation(self, domain: str) -> Iterator[tuple[Tensor, np.ndarray]]:
        for one in self.merges.windows[domain]:
            tokens = torch.from_numpy(one.tokens(self.vocabulary))[None].to(self.device)
            yield tokens, np.array([one.size])

    def write(self, weights: Weights, out: Path, card: str) -> None:
        """A Hugging Face folder: shards, config, tokenizer, model card."""
        config, models, planned = self.merges.config, self.merges.models, self.merges.planned
        others = companions(config, models, planned) | {"README.md": card.encode()}
        with writing(out, [one.slot for one in planned], others, {}) as file:
            for one in planned:
                kept = models[lead_of(config)].flat(one.slot.name)
                found = weights.get(one.slot.name)
                file.put(one.slot.name, 0, kept if found is None else found.detach().cpu().contiguous().view(-1))

    def large(self, name: str) -> Predict:
        """Another model of the workspace's checkpoints/ with the same tokens. Raises Problem if they differ."""
        model, tokenizer = loaded(checkpoint(self.workspace, name), self.device)
        if tokenizer.get_vocab() != self.merges.tokenizer.get_vocab():
            raise Problem(
                f"Cannot steer {name!r} by these experts: its tokenizer has other tokens, and logits are added token "
                "by token. Choose a model with the same tokenizer."
            )
        return lambda tokens: model(tokens).logits
