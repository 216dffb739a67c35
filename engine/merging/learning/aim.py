"""AIM: a finished merge, pulled back to the base where the base's own inputs are large."""

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.learning import regmean
from engine.merging.learning.base import Family, Learned, Run, Weights
from engine.merging.methods.memory import merge_in_memory


def learn(family: Family, run: Run, *, windows: int, omega: float) -> Learned:
    """base + (merged - base) x (1 - (1 - omega) s_j) in column j of every linear layer; s_j: the base's mean |input j|
    on text of all domains, / the layer's largest (arXiv:2502.02421). The merge is the study's own at the
    coefficients. Embeddings and all that is no linear layer stay as merged.

    Raises Problem if the study searches a parameter of its method: a finish needs one merge.
    """
    if family.merge.tuned:
        raise Problem(
            f"Cannot finish this study's merges: {', '.join(family.merge.tuned)} of {family.merge.method} has no one "
            "value here. Use a merge study that fixes it."
        )
    watch = Magnitudes(family.base)
    for place in range(windows):
        run.progress(place, windows, "inputs of the base's layers")
        with torch.no_grad(), watch:
            family.logits(family.base, family.mixed_batch(1, place)[:, :-1])
    experts = [family.expert(k) for k in range(len(family.experts))]
    merged = merge_in_memory(family.merge.method, family.base, experts, run.weight, family.merge.knobs)
    sizes = watch.means()
    found = merged | {
        name: relaxed(family.base[name], merged[name], own, omega, name in watch.inputs_first)
        for name, own in sizes.items()
    }
    moved = total(found, family.base, sizes) / max(total(merged, family.base, sizes), 1e-30)
    note = f"{windows} windows; {len(sizes)} of {len(found)} tensors are linear layers, which keep {moved:.0%} of their"
    return Learned(weights=found, note=f"{note} change")


class Magnitudes(regmean.Watch):
    """A watch that sums |inputs|, (in,)."""

    def summed(self, rows: Tensor) -> Tensor:
        return rows.abs().sum(0)


def relaxed(base: Tensor, merged: Tensor, sizes: Tensor, omega: float, inputs_first: bool = False) -> Tensor:
    """A matrix (out, in), or (in, out) if inputs_first, with its change relaxed by the sizes (in,) of its inputs."""
    factor = (1 - (1 - omega) * sizes / sizes.max().clamp_min(1e-30)).to(merged)
    return base + (merged - base) * (factor[:, None] if inputs_first else factor)


def total(weights: Weights, base: Weights, names) -> float:
    """The length of the change of some tensors."""
    return sum(float((weights[name] - base[name]).double().square().sum()) for name in names) ** 0.5
