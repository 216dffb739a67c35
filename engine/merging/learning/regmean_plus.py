"""RegMean++: RegMean layer by layer, on inputs that have passed the layers that are merged already."""

import contextlib
import re

import torch
from torch import Tensor

from engine.merging.learning import regmean
from engine.merging.learning.base import Family, Learned, Run, Weights

LAYER = re.compile(r"^.*?\.\d+(?=\.)")  # "model.layers.3" of "model.layers.3.mlp.up": one layer of one stack


def learn(family: Family, run: Run, *, windows: int, alpha: float) -> Learned:
    """RegMean's formula, with G_i of a layer from inputs that the merged layers before it give on expert i's own text
    (arXiv:2508.03121), so that a layer is fitted to what it will meet. Within a layer, expert i's own tensors.

    What is no layer's linear map, embeddings first of all, is the weighted mean from the start. Inputs are not kept
    but computed again for each layer: with L layers about L/2 times RegMean's passes, at RegMean's memory.
    """
    experts = [family.expert(k) for k in range(len(family.experts))]
    order = layers_of(family, experts[0])
    found = regmean.merged(experts, [{}] * len(experts), alpha, run.weight)
    later = {name for names in order.values() for name in names}
    for place, (layer, names) in enumerate(order.items()):
        later -= set(names)
        own, grams = [name for name in family.base if layer_of(name) == layer], []
        for k, expert in enumerate(experts):
            weights = found | {name: expert[name] for name in own}
            watch, domains = Part(weights, set(names), later), family.domains_of(k)
            for window in range(windows):
                done = (place * len(experts) + k) * windows + window
                run.progress(done, len(order) * len(experts) * windows, f"inputs of {family.experts[k]}'s {layer}")
                with torch.no_grad(), contextlib.suppress(Enough), watch:
                    family.logits(weights, family.batch(domains[window % len(domains)], 1, window)[:, :-1])
            grams.append(watch.means())
        parts = [{name: expert[name] for name in own} for expert in experts]
        found |= regmean.merged(parts, grams, alpha, run.weight, watch.inputs_first)
    note = f"{windows} windows per expert and layer; {sum(map(len, order.values()))} of {len(found)} tensors are linear"
    return Learned(weights=found, note=f"{note} layers, merged in {len(order)} steps")


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to; its own name if it stands outside of layers, as a head does."""
    found = LAYER.search(name)
    return found[0] if found else name


def layers_of(family: Family, weights: Weights) -> dict[str, list[str]]:
    """The names of linear maps by layer, in the order in which a pass uses them."""
    watch, found = regmean.Watch(weights), {}
    with torch.no_grad(), watch:
        family.logits(weights, family.batch(family.domains_of(0)[0], 1, 0)[:, :-1])
    for name in watch.means():
        found.setdefault(layer_of(name), []).append(name)
    return found


class Enough(Exception):
    """A pass has gone through the layer that is watched."""


class Part(regmean.Watch):
    """A watch over the matrices `names`; a pass ends where it uses one of `later`."""

    def __init__(self, weights: Weights, names: set[str], later: set[str]):
        super().__init__({name: value for name, value in weights.items() if name in names | later})
        self.later = later

    def _add(self, name: str, inputs: Tensor) -> None:
        if name in self.later:
            raise Enough
        super()._add(name, inputs)
