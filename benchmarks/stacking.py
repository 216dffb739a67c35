"""Stacked proxies against the same ones one after another: `python -m benchmarks.stacking`.

Both train the same steps on the same tokens with the same kernels; the repeats of the two alternate, and the
figure is the ratio of their fastest steps in this run. Writes results/stacking.json and .md here. On a GPU
it also measures 64 proxies of d = 128, and which fraction of the bf16 matrix product's measured peak they reach.
"""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from engine.proxies.adam import AdamW
from engine.proxies.model import Stack
from engine.spec.fidelity import HEAD, Fidelity

VOCABULARY, REPEATS = 256, 12


class Stepper:
    """A stack with its optimiser and one fixed batch of random tokens."""

    def __init__(self, fidelity: Fidelity, members: int, device: str):
        self.device, self.stack = device, Stack(fidelity, VOCABULARY, list(range(members)), device)
        self.losses_of = torch.compile(self.stack.losses) if device == "cuda" else self.stack.losses
        self.optimiser = AdamW([self.stack.flat], 1e-3, fused=True)
        shape = (members, fidelity.batch, fidelity.context + 1)
        self.tokens = torch.randint(VOCABULARY, shape, device=device)

    def step(self) -> None:
        """Forward, backward, update."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            losses = self.losses_of(self.tokens)
        self.stack.backward(losses)
        self.optimiser.step()


def seconds(stepper: Stepper, steps: int) -> float:
    """Wall seconds of some steps."""
    if stepper.device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        stepper.step()
    if stepper.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(width: int, members: int, device: str) -> dict:
    """Tokens per second of a stack and of its members one after another, and the ratio."""
    fidelity = Fidelity(width=width, heads=width // HEAD)
    together, alone = Stepper(fidelity, members, device), Stepper(fidelity, 1, device)
    seconds(together, 2), seconds(alone, 2)
    stacked, single = float("inf"), float("inf")
    for _ in range(REPEATS):
        stacked = min(stacked, seconds(together, 1))
        single = min(single, seconds(alone, members) / members)
    tokens = fidelity.batch * fidelity.context
    row = {"device": device, "width": width, "members": members, "ratio": single * members / stacked}
    row |= {"stacked tokens/s": members * tokens / stacked, "alone tokens/s": tokens / single}
    if device == "cuda":
        flops = fidelity.flops(VOCABULARY) / (fidelity.steps * tokens)
        row["fraction of bf16 peak"] = row["stacked tokens/s"] * flops / matmul_peak()
    return row


def matmul_peak() -> float:
    """Operations per second of a large bf16 matrix product, measured now."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * 8192**3 / best


def markdown(found: dict) -> str:
    """The line-up as a table."""
    lines = ["# Stacked proxies against one after another", ""]
    lines += [f"`{found['command']}`, {found['date']}, {found['cores']} cores, one thread used.", ""]
    columns = list(found["rows"][0])
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in found["rows"]:
        lines.append("| " + " | ".join(map(cell, row.values())) + " |")
    return "\n".join(lines) + "\n"


def cell(value: str | float) -> str:
    """A value as the table shows it: two decimals for a ratio, none for tokens per second."""
    if isinstance(value, float):
        return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
    return str(value)


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    rows = [compare(width, members, "cpu") for width in (32, 64, 128) for members in (1, 4, 8, 16)]
    if torch.cuda.is_available():
        rows.append(compare(128, 64, "cuda"))
    found = {
        "command": "python -m benchmarks.stacking",
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "stacking.json").write_text(json.dumps(found, indent=1) + "\n")
    (results / "stacking.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
