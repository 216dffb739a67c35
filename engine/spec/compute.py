"""How a study's training is split into jobs and queued: the table [compute] of a study file. No torch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.checks import check, is_number, is_whole
from engine.core.errors import Problem
from engine.jobs.devices import Gpu
from engine.jobs.spec import DEVICES, renamed
from engine.spec.fidelity import Fidelity, group_size

LARGEST_GROUP = 64  # larger stacks gain nothing, and lose more to a kill
CARD_FRACTION = 0.8  # fraction of a card's memory that a group may be estimated to take
CARD_MB = 16_000  # assumed for a cluster's cards if nothing is declared
CLUSTER_LANES = 8
# Logits of large vocabularies are made in chunks (engine/proxies/chunked.py). Bytes of a chunk: on a CPU of one member,
# as the head is read once a chunk; on a card of all members.
CHUNK_CPU, CHUNK_CARD = 64 << 20, 1 << 30
WHOLE = 4  # chunks: what fits in so few is as fast at once, with its gradient made in the backward pass


@dataclass(frozen=True)
class Compute:
    """checkpoint_seconds: between checkpoints; retries: of a job that dies; max_parallel: jobs side by side (0: as
    many as there is room for); priority: of all jobs, lower runs sooner; device: auto, cpu or cuda; gpu_memory_mb: card
    memory per job (0: a whole card); group: proxies per job (0: chosen by width, and on a GPU by its memory).
    """

    checkpoint_seconds: float = 15.0
    retries: int = 2
    max_parallel: int = 0
    priority: float = 0.0
    device: str = "auto"
    gpu_memory_mb: int = 0
    group: int = 0

    def __post_init__(self) -> None:
        for name, (fits, wanted) in RULES.items():
            value = getattr(self, name)
            check(fits(value), value, f"a study's compute.{name}", wanted)

    @classmethod
    def from_dict(cls, values: object) -> "Compute":
        """Raises Problem for an unknown setting."""
        if isinstance(values, cls):
            return values
        written = [*values] if isinstance(values, dict) else []
        values = renamed(values) if isinstance(values, dict) else values
        if not isinstance(values, dict) or (
            unknown := [one for one in written if not RULES.keys() & renamed({one: 0})]
        ):
            unexpected = repr(values) if not isinstance(values, dict) else f"the setting {unknown[0]!r}"
            raise Problem(f"Cannot read the study's compute: {unexpected} is unknown. Settings: {', '.join(RULES)}.")
        return cls(**values)

    def settings(self, study: str) -> dict[str, Any]:
        """The settings (engine.jobs.spec.JobSpec) of all jobs of a study."""
        shared = ("retries", "max_parallel", "priority", "device", "gpu_memory_mb")
        return {"study": study, **{name: getattr(self, name) for name in shared}}

    def own(self) -> dict[str, Any]:
        """The settings that training and merging tasks carry."""
        return {"device": self.device, "checkpoint_seconds": self.checkpoint_seconds}


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "checkpoint_seconds": (lambda value: is_number(value, 0), "a number of seconds of at least 0"),
    "retries": (lambda value: is_whole(value, 0), "a whole number of at least 0"),
    "max_parallel": (lambda value: is_whole(value, 0), "a whole number, 0 for no limit"),
    "priority": (lambda value: is_number(value, -1e12), "a number; lower runs sooner"),
    "device": (lambda value: value in DEVICES, "one of " + ", ".join(DEVICES)),
    "gpu_memory_mb": (lambda value: is_whole(value, 0), "a whole number of MB, 0 for a whole card"),
    "group": (lambda value: is_whole(value, 0, 4096), "a whole number up to 4096, 0 to have it chosen"),
}


def group_and_lanes(
    compute: Compute, fidelity: Fidelity, vocabulary: int, gpus: Sequence[Gpu], cores: int, memory_mb: int = 0
) -> tuple[int, int]:
    """How many proxies a job may stack, and how many jobs run side by side, so that all lanes can end together.
    memory_mb: of the machine, 0 where it is unknown."""
    if compute.device == "cpu" or (compute.device == "auto" and not gpus):
        lanes = min(cores, compute.max_parallel) if compute.max_parallel else cores
        fits = members_that_fit(fidelity, vocabulary, memory_mb // lanes, "cpu") if memory_mb else LARGEST_GROUP
        size = min(group_size(fidelity.width), fits)
    else:
        budget = compute.gpu_memory_mb or max((gpu.total_mb for gpu in gpus), default=CARD_MB)
        size = members_that_fit(fidelity, vocabulary, budget)
        lanes = sum(max(1, gpu.total_mb // budget) for gpu in gpus) or CLUSTER_LANES
    lanes = min(lanes, compute.max_parallel) if compute.max_parallel else lanes
    return compute.group or size, lanes


def members_that_fit(fidelity: Fidelity, vocabulary: int, memory_mb: int, device: str = "cuda") -> int:
    """How many stacked proxies fit in a card's memory, or in a machine's: estimated, at least 1. Training halves a
    group that does not fit on a card."""
    room = CARD_FRACTION * memory_mb * 2**20
    sizes = (size for size in range(LARGEST_GROUP, 1, -1) if stack_bytes(fidelity, vocabulary, size, device) <= room)
    return next(sizes, 1)


def stack_bytes(fidelity: Fidelity, vocabulary: int, members: int, device: str = "cuda") -> int:
    """Training memory of a stack: of each member weights, gradients twice and two moments in fp32, and per token and
    layer what the backward pass needs (12 d + 4 h values); on a CPU also the attention's weights of each head, (T, T).
    Logits once, or a chunk of them three times. On a CPU measured within a sixth (benchmarks/results/memory.md); on a
    card it is not measured yet."""
    targets = fidelity.batch * fidelity.context
    kept = 12 * fidelity.width + 4 * fidelity.hidden
    kept += fidelity.heads * fidelity.context if device == "cpu" else 0
    own = 20 * fidelity.parameters(vocabulary) + 4 * targets * fidelity.layers * kept
    limit = CHUNK_CPU if device == "cpu" else CHUNK_CARD
    logits = 4 * members * targets * vocabulary
    return members * own + (3 * limit if logits > WHOLE * limit else logits * (1 if device == "cpu" else 2))


def groups_of(runs: list[dict[str, Any]], size: int, lanes: int) -> list[list[dict[str, Any]]]:
    """The runs in nearly equal groups of at most `size`, each branch in its trunk's. Of trunks with branches, half as
    many, whose group is up to twice as large at the end: smaller stacks take more time per token."""
    bundles = {run["id"]: [run] for run in runs if run.get("trunk") is None}
    for run in runs:
        if run.get("trunk") is not None:
            bundles[run["trunk"]].append(run)
    single, branched = ([one for one in bundles.values() if (len(one) > 1) == more] for more in (False, True))
    groups = split_evenly(single, size, lanes) if single else []
    groups += split_evenly(branched, max(1, size // 2), lanes) if branched else []
    return [[run for bundle in group for run in bundle] for group in groups]


def split_evenly(items: list[Any], size: int, lanes: int) -> list[list[Any]]:
    """Nearly equal groups of at most `size`, a multiple of `lanes` in number, so that all lanes end together."""
    count = math.ceil(len(items) / size)
    count = min(len(items), math.ceil(count / lanes) * lanes)
    return [list(group) for group in (items[k::count] for k in range(count)) if group]
