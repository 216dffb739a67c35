"""Adam without `torch.optim.Optimizer`: the first of these imports torch's compiler, as long as importing torch itself.

That is 1.6 CPU seconds at the start of a job which may have two seconds of work (docs/LOG.md, 2026-11-29).
"""

import torch
from torch import Tensor
from torch.optim.adamw import adamw

KEYS = ("exp_avg", "exp_avg_sq", "step")


class AdamW:
    """AdamW on tensors of any shape, moved in place by their `grad`; without weight decay it is Adam.

    rate: of the next step; fused: one kernel for the whole step; shrinks: what every tensor's step is multiplied by,
    element by element. state: tensor -> its moments, like it, and the number of its steps (), as `torch.optim.AdamW`
    names them: enough to go on from.
    """

    def __init__(
        self,
        tensors: list[Tensor],
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        fused: bool = False,
        shrinks: Tensor | None = None,
    ):
        self.shrinks = shrinks
        self.tensors, self.rate, self.betas, self.weight_decay, self.fused = tensors, rate, betas, weight_decay, fused
        self.state = {}
        for one in tensors:
            count = torch.zeros((), device=one.device if fused else "cpu")
            self.state[one] = {"exp_avg": torch.zeros_like(one), "exp_avg_sq": torch.zeros_like(one), "step": count}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self.tensors:
            one.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every tensor that has a gradient."""
        moved = [one for one in self.tensors if one.grad is not None]
        before = None if self.shrinks is None else [one.clone() for one in moved]
        means, squares, counts = ([self.state[one][key] for one in moved] for key in KEYS)
        adamw(
            moved,
            [one.grad for one in moved],
            means,
            squares,
            [],
            counts,
            fused=self.fused,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
        for one, there in zip(moved, before or (), strict=False):
            one.copy_(torch.lerp(there, one, self.shrinks))
