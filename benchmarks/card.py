"""What a card does with our code: `python -m benchmarks.card` (under eight minutes; without a card it says "not run").

Parts, each skipped with its reason where something it needs is missing or the time is up:
agreement: losses of 512 tokens, and after ten steps of training, against the CPU.
stacking: 64 proxies of width 128 in one stack against one by one (a few, the others take as long), tokens a second.
regmix: RegMix's shape, 8 members: tokens a second, the share of the bf16 peak that a large product reaches here, and
memory against the estimate (engine.spec.compute.stack_bytes), trained and measured.
merge: task arithmetic of a random family of a billion parameters in the card's memory, and the loss of a few windows.
in_context: a training step of the in-context surrogate, against the CPU.
`--device cpu --small` runs the same code on shapes that a CPU can do, for tests, and writes nothing. Writes
benchmarks/results/card.json and card.md.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch

from engine.core.files import write_json
from engine.jobs.runs import TaskRun
from engine.merging.methods.memory import merge_in_memory
from engine.proxies.evaluate import evaluate
from engine.proxies.model import Stack
from engine.proxies.train import Training
from engine.spec.compute import stack_bytes
from engine.spec.fidelity import Fidelity, sized

COMMAND = "python -m benchmarks.card"
RESULTS = Path(__file__).parent / "results"
SECONDS = 440  # after which no further part begins
STEPS, WARM = 20, 3  # steps that are timed, after some that are not: the first compile
DOMAINS = ["one", "two"]


@dataclass(frozen=True)
class Shapes:
    """What is run. alone: how many proxies are trained one by one, the rest being taken to last as long."""

    device: str
    stacked: Fidelity
    members: int
    alone: int
    regmix: Fidelity
    vocabulary: int
    regmix_members: int
    llama: dict[str, int]
    experts: int


LARGE = Shapes(
    "cuda",
    sized(128, layers=4, context=256, batch=8, tokens=1 << 20),
    64,
    3,
    sized(256, layers=2, context=2048, batch=4, tokens=1 << 20, eval_tokens=1 << 15),
    50_304,
    8,
    {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
    3,
)
SMALL = replace(
    LARGE,
    device="cpu",
    stacked=sized(32, layers=1, context=32, batch=2, tokens=4096),
    members=4,
    alone=1,
    regmix=sized(32, layers=1, context=64, batch=1, tokens=4096, eval_tokens=256),
    vocabulary=8192,
    regmix_members=2,
    llama={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
)


class Noise:
    """A corpus of random tokens, as Training and evaluation ask one."""

    def __init__(self, vocabulary: int, tokens: int):
        rng = np.random.default_rng(0)
        self.vocabulary, self.domains = vocabulary, DOMAINS
        self.token_bytes = np.ones(2 * vocabulary)
        self.shards = {name: rng.integers(0, vocabulary, tokens).astype(np.uint16) for name in DOMAINS}

    def train(self, domain: str) -> np.ndarray:
        return self.shards[domain]

    valid = train


def training_of(fidelity: Fidelity, vocabulary: int, members: int, device: str) -> Training:
    """A stack of members on random text."""
    runs = [TaskRun(id=f"{g}", weights=[0.5, 0.5], seed=g) for g in range(members)]
    corpus = Noise(vocabulary, max(1 << 16, 8 * fidelity.context))
    whole = replace(fidelity, tokens=2 * (WARM + STEPS) * fidelity.batch * fidelity.context)
    return Training(whole, corpus, DOMAINS, runs, device)


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def speed(training: Training) -> float:
    """Tokens a second of all members, after the first steps."""
    for _ in range(WARM):
        training.advance()
    wait(training.device)
    began = time.monotonic()
    for _ in range(STEPS):
        training.advance()
    wait(training.device)
    fidelity = training.fidelity
    return len(training.ids) * STEPS * fidelity.batch * fidelity.context / (time.monotonic() - began)


# The parts ---------------------------------------------------------------------------------------------------


def agreement(shapes: Shapes) -> dict:
    """The largest difference of losses in nats between the device and the CPU."""
    fidelity = sized(64, context=128, batch=2, tokens=1 << 20)
    stacks = [Stack(fidelity, 512, [1, 2], device) for device in ("cpu", shapes.device)]
    tokens = torch.randint(0, 512, (2, 2, 129), generator=torch.Generator().manual_seed(0))
    first, second = (one.losses(tokens.to(one.flat.device)).detach().cpu() for one in stacks)
    trained = [training_of(fidelity, 512, 2, device) for device in ("cpu", shapes.device)]
    for one in trained:
        for _ in range(10):
            one.advance()
    ends = [one.stack.losses(tokens.to(one.device)).detach().cpu() for one in trained]
    return {
        "tokens": 512,
        "difference": float((first - second).abs().max()),
        "after ten steps": float((ends[0] - ends[1]).abs().max()),
    }


def stacking(shapes: Shapes) -> dict:
    """Tokens a second of a stack, and of its members one by one."""
    began = time.monotonic()
    together = speed(training_of(shapes.stacked, 4096, shapes.members, shapes.device))
    seconds = time.monotonic() - began
    singly = [speed(training_of(shapes.stacked, 4096, 1, shapes.device)) for _ in range(shapes.alone)]
    alone = float(np.median(singly))
    return {"members": shapes.members, "stack": together, "one by one": alone, "ratio": together / alone} | {
        "seconds until it was measured, compiling included": seconds
    }


def peak(device: str) -> float:
    """FLOP/s of a large bf16 product."""
    size = 8192 if device == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    wait(device)
    began, times = time.monotonic(), 20
    for _ in range(times):
        a @ b
    wait(device)
    return 2 * size**3 * times / (time.monotonic() - began)


def regmix(shapes: Shapes) -> dict:
    """RegMix's shape, trained and measured."""
    fidelity, members = shapes.regmix, shapes.regmix_members
    if shapes.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    training = training_of(fidelity, shapes.vocabulary, members, shapes.device)
    found = {"members": members, "tokens a second": speed(training)}
    a_token = fidelity.flops(shapes.vocabulary) / fidelity.trained_tokens
    found["share of the measured bf16 peak"] = found["tokens a second"] * a_token / peak(shapes.device)
    estimate = stack_bytes(fidelity, shapes.vocabulary, members, shapes.device) / 2**20
    took = torch.cuda.max_memory_allocated() / 2**20 if shapes.device == "cuda" else None
    began = time.monotonic()
    corpus = Noise(shapes.vocabulary, max(1 << 16, 8 * fidelity.context))
    losses, _ = evaluate(training.stack, corpus, DOMAINS, fidelity.eval_tokens)
    wait(shapes.device)
    found |= {"memory, MB": took, "estimated, MB": estimate, "seconds to measure": time.monotonic() - began}
    after = torch.cuda.max_memory_allocated() / 2**20 if shapes.device == "cuda" else None
    return found | {"memory with measuring, MB": after, "losses are finite": bool(np.isfinite(losses).all())}


def merge(shapes: Shapes) -> dict:
    """A family in the device's memory, merged and measured."""
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = 128_256 if shapes.device == "cuda" else 300
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=2048, tie_word_embeddings=True, **shapes.llama)
    with torch.device(shapes.device):
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    base = {name: value.detach() for name, value in model.named_parameters()}
    experts = [
        {name: value + 0.01 * torch.randn_like(value) for name, value in base.items()} for _ in range(shapes.experts)
    ]
    times = []
    for _ in range(3):
        wait(shapes.device)
        began = time.monotonic()
        merged = merge_in_memory("task_arithmetic", base, experts, [0.3] * shapes.experts)
        wait(shapes.device)
        times.append(time.monotonic() - began)
    ids = torch.randint(0, vocabulary, (4, 64 if shapes.device == "cpu" else 1024), device=shapes.device)
    began = time.monotonic()
    with torch.no_grad():
        loss = torch.func.functional_call(model, merged, (ids,), {"labels": ids}).loss.item()
    parameters = sum(value.numel() for value in base.values())
    said = {"parameters": parameters, "experts": shapes.experts, "seconds a merge": min(times)}
    return said | {"seconds of 4 windows": time.monotonic() - began, "loss": loss}


def in_context(shapes: Shapes) -> dict:
    """Seconds of a training step of the in-context surrogate."""
    from engine.surrogates.in_context.network import Network
    from engine.surrogates.in_context.train import batch, loss_of

    found = {}
    for device in dict.fromkeys((shapes.device, "cpu")):
        network, parts = Network().to(device), batch(0, 0)
        times = []
        for _ in range(4):
            began = time.monotonic()
            loss_of(network, parts, device).mean().backward()
            wait(device)
            times.append(time.monotonic() - began)
        found[f"seconds a step, {device}"] = min(times[1:])
    return found


PARTS: dict[str, Callable[[Shapes], dict]] = {
    part.__name__: part for part in (agreement, stacking, regmix, merge, in_context)
}


def run(shapes: Shapes) -> dict:
    """Every part, or why it was left out."""
    began, found = time.monotonic(), {}
    for name, part in PARTS.items():
        if time.monotonic() - began > SECONDS:
            found[name] = {"not run": "the time was up"}
            continue
        try:
            own = time.monotonic()
            found[name] = part(shapes) | {"seconds": time.monotonic() - own}
        except (ImportError, RuntimeError) as error:  # an optional package; what the card refused
            found[name] = {"not run": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        print(name, found[name], flush=True)
    return found


def page(found: dict, machine: str) -> str:
    lines = ["# On a card", "", f"`{COMMAND}`, {date.today()}, {machine}.", ""]
    for name, own in found.items():
        lines += [f"## {name}", "", "| | |", "|---|---|"]
        lines += [f"| {key} | {f'{value:,.5g}' if isinstance(value, float) else value} |" for key, value in own.items()]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="shapes for a CPU; nothing is written")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("not run: torch finds no card here")
        return
    found = run(replace(SMALL if options.small else LARGE, device=options.device))
    if options.small:
        return
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor()
    machine = f"{name}, {os.cpu_count()} cores, torch {torch.__version__}"
    write_json(RESULTS / "card.json", {"machine": machine, "date": f"{date.today()}", "command": COMMAND, **found})
    (RESULTS / "card.md").write_text(page(found, machine))


if __name__ == "__main__":
    main()
