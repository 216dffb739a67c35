"""A study's settings as people read them: what each is called on pages, and its value in words."""

from collections.abc import Iterator

from engine.metrics import METRICS
from engine.space.design import DESIGNS
from engine.spec.merge_catalogue import catalogue
from engine.surrogates import title_of

LABELS = {
    "corpus": "corpus",
    "domains": "domains chosen",
    "design": "design",
    "runs": "runs planned",
    "largest_share": "largest share in the design",
    "strength": "design: concentration, from and to",
    "temperature": "design: temperature of the prior",
    "max_ratio": "design: largest ratio to the prior",
    "smallest_share": "design: smallest share",
    "repeats": "repeats",
    "repeat_mixtures": "mixtures that are repeated",
    "seed": "seed",
    "common_random_numbers": "common random numbers",
    "target_tokens": "target budget, tokens",
    "available_tokens": "text there is, tokens",
    "epoch_cap": "epoch cap",
    "cap_design": "epoch cap for proxies too",
    "simulated_epoching": "proxies repeat text as the real run will",
    "dose_runs": "dose runs",
    "phases": "phases",
    "order_triples": "mixtures trained in both orders",
    "branches": "branches in the last phase",
    "start": "weights at the start",
    "bounds": "bounds of shares",
    "groups": "groups of domains",
    "priorities": "priorities",
    "relative": "losses relative to the natural mixture",
    "metrics": "metrics besides the loss",
    "tasks": "tasks",
    "flips": "negative flips counted",
    "stop_hopeless": "hopeless runs stopped early",
    "surrogates": "surrogates compared",
    "trainer": "trainer",
    "size": "size of the runs",
    "measures": "what is measured",
    "prior": "prior",
    "fidelity": "proxy",
    "width": "width",
    "layers": "layers",
    "heads": "attention heads",
    "context": "context, tokens",
    "batch": "batch, sequences",
    "tokens": "tokens each",
    "activation": "activation",
    "tie_embeddings": "tied embeddings",
    "learning_rate": "learning rate",
    "schedule": "schedule",
    "warmup": "warm-up, part of the training",
    "weight_decay": "weight decay",
    "beta1": "memory of the mean gradient (Adam)",
    "beta2": "memory of its square (Adam)",
    "clip": "largest norm of a gradient",
    "eval_tokens": "validation text per domain, tokens",
    "mup": "muP",
    "batches": "domains in a batch",
    "sharpness": "sharpness-aware minimisation, radius",
    "compute": "training",
    "checkpoint_seconds": "seconds between checkpoints",
    "retries": "retries of a job that dies",
    "max_parallel": "jobs side by side, at most",
    "priority": "priority of its jobs, lower first",
    "device": "device",
    "gpu_memory_mb": "GPU memory per job, MB",
    "group": "proxies per job",
    "merge": "merge",
    "base": "base",
    "experts": "experts",
    "method": "method",
    "knobs": "parameters",
    "tuned": "parameters varied",
    "by": "one coefficient per",
    "lower": "lowest coefficient",
    "upper": "highest coefficient",
    "token_fraction": "training of an expert, in tokens of a proxy",
    "rate": "learning rate of an expert, in that of a proxy",
    "eval_bytes": "validation text per domain, bytes",
    "evaluators": "programs that measure merges too",
    "of": "compared with the study",
}
PARTS = ("fidelity", "compute", "merge")  # settings that hold settings
NONE = "–"
BY = {"model": "expert", "layer": "expert and layer"}
TITLES = {  # of settings that choose from a table: its titles
    "design": lambda name: DESIGNS[name].title if name in DESIGNS else name,
    "method": lambda name: catalogue()[name].title if name in catalogue() else name,
    "surrogates": title_of,
    "metrics": lambda name: METRICS[name].title if name in METRICS else name,
    "by": lambda name: BY.get(name, name),
}


def settings_told(spec: dict) -> Iterator[tuple[str, str]]:
    """The settings of a study one by one, but for its name: what each is called, and its value."""
    for name, value in spec.items():
        if name in PARTS and isinstance(value, dict):
            for own, inner in value.items():
                yield f"{LABELS[name]}: {LABELS.get(own, own.replace('_', ' '))}", told(own, inner)
        elif name not in (*PARTS, "name"):
            yield LABELS.get(name, name.replace("_", " ")), told(name, value)


def told(name: str, value: object) -> str:
    """A value as people read it; what is empty or left to Mixdesk is a dash."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{one} {told(one, inner)}" for one, inner in value.items()) or NONE
    if isinstance(value, list | tuple):
        return ", ".join(told(name, one) for one in value) or NONE
    if isinstance(value, float | int):
        return f"{value:,.10g}" if abs(value) >= 10_000 else f"{value:.10g}"
    return TITLES.get(name, str)(str(value)) if value else NONE
