"""RegMean: linear layers whose outputs come closest to every expert's on that expert's own inputs."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from engine.merging.learning.base import Family, Learned, Run, Weights
from engine.proxies.cpu_matmul import FUSED

PRODUCTS = (F.linear, torch.bmm, torch.baddbmm, torch.addmm)  # functions whose argument before the matrix is the input


def learn(family: Family, run: Run, *, windows: int, alpha: float) -> Learned:
    """W' = (sum G_i)^-1 sum G_i W_i', G_i = X'X / N of the inputs of each linear layer, off-diagonals times alpha; the
    weighted mean elsewhere (Jin et al., arXiv:2212.09849). The coefficients multiply the G_i."""
    grams = []
    for k, expert in enumerate(family.experts):
        watch, domains = Watch(family.expert(k)), family.domains_of(k)
        with torch.no_grad(), watch:
            for place in range(windows):
                run.progress(k * windows + place, windows * len(family.experts), f"inputs of {expert}'s layers")
                family.logits(watch.weights, family.batch(domains[place % len(domains)], 1, place)[:, :-1])
        grams.append(watch.means())
    experts = [family.expert(k) for k in range(len(family.experts))]
    note = f"{windows} windows per expert; {len(grams[0])} of {len(family.base)} tensors are linear layers"
    return Learned(weights=merged(experts, grams, alpha, run.weight, watch.inputs_first), note=note)


class Watch(TorchFunctionMode):
    """While active, sums over the inputs of every matrix of `weights`: their Gram matrices (in, in).

    A matrix that is also an embedding, looked up or shared with the head, is not a linear layer. inputs_first: the
    matrices that lie as (in, out), as GPT-2's do; all others are (out, in).
    """

    def __init__(self, weights: Weights):
        super().__init__()
        self.weights, self.sums, self.rows, self.looked_up, self.inputs_first = weights, {}, {}, set(), set()
        self.names = {value.data_ptr(): name for name, value in weights.items() if value.ndim == 2}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        for place, one in enumerate(args):
            name = self.names.get(one.data_ptr()) if isinstance(one, Tensor) and one.numel() else None
            if name and place and func in (*PRODUCTS, *FUSED):
                self._add(name, args[0 if func in FUSED else place - 1])
                self.inputs_first |= {name} if func is torch.addmm else set()
            elif name and func in (F.embedding, torch.gather, Tensor.gather, torch.index_select):
                self.looked_up.add(name)
        return func(*args, **(kwargs or {}))

    def _add(self, name: str, inputs: Tensor) -> None:
        """Inputs (..., in) of a layer."""
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).double()
        self.sums[name] = self.sums.get(name, 0) + self.summed(rows)
        self.rows[name] = self.rows.get(name, 0) + len(rows)

    def summed(self, rows: Tensor) -> Tensor:
        """What is summed of inputs (N, in), in fp64."""
        return rows.T @ rows

    def means(self) -> Weights:
        """The sum over the N inputs of every linear layer, / N."""
        return {name: total / self.rows[name] for name, total in self.sums.items() if name not in self.looked_up}


def merged(
    experts: list[Weights],
    grams: list[Weights],
    alpha: float,
    weight: tuple[float, ...],
    inputs_first: set[str] = frozenset(),
) -> Weights:
    """The merge of K experts by the Gram matrices of their linear layers."""
    found = {}
    for name in experts[0]:
        own = torch.stack([one[name] for one in experts])  # (K, *shape)
        if name in grams[0]:
            turned = own.mT if name in inputs_first else own
            value = solved(turned.double(), torch.stack([one[name] for one in grams]), alpha, weight).to(own.dtype)
            found[name] = value.mT.contiguous() if name in inputs_first else value
        else:
            coefficients = torch.tensor(weight, dtype=own.dtype, device=own.device)
            found[name] = torch.tensordot(coefficients / coefficients.sum(), own, 1)
    return found


def solved(own: Tensor, grams: Tensor, alpha: float, weight: tuple[float, ...]) -> Tensor:
    """(out, in) from matrices (K, out, in) and Gram matrices (K, in, in).

    Solved for the difference from the mean: directions without inputs keep the mean.
    """
    coefficients = torch.tensor(weight, dtype=own.dtype, device=own.device)
    diagonal = torch.diag_embed(torch.diagonal(grams, dim1=1, dim2=2))
    grams = (alpha * grams + (1 - alpha) * diagonal) * coefficients[:, None, None]
    mean = torch.tensordot(coefficients / coefficients.sum(), own, 1)
    wanted = (grams @ (own - mean).mT).sum(0)  # (in, out)
    return mean + (torch.linalg.pinv(grams.sum(0), hermitian=True) @ wanted).mT
