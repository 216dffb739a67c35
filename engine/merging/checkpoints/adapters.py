"""LoRA adapters on a base as experts: `base+adapter` is a model whose tensors are computed on access.

Reads PEFT's layout, a folder with adapter_config.json and adapter_model.safetensors. A changed tensor is base + scale
B A, scale = alpha / r, or alpha / sqrt(r) with use_rslora (Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023,
arXiv:2312.03732). Nothing is written; at most one fp32 tensor is in memory.
"""

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.checkpoints.reader import Checkpoint, Stored, table
from engine.merging.checkpoints.vocabulary import has_tokens

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
PAIRS = {".lora_A.weight": ".lora_B.weight", ".lora_embedding_A": ".lora_embedding_B"}
UNREADABLE = (  # settings under which the weights are not base + scale B A
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "kasa_config",
    "monteclora_config",
)
MOVED_BASES = ("pissa", "olora", "corda", "loftq")  # initialisations that change the base, too


@dataclass(frozen=True)
class Low:
    """A tensor's update: scale x B A, transposed if the base stores (in, out). a, b: names in the adapter's file."""

    a: str
    b: str
    scale: float
    flipped: bool


class Adapted:
    """A base checkpoint with an adapter on it; used like a `Checkpoint`."""

    def __init__(self, base: Checkpoint, folder: Path):
        """Reads headers only. Raises Problem that names the file, the tensor and the remedy."""
        self.base, self.folder = base, folder
        self.path, self.config, self.layers = base.path, base.config, base.layers
        self.home = folder if has_tokens(folder) else base.path  # an adapter may have its own tokenizer
        self.files = [*base.files, folder / WEIGHTS]
        self.weights = Checkpoint(folder / WEIGHTS)
        self.changes: dict[str, Low] = {}
        self.replaced: dict[str, str] = {}  # the base's name -> the adapter's
        known = {second for first in self.weights.tensors for second in [partner(first)] if second}
        for name in self.weights.tensors:
            if name not in known:
                self._take(name)
        if not self.changes and not self.replaced:
            raise Problem(f"Cannot use the adapter {folder}: {WEIGHTS} holds no tensor. Copy it again.")

    def _take(self, name: str) -> None:
        """Add one tensor of the adapter's file."""
        second = partner(name)
        if second is None:
            if "lora_" in name:
                raise Problem(
                    f"Cannot use the adapter {self.folder}: {name!r} does not belong to a plain LoRA. Merge it into "
                    "its base with peft's merge_and_unload first."
                )
            whole = name.replace(".modules_to_save.", ".").replace(".base_layer.", ".")
            self.replaced[self._target(whole, name)] = name
            return
        if second not in self.weights.tensors:
            raise Problem(f"Cannot use the adapter {self.folder}: it has {name!r} but no {second!r}. Copy it again.")
        module = name[: -len(next(end for end in PAIRS if name.endswith(end)))]
        target = self._target(f"{module}.weight", name)
        if not self.base.tensors[target].dtype.is_floating_point:
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: {target!r} is quantised there. Use the "
                "base's weights in bfloat16."
            )
        if min(len(self.weights.tensors[one].shape) for one in (name, second)) < 2:
            raise Problem(f"Cannot use the adapter {self.folder}: {name!r} is not a pair of matrices. Copy it again.")
        embedding = name.endswith("_A")
        scale = self._scale(module.removeprefix(PREFIX), self.weights.tensors[name].shape[0], name)
        change = Low(name, second, scale, embedding or bool(self.settings.get("fan_in_fan_out")))
        self._check(target, change)
        self.changes[target] = change

    def _target(self, name: str, said: str) -> str:
        """The base's tensor that a name in the adapter refers to."""
        target = name.removeprefix(PREFIX)
        while target not in self.base.tensors and "." in target:
            target = target.split(".", 1)[1]  # some bases are stored without their outer name
        if target not in self.base.tensors:
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: it changes {said!r}, and the base has no "
                "such tensor. Take the base that it was trained on."
            )
        return target

    def _scale(self, module: str, rank: int, name: str) -> float:
        """alpha / r of a module; its own patterns come first."""
        told = pattern(self.settings.get("rank_pattern"), module, self.settings["r"])
        if told != rank:
            raise Problem(
                f"Cannot use the adapter {self.folder}: {name!r} has rank {rank}, and {CONFIG} says {told}. Copy both "
                "files from one place."
            )
        alpha = pattern(self.settings.get("alpha_pattern"), module, self.settings["lora_alpha"])
        return alpha / (math.sqrt(rank) if self.settings.get("use_rslora") else rank)

    def _check(self, target: str, change: Low) -> None:
        """Raise Problem if B A does not have the base's shape."""
        first, second = (self.weights.tensors[name].shape for name in (change.a, change.b))
        wanted = self.base.tensors[target].shape
        made = second[:1] + first[1:]
        if len(first) > 2 and math.prod(second[2:]) == 1:  # a convolution: B is 1 x 1
            second = second[:2]
        if (made[::-1] if change.flipped else made) != wanted or second[1:] != first[:1]:
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: {change.a!r} {list(first)} and "
                f"{change.b!r} {list(second)} do not make {target!r} {list(wanted)}. Take the base that it was "
                "trained on."
            )

    @cached_property
    def settings(self) -> dict:
        """adapter_config.json. Raises Problem if it is not a plain LoRA."""
        path = self.folder / CONFIG
        try:
            found = table(path.read_bytes())
            kind, rank, alpha = found.get("peft_type"), found["r"], found["lora_alpha"]
            if not (rank > 0 and math.isfinite(alpha)):
                raise ValueError(f"r is {rank} and lora_alpha {alpha}")
            for key, least in (("rank_pattern", 1), ("alpha_pattern", -math.inf)):
                for module, value in (found.get(key) or {}).items():
                    re.compile(module)
                    if not least <= value < math.inf:
                        raise ValueError(f"{key} has {value} for {module!r}")
        except (OSError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, re.error) as error:
            raise Problem(f"Cannot read {path}: {error!r}. Copy it again, or save the adapter with peft.") from error
        beginning = str(found.get("init_lora_weights")).lower()
        unexpected = [key for key in UNREADABLE if found.get(key)]
        unexpected += [f"init_lora_weights {beginning}"] if beginning.startswith(MOVED_BASES) else []
        unexpected += [f"peft_type {kind}"] if kind not in (None, "LORA") else []
        if unexpected:
            raise Problem(
                f"Cannot use the adapter {self.folder}: {CONFIG} says {unexpected[0]}, which is more than a "
                "plain LoRA. Merge it into its base with peft's merge_and_unload first."
            )
        return found

    @cached_property
    def tensors(self) -> dict[str, Stored]:
        """The base's tensors; those that the adapter replaces have its shapes and dtypes."""
        kept = {name: replace(self.weights.tensors[own], name=name) for name, own in self.replaced.items()}
        return self.base.tensors | kept

    def flat(self, name: str) -> Tensor:
        """A tensor's elements (n,): the base's, the adapter's own, or one of them plus the update in fp32."""
        whole = self.weights.flat(self.replaced[name]) if name in self.replaced else self.base.flat(name)
        if name not in self.changes:
            return whole
        change = self.changes[name]
        a, b = (self.weights.flat(one).float() for one in (change.a, change.b))
        rank = self.weights.tensors[change.a].shape[0]
        delta = b.reshape(-1, rank) @ a.reshape(rank, -1)  # (out, in), or (out, in x k x k)
        delta = delta.T if change.flipped else delta
        return whole.float().add(delta.reshape(-1), alpha=change.scale)

    @property
    def held(self) -> int:
        """Bytes of memory to access a tensor: the base's and the update in fp32."""
        return 8 * max((self.tensors[name].size for name in self.changes), default=0)

    def culprit(self, name: str) -> Path:
        """The file responsible for a tensor's invalid values: the base's, if they are invalid there already."""
        if name in self.replaced or (name in self.changes and torch.isfinite(self.base.flat(name)).all()):
            return self.folder / WEIGHTS
        return self.base.culprit(name)

    @property
    def doubt(self) -> str | None:
        """A warning if the adapter says that it was trained on a base of another name, else None."""
        said = str(self.settings.get("base_model_name_or_path") or "")
        name = said.rstrip("/").rpartition("/")[2].lower()
        known = f"{self.base.path.resolve()} {(self.config or {}).get('_name_or_path')}".lower()
        if name in known:
            return None
        return (
            f"The adapter {self.folder} says that it was trained on {said}, and is applied to {self.base.path}: make "
            "sure that they are the same model."
        )


def partner(name: str) -> str | None:
    """The name of B for a name of A."""
    for end, other in PAIRS.items():
        if name.endswith(end):
            return name[: -len(end)] + other
    return None


def pattern(values: dict | None, module: str, otherwise: float) -> float:
    """A module's own rank or alpha: of the first key that, as a regular expression, matches the end of its name."""
    for key, value in (values or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return otherwise


def open_model(reference: str) -> Checkpoint | Adapted:
    """A model by its reference in a merge file: a folder, a file, or `base+adapter`."""
    path = Path(reference)
    if path.exists() or "+" not in reference:
        if (path / CONFIG).is_file() and not (path / "config.json").is_file():
            raise Problem(f"Cannot merge {path} as a model: it is a LoRA adapter. Name its base before it: BASE+{path}")
        return Checkpoint(path)
    base, adapter = (Path(part) for part in reference.rsplit("+", 1))
    if (adapter / "adapter_model.bin").is_file() and not (adapter / WEIGHTS).is_file():
        return Checkpoint(adapter / "adapter_model.bin")  # to say why a pickle is refused
    if not (adapter / CONFIG).is_file() or not (adapter / WEIGHTS).is_file():
        lacking = CONFIG if not (adapter / CONFIG).is_file() else WEIGHTS
        raise Problem(f"Cannot open the adapter {adapter}: {lacking} is not there. Check the path.")
    return Adapted(Checkpoint(base), adapter)
