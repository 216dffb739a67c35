"""Training of the in-context surrogate: worlds made on the way, and a checkpoint every minute.

`python -m engine.surrogates.in_context train --steps 20000 --seed 0 --folder runs/one`. Step k draws its worlds from
the seed and k alone, so a training that was stopped goes on as if it had not been. The rate rises over WARMUP steps,
stays, and falls to zero over the last third: a training that has to end sooner is resumed with fewer steps.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine.core.files import replacing
from engine.surrogates.in_context.cells import cells
from engine.surrogates.in_context.network import Network, posterior, surprise
from engine.surrogates.in_context.prior import FAMILIES, METRICS, Tables, tables

CELLS = 8_000  # of a step: tables x runs x domains
MOST = 64  # tables of a step
WARMUP = 200
FALL = 1 / 3  # of the steps, in which the rate falls to zero
CHECKPOINT = "checkpoint.safetensors"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each weight
EVERY = 60.0  # seconds between checkpoints
SAID = 50  # steps between lines of the log
JUDGED = 24  # batches of held-out worlds
HELD_OUT = 2**31  # steps from which held-out worlds are drawn
WORST = 20.0  # a larger surprise at a point counts as this
RUNS, DOMAINS = (3, 200), (2, 24)


@dataclass(frozen=True)
class Settings:
    """steps in all, seed, the highest rate, device; without: a family that is left out, distinct: how many different
    steps' worlds there are at all (0: every step has new ones)."""

    steps: int
    seed: int = 0
    rate: float = 2e-3
    device: str = "cpu"
    without: str | None = None
    distinct: int = 0


def batch(seed: int, step: int, without: str | None = None) -> list[Tables]:
    """The tables of a step, all of the same runs and domains, one item for each family drawn."""
    rng = np.random.default_rng([seed, step])
    runs = int(np.exp(rng.uniform(np.log(RUNS[0]), np.log(RUNS[1] + 1))))
    domains = int(rng.integers(DOMAINS[0], DOMAINS[1] + 1))
    worlds = int(np.clip(CELLS / (runs * domains * METRICS), 1, MOST // METRICS))
    odds = np.array([0.0 if name == without else often for name, (_, often) in FAMILIES.items()])
    counts = rng.multinomial(worlds, odds / odds.sum())
    pairs = zip(FAMILIES, counts, strict=True)
    return [tables(int(count), runs, domains, name, rng) for name, count in pairs if count]


def loss_of(network: Network, parts: list[Tables], device: str) -> torch.Tensor:
    """(T, q) surprise of a step's answers."""
    whole = Tables(*(np.concatenate(x) for x in zip(*parts, strict=True)))
    spread = np.maximum(whole.losses.std(axis=1, keepdims=True), 1e-6)
    logs = np.log(whole.losses - whole.losses.min(axis=1, keepdims=True) + spread)
    targets = (logs - logs.mean(axis=1, keepdims=True)) / np.maximum(logs.std(axis=1, keepdims=True), 1e-6)
    reading = network(torch.from_numpy(cells(whole.shares, targets, whole.repeats)).to(device))
    given = [torch.from_numpy(x).to(device) for x in (whole.shares, whole.losses, whole.asked)]
    mean, std, spreads = posterior(reading, *given)
    return surprise(mean, std, spreads, torch.from_numpy(whole.answers).to(device))


def judged(network: Network, settings: Settings) -> dict[str, float]:
    """Mean surprise on held-out worlds, the same for every training: of all, of few and many runs."""
    found: dict[str, list[float]] = {"all": [], "to 16 runs": [], "17 to 64 runs": [], "65 runs and more": []}
    with torch.no_grad():
        for k in range(JUDGED):
            parts = batch(0, HELD_OUT + k)
            value = float(loss_of(network, parts, settings.device).clamp_max(WORST).mean())
            runs = parts[0].shares.shape[1]
            found["all"].append(value)
            found["to 16 runs" if runs <= 16 else "17 to 64 runs" if runs <= 64 else "65 runs and more"].append(value)
    return {name: round(float(np.mean(values)), 4) for name, values in found.items() if values}


def rate_at(step: int, settings: Settings) -> float:
    """What the highest rate is multiplied by."""
    left = (settings.steps - step) / (settings.steps * FALL)
    return min(1.0, (step + 1) / WARMUP, left)


def train(settings: Settings, folder: Path) -> None:
    """Train until `steps`, from the checkpoint in the folder if one is there; writes log.jsonl and it there."""
    torch.manual_seed(settings.seed)
    network = Network().to(settings.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=1e-3, betas=(0.9, 0.98))
    folder.mkdir(parents=True, exist_ok=True)
    step, spent = _resumed(folder, network, optimiser)
    _say(folder, {"settings": asdict(settings), "from": step})
    started = saved = time.monotonic()
    recent: list[float] = []
    while step < settings.steps:
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * rate_at(step, settings)
        drawn = step % settings.distinct if settings.distinct else step
        value = (
            loss_of(network, batch(settings.seed + 1, drawn, settings.without), settings.device).clamp_max(WORST).mean()
        )
        optimiser.zero_grad()
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        recent.append(value.item())
        step += 1
        if step % SAID == 0:
            seconds = round(spent + time.monotonic() - started, 1)
            _say(folder, {"step": step, "seconds": seconds, "surprise": round(float(np.mean(recent)), 4)})
            recent = []
        if time.monotonic() - saved > EVERY or step == settings.steps:
            _keep(folder, network, optimiser, step, spent + time.monotonic() - started)
            saved = time.monotonic()
        if step % 1000 == 0 or step == settings.steps:
            _say(folder, {"step": step, "held_out": judged(network, settings)})


def kept(folder: Path) -> tuple[dict[str, dict[str, torch.Tensor]], int, float]:
    """The checkpoint in a folder: the network's tensors and each of the MOMENTS, by the names of weights; the step, and
    the seconds spent until then."""
    found: dict[str, dict[str, torch.Tensor]] = {part: {} for part in ("network", *MOMENTS)}
    with safe_open(folder / CHECKPOINT, "pt") as file:
        notes = json.loads(file.metadata()["training"])
        for name in file.keys():  # noqa: SIM118 (it is no mapping)
            part, _, weight = name.partition(".")
            found[part][weight] = file.get_tensor(name)
    return found, notes["step"], notes["seconds"]


def _resumed(folder: Path, network: Network, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """The step to go on from, and the seconds spent until then."""
    if not (folder / CHECKPOINT).exists():
        return 0, 0.0
    found, step, seconds = kept(folder)
    network.load_state_dict(found["network"])
    for name, weight in network.named_parameters():
        own = {part: found[part][name] for part in MOMENTS if name in found[part]}
        if own:
            optimiser.state[weight] = {part: own[part].to(weight.device if part != "step" else "cpu") for part in own}
    return step, seconds


def _keep(folder: Path, network: Network, optimiser: torch.optim.Optimizer, step: int, seconds: float) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, weight in network.named_parameters():
        tensors |= {f"{part}.{name}": value for part, value in optimiser.state[weight].items()}
    notes = json.dumps({"step": step, "seconds": seconds})
    with replacing(folder / CHECKPOINT) as part:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, {"training": notes}
        )


def _say(folder: Path, line: dict) -> None:
    text = json.dumps(line)
    with open(folder / "log.jsonl", "a") as file:
        file.write(text + "\n")
    print(text, flush=True)
