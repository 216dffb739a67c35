"""Memory of training proxies, measured against what is estimated: `OMP_NUM_THREADS=1 python -m benchmarks.memory`
(2 CPU minutes, up to 2 GB).

Each shape trains two steps in a process of its own, whose largest memory beyond that of a tiny stack is compared with
engine.spec.compute.stack_bytes. RegMix's shape is also trained with all logits at once, as before they were made in
chunks (engine/proxies/chunked.py). Writes benchmarks/results/memory.md.
"""

import json
import multiprocessing
import os
import platform
import resource
import time
from datetime import date
from pathlib import Path

import torch

from engine.proxies import chunked
from engine.proxies.adam import AdamW
from engine.proxies.model import Stack
from engine.spec.compute import stack_bytes
from engine.spec.fidelity import Fidelity, sized

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.memory"
RESULTS = Path(__file__).parent / "results"
TINY = Fidelity(width=16, heads=1, layers=1, context=16, batch=1, tokens=1024)
REGMIX = sized(256, layers=2, context=2048, batch=1, tokens=1 << 20)
SHAPES = (  # fidelity, vocabulary, members
    (sized(32, tokens=1 << 20), 257, 8),
    (sized(64, context=128, tokens=1 << 20), 257, 8),
    (sized(128, layers=4, context=256, batch=8, tokens=1 << 20), 257, 4),
    (sized(256, layers=4, context=512, batch=8, tokens=1 << 20), 257, 2),
    (sized(128, layers=4, context=256, batch=8, tokens=1 << 20), 32_000, 2),
    (sized(64, context=128, batch=8, tokens=1 << 20), 8192, 8),
    (REGMIX, 50_304, 1),
    (REGMIX, 50_304, 2),
)


def measured(fidelity: Fidelity, vocabulary: int, members: int, whole: bool, told) -> None:
    """Tell the largest memory of two steps in bytes beyond that of a tiny stack, and the CPU seconds of one."""
    torch.set_num_threads(1)
    train(TINY, 50, 1)
    before = peak()
    if whole:
        chunked.WHOLE = 1 << 40
    seconds = train(fidelity, vocabulary, members)
    told.put((peak() - before, seconds))


def train(fidelity: Fidelity, vocabulary: int, members: int) -> float:
    """Two steps; returns the CPU seconds of the second."""
    stack = Stack(fidelity, vocabulary, list(range(members)), "cpu")
    optimiser = AdamW([stack.flat], fidelity.learning_rate, (0.9, 0.98), 0.1, fused=True)
    tokens = torch.randint(0, vocabulary, (members, fidelity.batch, fidelity.context + 1))
    for _ in range(2):
        began = time.process_time()
        stack.backward(stack.losses(tokens))
        optimiser.step()
    return time.process_time() - began


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def row(fidelity: Fidelity, vocabulary: int, members: int, whole: bool = False) -> dict:
    """One shape, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=measured, args=(fidelity, vocabulary, members, whole, told))
    process.start()
    most, seconds = told.get(timeout=600)
    process.join()
    shape = f"{fidelity.width}, {fidelity.layers}, {fidelity.batch} x {fidelity.context}, {vocabulary:,}"
    return {
        "shape": shape + (", all logits at once" if whole else ""),
        "members": members,
        "measured": most / 2**20,
        "estimated": None if whole else stack_bytes(fidelity, vocabulary, members, "cpu") / 2**20,
        "tokens": members * fidelity.batch * fidelity.context / seconds,
    }


def page(rows: list[dict]) -> str:
    lines = [
        "# Memory of training proxies on a CPU",
        "",
        f"`{COMMAND}`, {date.today()}, {platform.machine()}, {os.cpu_count()} cores, one thread.",
        "",
        "The largest memory of a stack in training, beyond that of a tiny one, and what is estimated before it starts. "
        "Speed is one step's and rough.",
        "",
        "| width, layers, batch x context, vocabulary | members | measured, MB | estimated, MB | ratio | tokens/s |",
        "|---|---|---|---|---|---|",
    ]
    for one in rows:
        said = "" if one["estimated"] is None else f"{one['estimated']:,.0f}"
        ratio = "" if one["estimated"] is None else f"{one['measured'] / one['estimated']:.2f}"
        lines.append(
            f"| {one['shape']} | {one['members']} | {one['measured']:,.0f} | {said} | {ratio} | {one['tokens']:,.0f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    rows = [row(*shape) for shape in SHAPES] + [row(REGMIX, 50_304, 1, whole=True)]
    print(json.dumps(rows, indent=2))
    (RESULTS / "memory.md").write_text(page(rows))


if __name__ == "__main__":
    main()
