"""Stacked proxies against a plain PyTorch loop of the same model: `OMP_NUM_THREADS=1 python -m benchmarks.plain`
(5 CPU minutes).

The loop is what one writes without thinking of stacks: one model of torch.nn's modules, scaled_dot_product_attention,
cross_entropy and AdamW, trained one after the other on the same shapes. Figures are tokens a CPU second and core, of
the fastest of several steps that alternate between the two, and the share of what a large fp32 product reaches here.
Writes benchmarks/results/plain.json and plain.md.
"""

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.core.files import write_json
from engine.proxies.adam import AdamW
from engine.proxies.cpu_matmul import processor
from engine.proxies.model import Stack, rotary, turned
from engine.spec.fidelity import Fidelity, group_size, sized

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.plain"
RESULTS = Path(__file__).parent / "results"
SHAPES = (  # fidelity, vocabulary
    (sized(32, tokens=1 << 20), 257),
    (sized(64, context=128, tokens=1 << 20), 257),
    (sized(128, layers=4, context=256, batch=8, tokens=1 << 20), 257),
    (sized(256, layers=4, context=256, batch=8, tokens=1 << 20), 257),
    (sized(256, layers=2, context=2048, batch=1, tokens=1 << 20), 50_304),
)
SECONDS = 25.0  # of measuring a shape
FEWEST = 3  # steps of each


class Layer(nn.Module):
    """A pre-norm layer, as in engine/proxies/model.py."""

    def __init__(self, kind: Fidelity):
        super().__init__()
        d = kind.width
        self.heads = kind.heads
        self.qkv, self.output = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 2 * kind.hidden, bias=False), nn.Linear(kind.hidden, d, bias=False)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        batch, positions, d = x.shape
        q, k, v = self.qkv(norm(x)).view(batch, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(turned(q, turns), turned(k, turns), v, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, positions, d))
        gate, value = self.up(norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * value)


class Model(nn.Module):
    def __init__(self, kind: Fidelity, vocabulary: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, kind.width)
        self.layers = nn.ModuleList(Layer(kind) for _ in range(kind.layers))
        self.turns = rotary(kind.context, kind.width // kind.heads)

    def forward(self, tokens: Tensor) -> Tensor:
        x = norm(self.embedding(tokens))
        for layer in self.layers:
            x = layer(x, self.turns)
        return norm(x) @ self.embedding.weight.T


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)


def plain_step(kind: Fidelity, vocabulary: int) -> Callable[[], None]:
    """A step of the plain loop."""
    model = Model(kind, vocabulary)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.98), weight_decay=0.1)
    tokens = torch.randint(0, vocabulary, (kind.batch, kind.context + 1))

    def step() -> None:
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def stacked_step(kind: Fidelity, vocabulary: int, members: int) -> Callable[[], None]:
    """A step of a stack, each member clipped by its own norm."""
    stack = Stack(kind, vocabulary, list(range(members)), "cpu")
    optimiser = AdamW([stack.flat], 1e-3, (0.9, 0.98), 0.1, fused=True)
    tokens = torch.randint(0, vocabulary, (members, kind.batch, kind.context + 1))

    def step() -> None:
        stack.backward(stack.losses(tokens))
        norms = torch.linalg.vector_norm(stack.flat.grad, dim=1, keepdim=True)
        stack.flat.grad.mul_((1.0 / norms).clamp_(max=1.0))
        optimiser.step()

    return step


def seconds(steps: dict[str, Callable[[], None]]) -> dict[str, float]:
    """CPU seconds of the fastest step of each, taken in turn."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    began = time.process_time()
    while time.process_time() - began < SECONDS or min(map(len, found.values())) < FEWEST:
        for name, step in steps.items():
            own = time.process_time()
            step()
            found[name].append(time.process_time() - own)
    return {name: min(times[1:]) for name, times in found.items()}  # the first makes moments and buffers


def peak() -> float:
    """FLOP a CPU second of a large fp32 product."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    times = []
    for _ in range(20):
        began = time.process_time()
        a @ b
        times.append(time.process_time() - began)
    return 2 * 1024**3 / min(times)


def row(kind: Fidelity, vocabulary: int) -> dict:
    members = group_size(kind.width) if vocabulary < 1024 else 1
    tokens = kind.batch * kind.context
    took = seconds({"stack": stacked_step(kind, vocabulary, members), "plain": plain_step(kind, vocabulary)})
    stack, plain = members * tokens / took["stack"], tokens / took["plain"]
    a_token, best = kind.flops(vocabulary) / kind.trained_tokens, peak()
    return {
        "shape": f"{kind.width}, {kind.layers}, {kind.batch} x {kind.context}, {vocabulary:,}",
        "members": members,
        "stack": stack,
        "plain": plain,
        "ratio": stack / plain,
        "share": stack * a_token / best,
        "plain share": plain * a_token / best,
        "peak": best / 1e9,
    }


def page(rows: list[dict], machine: str) -> str:
    lines = [
        "# A stack against a plain loop",
        "",
        f"`{COMMAND}`, {date.today()}, {machine}, one thread each, load {os.getloadavg()[0]:.1f}.",
        "",
        "Tokens a CPU second of training, and the share of what a large fp32 product reaches in the same run.",
        "",
        "| width, layers, batch x context, vocabulary | members | stack | plain | ratio | share | plain's |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        lines.append(
            f"| {one['shape']} | {one['members']} | {one['stack']:,.0f} | {one['plain']:,.0f} | {one['ratio']:.2f} | "
            f"{one['share']:.0%} | {one['plain share']:.0%} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for shape in SHAPES:
        rows.append(row(*shape))
        print(rows[-1], flush=True)
    write_json(RESULTS / "plain.json", {"machine": processor(), "date": f"{date.today()}", "rows": rows})
    (RESULTS / "plain.md").write_text(page(rows, processor()))


if __name__ == "__main__":
    main()
