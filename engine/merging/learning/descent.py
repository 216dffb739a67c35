"""Gradient descent that reports progress, can be stopped, and resumes from its last checkpoint."""

import time
from collections.abc import Callable

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.core.errors import Problem, Stopped
from engine.core.files import clear_parts, replacing
from engine.merging.learning.base import Run
from engine.proxies.adam import AdamW

Optimizer = AdamW | torch.optim.Optimizer
CHECKPOINT_SECONDS = 15.0
FILE = "descent.safetensors"  # of a job's folder


def descend(
    parameters: dict[str, Tensor],
    optimiser: Callable[[list[Tensor]], Optimizer],
    loss_of: Callable[[int], Tensor],
    steps: int,
    run: Run,
    clip: float = 0.0,
) -> list[float]:
    """Move the parameters, leaves of any shape, in place; returns the losses of the steps of this attempt.

    optimiser: built from a list of tensors; loss_of: step number -> scalar loss; clip: largest gradient norm, 0 for
    none. Raises Stopped, and Problem if the loss is not a number.
    """
    leaves = [value.requires_grad_() for value in parameters.values()]
    optimizer = optimiser(leaves)
    file = run.folder / FILE if run.folder else None
    first = resumed(file, parameters, optimizer) if file else 0
    saved, losses = time.monotonic(), []
    for step in range(first, steps):
        try:
            run.progress(step, steps, f"step {step:,} of {steps:,}" + (f", loss {losses[-1]:.4f}" if losses else ""))
        except Stopped:
            if file:
                keep(file, parameters, optimizer, step)
            raise
        optimizer.zero_grad()
        loss = loss_of(step)
        if not torch.isfinite(loss):
            raise Problem(
                f"Cannot go on learning: the loss of step {step} is {float(loss.detach())}. Use a smaller rate."
            )
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(leaves, clip)
        optimizer.step()
        losses.append(float(loss.detach()))
        if file and time.monotonic() - saved > CHECKPOINT_SECONDS:
            keep(file, parameters, optimizer, step + 1)
            saved = time.monotonic()
    for value in leaves:
        value.requires_grad_(False)
    return losses


def keep(file, parameters: dict[str, Tensor], optimizer: Optimizer, step: int) -> None:
    """Write a checkpoint of the descent, atomically."""
    state = {"step": torch.tensor(step)} | {f"value.{name}": value.detach() for name, value in parameters.items()}
    for name, value in parameters.items():
        state |= {f"state.{key}.{name}": one for key, one in optimizer.state[value].items() if isinstance(one, Tensor)}
    with replacing(file) as part:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, part)


@torch.no_grad()
def resumed(file, parameters: dict[str, Tensor], optimizer: Optimizer) -> int:
    """Load an earlier attempt's checkpoint; returns the next step, 0 if there is none."""
    clear_parts(file)
    if not file.exists():
        return 0
    state = load_file(file)
    for name, value in parameters.items():
        value.copy_(state[f"value.{name}"])
        for key, one in state.items():
            head, _, rest = key.partition(".")
            kind, _, of = rest.partition(".")
            if head == "state" and of == name:
                optimizer.state[value][kind] = one.to(value.device) if one.ndim else one
    return int(state["step"])
