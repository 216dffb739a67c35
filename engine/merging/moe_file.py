"""mergekit-moe's files: dense models of one architecture become the experts of a mixture of experts."""

from dataclasses import dataclass
from pathlib import Path

from engine.core.checks import check, is_number, is_texts, is_whole
from engine.core.errors import Problem
from engine.merging.config import MOE, dtype_of
from engine.merging.references import Reading, table

TOP = ("base_model", "dtype", "architecture", "seed", "name", *MOE)
EXPERT = ("source_model", "positive_prompts", "negative_prompts", "noise_scale", "residual_scale")
RANDOM = ("random", "uniform_random")
HIDDEN = ("hidden", "hidden_avg", "hidden_last")
GATES = (*HIDDEN, "cheap_embed", *RANDOM)


@dataclass(frozen=True)
class Expert:
    """A model whose feed-forward layers become an expert. positive, negative: prompts that its router row stands for
    and against; noise: standard deviation of noise on its weights; residual: scale of its output."""

    model: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    noise: float = 0.0
    residual: float = 1.0


@dataclass(frozen=True)
class MoeConfig:
    """A mixture of experts as its file describes it. base: whose attention, embeddings and tokenizer it has; shared:
    an expert for every token; gate: how router rows are made; per_token: experts that a token passes."""

    base: str
    experts: tuple[Expert, ...]
    shared: Expert | None
    gate: str
    per_token: int
    architecture: str | None
    dtype: str | None
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def models(self) -> list[str]:
        """Every model to read, the base first."""
        used = [self.base, *(one.model for one in self.experts), *([self.shared.model] if self.shared else [])]
        return list(dict.fromkeys(used))


def is_moe(values: dict) -> bool:
    """Whether a file's settings are mergekit-moe's."""
    return "merge_method" not in values and "experts" in values


def moe_of(values: dict, folder: Path, made: dict[str, Path] | None = None) -> MoeConfig:
    """A mixture from its file's values; relative paths are resolved beside the file. Raises Problem for a bad one."""
    reading = Reading(folder, made or {})
    reading.unused("the mixture", values, TOP, "a mixture has no such setting")
    base, gate, seed = reading.model(values.get("base_model")), values.get("gate_mode", "hidden"), values.get("seed", 0)
    if base is None:
        raise Problem("Cannot make the mixture: it needs a base_model, whose attention and embeddings it has.")
    if gate not in GATES:
        raise Problem(f"Cannot use {gate!r:.80} as gate_mode: it is one of {', '.join(GATES)}.")
    check(is_whole(seed, 0), seed, "seed", "a whole number of at least 0")
    listed = values.get("experts")
    if not isinstance(listed, list) or not listed:
        raise Problem(f"Cannot make the mixture: experts is {listed!r:.80}, and must be a list of models.")
    experts = tuple(expert_of(one, reading) for one in listed)
    shared = [expert_of(one, reading) for one in values.get("shared_experts") or []]
    if len(shared) > 1:
        raise Problem(f"Cannot make the mixture: it has {len(shared)} shared_experts, and layouts have one. Keep one.")
    count = values.get("experts_per_token", 2)
    wanted = f"a whole number from 1 to {len(experts)}, the number of experts"
    check(is_whole(count, 1, len(experts)), count, "experts_per_token", wanted)
    check_prompts(experts, gate)
    return MoeConfig(
        base,
        experts,
        shared[0] if shared else None,
        gate,
        count,
        values.get("architecture"),
        dtype_of(values, "dtype"),
        seed,
        tuple(dict.fromkeys(reading.notes)),
    )


def expert_of(values: object, reading: Reading) -> Expert:
    """One expert. Raises Problem for a bad one."""
    reading.unused("an expert", table("an expert", values), EXPERT, "an expert has no such setting")
    model = reading.model(values.get("source_model"))
    if model is None:
        raise Problem(f"Cannot read an expert: {str(values)[:80]} has no key 'source_model'.")
    prompts = []
    for key in ("positive_prompts", "negative_prompts"):
        given = values.get(key) or []
        check(is_texts(given), given, f"{key} of {model}", "a list of texts")
        prompts.append(tuple(given))
    scales = []
    for key, usual in (("noise_scale", 0.0), ("residual_scale", 1.0)):
        value = usual if values.get(key) is None else values[key]
        check(is_number(value, -1e6, 1e6), value, f"{key} of {model}", "a number")
        scales.append(float(value))
    return Expert(model, *prompts, *scales)


def check_prompts(experts: tuple[Expert, ...], gate: str) -> None:
    """Raise Problem for router rows that cannot be told apart, or that nothing is given for."""
    if gate in RANDOM:
        return
    if lacking := next((one for one in experts if not one.positive), None):
        raise Problem(
            f"Cannot make the mixture: {lacking.model} has no positive_prompts, which gate_mode {gate} makes its "
            "router row from. Give some, or gate_mode: random, and train the router."
        )
    if len({(one.positive, one.negative) for one in experts}) == 1 < len(experts):
        raise Problem(
            "Cannot make the mixture: all experts have the same prompts, so the router cannot tell them apart. Give "
            "each its own."
        )
