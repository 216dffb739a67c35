"""What oneDNN's products are worth on this machine: `python -m benchmarks.products`.

CPU milliseconds of a training step of a stack, and of evaluating 65,536 tokens by one proxy, with torch's default
library and with oneDNN where engine/proxies/cpu_matmul.py would use it; one thread, an environment as jobs have it.
Ratios of one run; the results are in benchmarks/results/stacking.md.
"""

import os
import sys
import time

import torch

from engine.jobs.supervisor import CHILD_ENVIRONMENT
from engine.proxies import cpu_matmul as products
from engine.proxies.model import Stack
from engine.spec.fidelity import Fidelity, group_size

STEPS, ROWS, TOKENS, ROUNDS = 20, 4096, 65_536, 5


def main() -> None:
    if not CHILD_ENVIRONMENT.items() <= os.environ.items():  # read by the allocator when a process starts
        os.execve(sys.executable, [*sys.orig_argv], os.environ | CHILD_ENVIRONMENT)
    if not products.ONEDNN:
        sys.exit("This torch was built without oneDNN: there is nothing to compare.")
    print("| width | members | step | by oneDNN | ratio | evaluation | by oneDNN | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for width in (32, 64, 128):
        found = [[], []]
        for _ in range(ROUNDS):  # taken in turns: what else runs here slows both alike
            for with_onednn, times in zip((False, True), found, strict=True):
                products.ONEDNN = with_onednn
                times.append(cpu_ms(width))
        (step, evaluation), (step_one, evaluation_one) = (map(min, zip(*times, strict=True)) for times in found)
        print(
            f"| {width} | {group_size(width)} | {step:.1f} | {step_one:.1f} | {step / step_one:.2f} | "
            f"{evaluation:.0f} | {evaluation_one:.0f} | {evaluation / evaluation_one:.2f} |",
            flush=True,
        )


def cpu_ms(width: int) -> tuple[float, float]:
    """CPU milliseconds of a training step, and of an evaluation."""
    fidelity = Fidelity(width=width, heads=max(1, width // 32))
    model, members = Stack(fidelity, 256, list(range(group_size(width)))), group_size(width)
    batch = torch.randint(256, (members, fidelity.batch, fidelity.context + 1))
    alone, text = Stack(fidelity, 256, [0]), torch.randint(256, (1, ROWS // fidelity.context, fidelity.context + 1))
    model.backward(model.losses(batch))
    alone.token_nll(text)
    began = time.process_time()
    for _ in range(STEPS):
        model.backward(model.losses(batch))
    trained = time.process_time()
    for _ in range(TOKENS // ROWS):
        alone.token_nll(text)
    return 1000 * (trained - began) / STEPS, 1000 * (time.process_time() - trained)


if __name__ == "__main__":
    main()
