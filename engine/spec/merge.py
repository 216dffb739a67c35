"""A merge study: the coefficients and knobs that it varies, and its runs. Plain data; no torch.

A coordinate of its space is the coefficient of an expert ("python"), of an expert in one block of the model
("python @ layer 3"), or a knob of the method ("density"). K experts, D coordinates.
"""

import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.records import check_plain
from engine.core.system import UNREADABLE, read_fault
from engine.core.workspace import checked_name, within
from engine.space.box import Box
from engine.spec.merge_catalogue import card_of
from engine.spec.merge_knobs import LARGEST
from engine.spec.stacks import json_of, stacks_of, tensor_names
from engine.spec.starts import folder_of

SOUP, USUAL = "uniform soup", "task arithmetic at 0.3"  # baselines
# Roles of runs that are not points of the study's space: the training of a base and experts, and the reference merges
# where the study varies another method.
EXPERT, REFERENCE = "expert", "reference"
OUTSIDE = (EXPERT, REFERENCE)
MOST_EXPERTS, MOST_COORDINATES = 64, 400
REST = "rest"  # the block outside the layers: embeddings, final norm, head
PAIRED = "mirror"  # the stored role of merges at the shares of mixtures of the other study
MOST_PAIRED = 64  # of them
AT = " @ "
HIGHER, LOWER = "higher", "lower"  # which way a metric is better
FORMER = {"share": "token_fraction"}  # what settings were called before, in study files and workspaces
LAYER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True)
class MergeSpec:
    """What a merge study varies. As TOML: the table [merge] of a study file.

    base, experts: external checkpoints, as folders of the workspace's checkpoints/ (experts: name -> folder); empty
    if experts are trained here: a base proxy on the natural mixture, and from it one expert per domain. method: of the
    table; knobs: fixed ones; tuned: those that are coordinates, name -> [min, max]; by: "model" for one
    coefficient per expert, "layer" for one per expert and layer; lower, upper: of every coefficient; token_fraction:
    how long an expert trains, in tokens of a proxy; rate: its learning rate, in those of a proxy; eval_bytes:
    validation text per domain that external models are measured on; of: the mixture study on the same domains to
    compare the merges with; evaluators: programs that measure external merges too (engine/metrics/evaluators.py),
    name -> {metric: which way is better}.
    """

    base: str = ""
    experts: dict[str, str] = field(default_factory=dict)
    method: str = "task_arithmetic"
    knobs: dict[str, Any] = field(default_factory=dict[str, Any])
    tuned: dict[str, tuple[float, float]] = field(default_factory=dict)
    by: str = "model"
    lower: float = 0.0
    upper: float = 1.0
    token_fraction: float = 0.5
    rate: float = 0.5
    eval_bytes: int = 65_536
    of: str = ""
    evaluators: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def __post_init__(self) -> None:
        check_plain(self, "a merge study's")
        self._check_knobs()
        if self.by not in ("model", "layer"):
            raise Problem(f"Cannot vary coefficients by {self.by!r}: choose model or layer.")
        if not -LARGEST <= self.lower < self.upper <= LARGEST:
            raise Problem(f"Cannot bound coefficients by {self.lower!r} and {self.upper!r}: give two rising numbers.")
        for name in ("token_fraction", "rate"):
            if not 0 < getattr(self, name) <= 10:
                raise Problem(f"Cannot use {getattr(self, name)!r} as {name}: give a number above 0, up to 10.")
        if not 1024 <= self.eval_bytes <= 1 << 30:
            raise Problem(f"Cannot measure on {self.eval_bytes!r} bytes per domain: use 1,024 to {1 << 30:,}.")
        if bool(self.experts) != bool(self.base):
            raise Problem("Cannot merge external checkpoints: give both a base and experts, or neither.")
        for name in self.experts:
            if not name.strip() or AT in name or len(name) > 80:
                raise Problem(f"Cannot call an expert {name!r}: use 1 to 80 characters, without {AT!r}.")

        self._check_evaluators()

    def _check_evaluators(self) -> None:
        """Raise Problem unless each evaluator has metrics with a direction, of names that no other has."""
        if self.evaluators and not self.external:
            raise Problem("Cannot run evaluators on merges of proxies: they take checkpoints of transformers.")
        for name, metrics in self.evaluators.items():
            if not metrics or not set(metrics.values()) <= {HIGHER, LOWER}:
                raise Problem(
                    f"Cannot measure by the evaluator {name!r}: name its metrics and which way is better, as in "
                    f'{name} = {{accuracy = "{HIGHER}"}}. Given is {metrics!r:.80}.'
                )
        named = [metric for metrics in self.evaluators.values() for metric in metrics]
        if twice := [metric for metric in named if named.count(metric) > 1]:
            raise Problem(f"Cannot measure {twice[0]!r} twice: two evaluators tell it.")

    def _check_knobs(self) -> None:
        """Raise Problem if a knob is unknown, or its fixed value or range is invalid."""
        card = card_of(self.method)
        for name in (*self.knobs, *self.tuned):
            if name not in card.knobs or name == "weight":
                known = ", ".join(knob for knob in card.knobs if knob != "weight") or "none"
                raise Problem(f"Cannot set the knob {name!r} of {self.method}: its knobs are {known}.")
        if both := set(self.knobs) & set(self.tuned):
            raise Problem(f"Cannot both fix and tune the knob {both.pop()!r}: choose one.")
        for name, value in self.knobs.items():
            for one in value if card.knobs[name].each and isinstance(value, list | tuple) else [value]:
                card.knobs[name].checked(name, one)
        for name, bounds in self.tuned.items():
            low, high = bounds if isinstance(bounds, list | tuple) and len(bounds) == 2 else (1, 0)
            if card.knobs[name].kind == "bool" or not is_number(low) or not is_number(high) or not low < high:
                raise Problem(f"Cannot tune {name!r} over {bounds!r}: give two rising numbers, for a numeric knob.")
            for end in bounds:
                card.knobs[name].checked(name, end)
        given = ("weight", *self.knobs, *self.tuned)
        if missing := [knob.name for knob in card.knobs.values() if knob.required and knob.name not in given]:
            raise Problem(f"Cannot merge by {self.method}: its knob {missing[0]!r} must be fixed or tuned.")

    @property
    def evaluated(self) -> list[str]:
        """The metrics that evaluators tell, in the order of a study's."""
        return [metric for metrics in self.evaluators.values() for metric in metrics]

    @property
    def external(self) -> bool:
        """Whether its checkpoints were trained elsewhere."""
        return bool(self.base)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"tuned": {name: list(bounds) for name, bounds in self.tuned.items()}}

    @classmethod
    def from_dict(cls, values: object) -> "MergeSpec":
        """Raises Problem for an unknown setting."""
        if isinstance(values, cls):
            return values
        known = [one.name for one in fields(cls)]
        if isinstance(values, dict) and FORMER.keys() & values and not {*FORMER.values()} & values.keys():
            values = {FORMER.get(name, name): value for name, value in values.items()}
        if not isinstance(values, dict) or (unknown := [name for name in values if name not in known]):
            unexpected = repr(values) if not isinstance(values, dict) else f"the setting {unknown[0]!r}"
            raise Problem(f"Cannot read the study's merge: {unexpected} is unknown. Settings: {', '.join(known)}.")
        return cls(**values)


# Coordinates -------------------------------------------------------------------------------------------------


def block_of(tensor: str) -> str:
    """The block that a tensor belongs to: "layer N" by the first number in its name, else the rest."""
    found = LAYER.search(tensor)
    return f"layer {int(found[1])}" if found else REST


def blocks_of(layers: int) -> list[str]:
    """The blocks of a model with that many layers, from the bottom."""
    return [REST, *(f"layer {n}" for n in range(layers))]


def coordinates(merge: MergeSpec, experts: list[str], layers: int) -> list[str]:
    """The names of the study's coordinates. Raises Problem if there are none or too many."""
    card = card_of(merge.method)
    if len(experts) > MOST_EXPERTS:
        raise Problem(f"Cannot merge {len(experts)} experts in one study: at most {MOST_EXPERTS} are allowed.")
    if len(experts) < card.min_experts or (card.max_experts and len(experts) > card.max_experts):
        takes = f"{card.max_experts}" if card.max_experts == card.min_experts else f"at least {card.min_experts}"
        raise Problem(f"Cannot merge {len(experts)} experts by {merge.method}: it takes {takes} besides the base.")
    weighted = "weight" in card.knobs
    named = [] if not weighted else experts
    if weighted and merge.by == "layer":
        named = [f"{expert}{AT}{block}" for expert in experts for block in blocks_of(layers)]
    names = [*named, *merge.tuned]
    if not names:
        raise Problem(f"Cannot vary anything: {merge.method} has no coefficients. Tune one of its knobs.")
    if len(names) > MOST_COORDINATES:
        raise Problem(
            f"Cannot search {len(names)} coefficients: at most {MOST_COORDINATES} are allowed. Use one per "
            "expert instead."
        )
    return names


@dataclass(frozen=True)
class Setting:
    """A point of the space as a merge takes it. weight: tensor's name -> K numbers, None if the method has
    no coefficients; whole (K,): the same for every tensor, or None; knobs: the method's others."""

    table: dict[str, np.ndarray]
    knobs: dict[str, Any]

    @property
    def whole(self) -> np.ndarray | None:
        return self.table.get("")

    def weight(self, tensor: str) -> np.ndarray:
        """(K,) coefficients of a tensor."""
        return self.table[""] if "" in self.table else self.table[block_of(tensor)]


def setting_of(merge: MergeSpec, experts: list[str], names: list[str], point: np.ndarray) -> Setting:
    """The merge that a point (D,) of coordinates `names` stands for."""
    value = dict(zip(names, np.asarray(point, float).tolist(), strict=True))
    knobs = {**merge.knobs, **{name: value.pop(name) for name in merge.tuned}}
    card = card_of(merge.method)
    knobs = {name: round(x) if card.knobs[name].kind == "int" else x for name, x in knobs.items()}
    if not value:
        return Setting({"": np.ones(len(experts))}, knobs)
    if merge.by == "model":
        return Setting({"": np.array([value[name] for name in experts])}, knobs)
    blocks = dict.fromkeys(name.rpartition(AT)[2] for name in value)
    return Setting({b: np.array([value[f"{expert}{AT}{b}"] for expert in experts]) for b in blocks}, knobs)


def point_from(merge: MergeSpec, experts: list[str], names: list[str], weights: dict[str, float] | float) -> np.ndarray:
    """(D,) the point with these coefficients per expert (or one for all), in every block, knobs at their middle."""
    each = weights if isinstance(weights, dict) else dict.fromkeys(experts, weights)
    found = []
    for name in names:
        if name in merge.tuned:
            found.append(knob_start(merge, name))
        else:
            found.append(each.get(name.partition(AT)[0], 0.0))
    return np.array(found, float)


def knob_start(merge: MergeSpec, name: str) -> float:
    """The initial value of a tuned knob: its default if that lies in its range, else the middle."""
    low, high = merge.tuned[name]
    default = card_of(merge.method).knobs[name].default
    return float(default) if default is not None and low <= default <= high else (low + high) / 2


def usual_of(merge: MergeSpec, name: str) -> tuple[float, str]:
    """A usual value of a coordinate, and what it is called: the start of a tuned knob, or task arithmetic's."""
    return (knob_start(merge, name), "its default") if name in merge.tuned else (0.3, "common in task arithmetic")


def box_of(merge: MergeSpec, names: list[str]) -> Box:
    """The space of the study."""
    bounds = [merge.tuned.get(name, (merge.lower, merge.upper)) for name in names]
    lower, upper = np.array(bounds, float).T
    return Box(tuple(names), lower, upper)


def reference_merges(experts: list[str]) -> dict[str, dict[str, float]]:
    """The reference merges as task arithmetic coefficients: at 0.3, the uniform soup, the base, each expert alone."""
    found = {USUAL: dict.fromkeys(experts, 0.3), SOUP: dict.fromkeys(experts, 1 / len(experts)), "base": {}}
    return found | {f"{name} alone": {name: 1.0} for name in experts}


def by_arithmetic(merge: MergeSpec) -> MergeSpec:
    """The same experts by plain task arithmetic, one coefficient each."""
    return replace(merge, method="task_arithmetic", knobs={}, tuned={}, by="model")


def baselines_of(merge: MergeSpec, experts: list[str], names: list[str]) -> dict[str, np.ndarray]:
    """The reference merges as points (D,) if the study varies task arithmetic itself. With another method, or with
    knobs, the same coefficients give other merges: then only the start, coefficients of 0.3 with default knobs."""
    if replace(merge, by="model") != by_arithmetic(merge):
        return {"start": point_from(merge, experts, names, 0.3)}
    return {label: point_from(merge, experts, names, weights) for label, weights in reference_merges(experts).items()}


def first_points(merge: MergeSpec, experts: list[str], names: list[str], count: int, seed: int) -> np.ndarray:
    """(count, D) initial design: scrambled Sobol, every other point shrunk towards 0 so that its coefficients sum to at
    most 1.5: adding up many experts breaks a model, and a design of the whole box would contain little else.
    """
    from scipy.stats import qmc

    box = box_of(merge, names)
    cube = qmc.Sobol(len(names), rng=seed).random_base2(int(np.ceil(np.log2(max(2, count)))))[:count]
    points: np.ndarray = box.lower + cube * (box.upper - box.lower)
    weights = np.array([name not in merge.tuned for name in names])
    if merge.lower >= 0 and weights.any():
        blocks = max(1, weights.sum() // len(experts))
        total = points[:, weights].sum(axis=1, keepdims=True) / blocks
        room = np.minimum(1, 1.5 * np.linspace(0.3, 1, len(points))[:, None] / np.maximum(total, 1e-9))
        shrunk = box.project(np.where(weights, points * room, points))
        points[1::2] = shrunk[1::2]
    return points


# External checkpoints -----------------------------------------------------------------------------------------


def checkpoint(workspace: Path, name: str) -> Path:
    """The folder of an external checkpoint. Raises Problem if the name leaves checkpoints/ or does not exist."""
    path = within(workspace / "checkpoints", name)
    if not path.exists():
        there = sorted(one.name for one in (workspace / "checkpoints").glob("*"))
        raise Problem(
            f"Cannot find the checkpoint {name!r} in {workspace / 'checkpoints'}: put its folder there, or a link to "
            f"it. There are: {', '.join(there) or 'none'}."
        )
    return path


def layers_of(folder: Path) -> int:
    """The number of layers of an external checkpoint of one stack of them.

    Raises Problem for one of several stacks, and if neither its tensors nor its config.json say.
    """
    stacks = stacks_of(tensor_names(folder))
    if len(stacks) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in stacks.items())
        raise Problem(
            f"Cannot vary coefficients by layer: {folder.name} has several stacks ({counts}), whose layers would share "
            "a coefficient. Use one coefficient per expert."
        )
    if stacks:
        return next(iter(stacks.values()))
    try:
        config = json_of(folder / "config.json")
        for key in ("num_hidden_layers", "n_layer", "num_layers"):
            if isinstance(found := config.get(key), int):
                return found
    except UNREADABLE as error:
        why = read_fault(error, "Copy the whole folder of the model.")
        raise Problem(f"Cannot read {folder / 'config.json'}: {why}") from error
    raise Problem(f"Cannot tell how many layers {folder.name} has: its config.json lacks num_hidden_layers.")


def anatomy_file(study: str) -> str:
    """The file with which expert moved which tensor, relative to the workspace."""
    return f"{folder_of(study)}/anatomy.json"


def expert_file(study: str, run: str) -> str:
    """The file of a proxy that is a base or an expert, relative to the workspace."""
    return f"{folder_of(study)}/{checked_name(run, 'run')}.safetensors"
