"""Router rows of a mixture of experts: from the base's hidden states of prompts, from embeddings, or at random."""

import json

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.checkpoints.output_tokens import opened
from engine.merging.checkpoints.reader import HEAD
from engine.merging.checkpoints.tying import TOKENS
from engine.merging.layout import Model
from engine.merging.moe_file import HIDDEN, RANDOM, MoeConfig

SMALLEST = 1e-8  # of a norm that is divided by
APART = 5.0  # condition number of a layer's rows from which the router hardly tells them apart, as in mergekit


def router_rows(config: MoeConfig, base: Model, layers: int, width: int) -> Tensor:
    """(layers, experts, width) in fp32: the experts' rows, and the shared expert's last if it has one."""
    own = [config.shared] if config.shared and (config.shared.positive or config.gate in RANDOM) else []
    experts = [*config.experts, *own]
    if config.gate in RANDOM:
        generator = torch.Generator().manual_seed(config.seed)
        shape = layers, len(experts), width
        if config.gate == "random":
            return torch.randn(shape, generator=generator)
        limit = width**-0.5  # as linear layers begin
        return (2 * torch.rand(shape, generator=generator) - 1) * limit
    seen = Hidden(base, config.gate) if config.gate in HIDDEN else Embedded(base, layers)
    rows = []
    for one in experts:
        row = seen.of(one.positive)
        if one.negative:
            row = row - seen.of(one.negative)
        rows.append(row / row.norm(dim=-1, keepdim=True).clamp(min=SMALLEST))
    return torch.stack(rows, dim=1)


def degenerate(rows: Tensor) -> list[str]:
    """A warning about layers whose rows are nearly the same."""
    weak = [n for n, one in enumerate(rows) if float(torch.linalg.cond(one)) > APART]
    if not weak:
        return []
    named = "all layers" if len(weak) == len(rows) else f"layers {', '.join(map(str, weak[:8]))}"
    return [f"The router rows of {named} are nearly dependent: prompts that differ more tell experts apart better."]


class Embedded:
    """Prompts as the sum of their tokens' embeddings, the same for all layers (gate_mode cheap_embed)."""

    def __init__(self, base: Model, layers: int):
        name = next((one for one in base.tensors if TOKENS.search(one) and not HEAD.search(one)), None)
        if name is None:
            raise Problem(f"Cannot make router rows: {base.path} has no token embeddings.")
        self.matrix = base.flat(name).view(base.tensors[name].shape)
        self.tokenizer, self.layers = opened(base.home), layers
        first = self.tokenizer.token_to_id(beginning(base))
        self.first = [] if first is None else [first]

    def of(self, prompts: tuple[str, ...]) -> Tensor:
        """(layers, width)"""
        total = torch.zeros(self.matrix.shape[1])
        for prompt in prompts:
            ids = self.tokenizer.encode(prompt, add_special_tokens=False).ids
            total += self.matrix[torch.tensor([*self.first, *ids])].float().sum(dim=0)
        return (total / total.norm().clamp(min=SMALLEST)).repeat(self.layers, 1)


class Hidden:
    """Prompts as what enters each layer of the base: at their last token, or (hidden_avg) on average over tokens.

    Each prompt by itself: mergekit pads them to one length and takes the last place, whatever stands there.
    """

    def __init__(self, base: Model, gate: str):
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise Problem(
                f"Cannot make router rows by gate_mode {gate}: it runs the base, and transformers is not installed "
                "(requirements-transformers.txt). Install it, or use cheap_embed."
            ) from error
        self.tokenizer = AutoTokenizer.from_pretrained(base.home, trust_remote_code=False)
        self.model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32, trust_remote_code=False)
        self.average, self.begin = gate == "hidden_avg", beginning(base)

    def of(self, prompts: tuple[str, ...]) -> Tensor:
        """(layers, width)"""
        found = []
        for prompt in prompts:
            ids = self.tokenizer(self.begin + prompt, add_special_tokens=False, return_tensors="pt").input_ids
            with torch.no_grad():
                states = self.model(ids, output_hidden_states=True).hidden_states[:-1]
            layers = torch.stack([one[0] for one in states])  # (layers, tokens, width)
            found.append(layers.mean(dim=1) if self.average else layers[:, -1])
        return torch.stack(found).mean(dim=0)


def beginning(base: Model) -> str:
    """The text of the token that begins a model's texts; empty if it has none."""
    file = base.home / "tokenizer_config.json"
    told = json.loads(file.read_bytes()).get("bos_token") if file.is_file() else None
    return told.get("content", "") if isinstance(told, dict) else str(told or "")
