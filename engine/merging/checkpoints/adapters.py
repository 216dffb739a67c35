"""LoRA adapters on a base as experts: `base+adapter` is a model whose tensors are computed on access.

Reads PEFT's layout, a folder with adapter_config.json and adapter_model.safetensors. A changed tensor is base + scale
B A, scale = alpha / r, or alpha / sqrt(r) with use_rslora (Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023,
arXiv:2312.03732). Nothing is written; at most one fp32 tensor is in memory.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.merging.checkpoints.adapter_kinds import (
    BY_ITS_MAKER,
    BY_PEFT,
    CONFIG,
    SUPPORTED,
    scale_of,
    settings_of,
    unknown_settings,
)
from engine.merging.checkpoints.dora import check_magnitudes, directed, is_magnitude, magnitude_of
from engine.merging.checkpoints.files import ADAPTER, NAMED, left_unread, unread
from engine.merging.checkpoints.naming import meeting
from engine.merging.checkpoints.reader import ROWS, Checkpoint, Stored, resized
from engine.merging.checkpoints.tying import Tie, tie_of
from engine.merging.checkpoints.vocabulary import has_tokens
from engine.spec.stacks import layer_of

PREFIX = "base_model.model."
PAIRS = {".lora_A.weight": ".lora_B.weight", ".lora_embedding_A": ".lora_embedding_B"}


@dataclass(frozen=True)
class Low:
    """A tensor's update: scale x B A, transposed if the base stores (in, out). a, b: names in the adapter's file, and
    magnitude for DoRA's lengths of the rows."""

    a: str
    b: str
    scale: float
    flipped: bool
    magnitude: str | None = None


class Adapted:
    """A base checkpoint with an adapter on it; used like a `Checkpoint`.

    changes: a tensor's updates; replaced: the base's name -> the adapter's own tensor, to which updates are added too;
    tie: of a base that ties its head, where the adapter changes that or the embedding.
    """

    def __init__(self, base: Checkpoint, folder: Path):
        """Reads headers only. Raises Problem that names the file, the tensor and the remedy."""
        self.base, self.folder = base, folder
        self.settings = settings_of(folder)
        self.path = base.path
        self.home = folder if has_tokens(folder) else base.path  # an adapter may have its own tokenizer
        self.files = [*base.files, folder / ADAPTER]
        self.weights = Checkpoint(folder / ADAPTER)
        self.changes: dict[str, list[Low]] = {}
        self.replaced: dict[str, str] = {}
        targets = self._targets()
        self.tie = tie_of(base, targets, self.settings)
        if self.tie and self.tie.saved:
            self._untie(self.tie)
        for name, target in targets.items():
            for place in self.tie.places(name, target) if self.tie else [target]:
                self._take(name, place)
        if not self.changes and not self.replaced:
            raise Problem(f"Cannot use the adapter {folder}: {ADAPTER} holds no tensor. Copy it again.")
        self._turn()
        self._check_rows()
        self._check_whole()

    def _targets(self) -> dict[str, str]:
        """The adapter's tensors (of pairs, the first) and the base's tensors that they change. Raises Problem for those
        of another kind of adapter, before any is looked up in the base."""
        seconds = {second for first in self.weights.tensors for second in [partner(first)] if second}
        seconds |= {name for name in self.weights.tensors if self.settings.get("use_dora") and is_magnitude(name)}
        named = {name: named_by(name) for name in self.weights.tensors if name not in seconds}
        for name, target in named.items():
            is_whole = target.endswith((".weight", ".bias")) or target in self.base.tensors
            if partner(name) is None and ("lora_" in name or not is_whole):
                cure = BY_PEFT if "lora_" not in name or "lora_magnitude" in name else BY_ITS_MAKER
                is_dora = is_magnitude(name)  # of a linear layer that settings do not tell, or of another one
                own = f"is DoRA's, and {CONFIG} does not say use_dora" if is_dora else "is a tensor of another kind"
                raise Problem(f"Cannot use the adapter {self.folder}: {name!r} {own}. {SUPPORTED} {cure}")
        met = meeting(list(named.values()), list(self.base.tensors))
        return {name: met.get(target, target) for name, target in named.items()}

    def _check_whole(self) -> None:
        """Raise Problem if a module of the base that was trained as a whole is not in the adapter's file."""
        own = [f".{named_by(name)}" for name in self.weights.tensors]
        for module in self.settings.get("modules_to_save") or []:
            there = any(f".{module}." in f".{name}" for name in self.base.tensors)
            if there and not any(f".{module}." in name for name in own):
                raise Problem(
                    f"Cannot use the adapter {self.folder}: {CONFIG} says that {module!r} was trained as a whole "
                    f"(modules_to_save), and {ADAPTER} has none of its tensors. Copy it again, or save it with peft."
                )

    def _take(self, name: str, target: str) -> None:
        """Add one tensor of the adapter's file, for the base's tensor that it changes."""
        second = partner(name)
        if target not in self.base.tensors:
            task = self.settings.get("task_type")
            own = f"It may be a head of its own (task_type {task}). {BY_PEFT}"
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: it changes {name!r}, and the base has no "
                f"such tensor. {'Take the base that it was trained on.' if second or not task else own}"
            )
        if second is None:
            self._replace(name, target)
            return
        if second not in self.weights.tensors:
            raise Problem(f"Cannot use the adapter {self.folder}: it has {name!r} but no {second!r}. Copy it again.")
        if not self.base.tensors[target].dtype.is_floating_point:
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: {target!r} is quantised there. Use the "
                "base's weights in bfloat16."
            )
        if min(len(self.weights.tensors[one].shape) for one in (name, second)) < 2:
            raise Problem(f"Cannot use the adapter {self.folder}: {name!r} is not a pair of matrices. Copy it again.")
        module = name[: -len(next(end for end in PAIRS if name.endswith(end)))]
        rank = self.weights.tensors[name].shape[0]
        scale = scale_of(self.folder, self.settings, module.removeprefix(PREFIX), rank, name)
        change = Low(name, second, scale, name.endswith("_A"), self._magnitude(module, name, second))
        self.changes.setdefault(target, []).append(change)

    def _magnitude(self, module: str, first: str, second: str) -> str | None:
        """The name of a module's DoRA magnitudes; None where it is no DoRA."""
        if not self.settings.get("use_dora"):
            return None
        a, b = (self.weights.tensors[name].shape for name in (first, second))
        found = magnitude_of(module, self.weights.tensors)
        outputs = self.weights.tensors[found].shape if found else None
        check_magnitudes(self.folder, module, () if first.endswith("_A") else b[:1] + a[1:], outputs)
        return found

    def _replace(self, name: str, target: str) -> None:
        """Take a whole tensor: of the base's shape, or with other rows of tokens."""
        own, wanted = self.weights.tensors[name].shape, self.base.tensors[target].shape
        is_grown = ROWS.search(target) and layer_of(target) < 0 and own[1:] == wanted[1:]
        if own != wanted and not is_grown:
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: {name!r} is {list(own)}, and {target!r} "
                f"{list(wanted)}. Take the base that it was trained on."
            )
        self.replaced[target] = name

    def _check_rows(self) -> None:
        """Raise Problem if the adapter brings rows for the embedding and not for the head, or the other way round."""
        rows = {name: self.tensors[name].shape[0] for name in self.tensors if ROWS.search(name) and layer_of(name) < 0}
        before = {self.base.tensors[name].shape[0] for name in self.replaced if name in rows}
        left = [name for name in rows if name not in self.replaced and rows[name] in before]
        grown = [name for name in self.replaced if name in rows and rows[name] != self.base.tensors[name].shape[0]]
        if grown and left:
            raise Problem(
                f"Cannot use the adapter {self.folder}: its {grown[0]!r} has {rows[grown[0]]:,} rows, and {left[0]!r} "
                f"of {self.base.path} {rows[left[0]]:,}. Save the adapter with both (save_embedding_layers=True)."
            )

    def untie(self, head: str, embedding: str) -> None:
        """Give a model that ties its head one of its own, which begins as its embedding."""
        self.base.untie(head, embedding)
        self.tensors[head] = replace(self.tensors[embedding], name=head)
        for found in (self.changes, self.replaced):
            if embedding in found:
                found[head] = found[embedding]

    def _untie(self, tie: Tie) -> None:
        """Give the base a head of its own. Raises Problem for one that shares its embedding between more than two."""
        if tie.embedding.endswith("shared.weight"):
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: it has {' and '.join(tie.saved)} of its "
                f"own (modules_to_save), and the base shares {tie.embedding} between encoder, decoder and head. "
                f"{BY_PEFT}"
            )
        self.base.untie(tie.head, tie.embedding)

    def _turn(self) -> None:
        """Turn the updates of matrices that the base stores (in, out), as GPT-2 does. Their shapes tell it, since peft
        sets fan_in_fan_out by module and saves one value for all; that counts for square ones only."""
        ways = {(target, low): self._fits(target, low) for target, lows in self.changes.items() for low in lows}
        turned = [low for (_, low), fits in ways.items() if fits == {True} and not low.flipped]
        square = bool(turned or self.settings.get("fan_in_fan_out"))
        for target, lows in self.changes.items():
            fits = [ways[target, low] for low in lows]
            self.changes[target] = [
                low if low.flipped else replace(low, flipped=square if len(fit) > 1 else fit == {True})
                for low, fit in zip(lows, fits, strict=True)
            ]

    def _fits(self, target: str, change: Low) -> set[bool]:
        """Whether B A has the base's shape as it is (False) or turned (True). Raises Problem if neither."""
        first, second = (self.weights.tensors[name].shape for name in (change.a, change.b))
        wanted = self.tensors[target].shape
        made = second[:1] + first[1:]
        if len(first) > 2 and math.prod(second[2:]) == 1:  # a convolution: B is 1 x 1
            second = second[:2]
        found = {turned for turned, shape in ((False, made), (True, made[::-1])) if shape == wanted}
        if change.flipped:  # embeddings always are
            found &= {True}
        if not found or second[1:] != first[:1]:
            raise Problem(
                f"Cannot use the adapter {self.folder} on {self.base.path}: {change.a!r} {list(first)} and "
                f"{change.b!r} {list(second)} do not make {target!r} {list(wanted)}. Take the base that it was "
                "trained on."
            )
        return found

    @property
    def layers(self) -> int:
        return self.base.layers

    @property
    def stacks(self) -> dict[str, int]:
        return self.base.stacks

    @property
    def is_tied(self) -> bool | None:
        return self.base.is_tied

    @property
    def config(self) -> dict | None:
        """The base's config.json, with as many tokens as the adapter brings."""
        settings = self.base.config
        grown = [name for name in self.replaced if ROWS.search(name) and layer_of(name) < 0]
        if not settings or not grown:
            return settings
        before, rows = (one.tensors[grown[0]].shape[0] for one in (self.base, self))
        return resized(settings, before, rows)

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
        whole = whole.float()
        for change in self.changes[name]:
            a, b = (self.weights.flat(one).float() for one in (change.a, change.b))
            rank = self.weights.tensors[change.a].shape[0]
            delta = b.reshape(-1, rank) @ a.reshape(rank, -1)  # (out, in), or (out, in x k x k)
            delta = delta.T if change.flipped else delta
            whole = whole.add(delta.reshape(-1), alpha=change.scale)
            if change.magnitude:
                matrix = whole.view(self.tensors[name].shape)
                lengths = self.weights.flat(change.magnitude).float()
                rows = directed(matrix.T if change.flipped else matrix, lengths)
                whole = (rows.T if change.flipped else rows).reshape(-1)
        return whole

    @property
    def held(self) -> int:
        """Bytes of memory to access a tensor: the base's and the update in fp32."""
        return 8 * max((self.tensors[name].size for name in self.changes), default=0)

    def culprit(self, name: str) -> Path:
        """The file responsible for a tensor's invalid values: the base's, if they are invalid there already."""
        if name in self.replaced or (name in self.changes and torch.isfinite(self.base.flat(name)).all()):
            return self.folder / ADAPTER
        return self.base.culprit(name)

    @property
    def notes(self) -> list[str]:
        """Warnings about the base's files, and about whether the adapter belongs to it."""
        found, said = list(self.base.notes), str(self.settings.get("base_model_name_or_path") or "")
        if others := unread(self.folder, [self.folder / ADAPTER]):
            found.append(left_unread(self.folder, [self.folder / ADAPTER], others))
        name = said.rstrip("/").rpartition("/")[2].lower()
        known = f"{self.base.path.resolve()} {(self.base.config or {}).get('_name_or_path')}".lower()
        if name not in known:
            found.append(
                f"The adapter {self.folder} says that it was trained on {said}, and is applied to {self.base.path}: "
                "make sure that they are the same model."
            )
        if unknown := unknown_settings(self.settings):
            found.append(
                f"{CONFIG} of the adapter {self.folder} says {', '.join(unknown)}, which is unknown here: make sure "
                "that it does not change what the weights mean."
            )
        if self.tie and not self.tie.saved and self.tie.embedding in self.changes:
            found.append(
                f"The adapter {self.folder} changes {self.tie.embedding} or {self.tie.head}, which are one tensor in "
                f"{self.base.path}: both change, as in peft's merge, and unlike while it was trained."
            )
        if self.tie and self.tie.saved:
            found.append(
                f"The adapter {self.folder} has {' and '.join(self.tie.saved)} of its own, and {self.base.path} ties "
                "embedding and head: in the merge they are two, as peft merges them."
            )
        return found


def named_by(name: str) -> str:
    """The base's tensor by a name in an adapter's file."""
    for end in PAIRS:
        if name.endswith(end):
            name = f"{name[: -len(end)]}.weight"
    return name.removeprefix(PREFIX).replace(".modules_to_save.", ".").replace(".base_layer.", ".")


def partner(name: str) -> str | None:
    """The name of B for a name of A."""
    for end, other in PAIRS.items():
        if name.endswith(end):
            return name[: -len(end)] + other
    return None


def open_model(reference: str) -> Checkpoint | Adapted:
    """A model by its reference in a merge file: a folder, a file, or `base+adapter`."""
    path = Path(reference)
    if path.exists() or "+" not in reference:
        if (path / CONFIG).is_file() and not (path / "config.json").is_file():
            raise Problem(f"Cannot merge {path} as a model: it is a LoRA adapter. Name its base before it: BASE+{path}")
        if path.is_file() and (path.name == ADAPTER or (path.parent / CONFIG).is_file()):
            base = f"BASE+{path.parent}"
            raise Problem(f"Cannot merge {path} as a model: it is a LoRA adapter. Name its base before it: {base}")
        return Checkpoint(path)
    base, adapter = (Path(part) for part in reference.rsplit("+", 1))
    if (adapter / "adapter_model.bin").is_file() and not (adapter / ADAPTER).is_file():
        return Checkpoint(adapter / "adapter_model.bin")  # to say why a pickle is refused
    if not (adapter / CONFIG).is_file() or not (adapter / ADAPTER).is_file():
        lacking = CONFIG if not (adapter / CONFIG).is_file() else ADAPTER
        others = unread(adapter, [adapter / ADAPTER])
        cure = f"There is {listed(others, NAMED)}. {BY_ITS_MAKER}" if others else "Check the path."
        raise Problem(f"Cannot open the adapter {adapter}: {lacking} is not there. {cure}")
    return Adapted(Checkpoint(base), adapter)
