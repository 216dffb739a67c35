"""A study: what it asks, and which runs answer it. Plain data in, plain data out; engine/steward.py acts on it."""

import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from engine.baselines import baselines
from engine.compute import Compute
from engine.design import DESIGNS
from engine.errors import Problem
from engine.fidelity import DIAL, Fidelity
from engine.space import Simplex


@dataclass(frozen=True)
class StudySpec:
    """What a study asks. As TOML: the same keys, with a [fidelity] table of engine.fidelity.Fidelity's fields.

    domains: empty means all of the corpus; largest_share: of one domain in the design (mixtures that are nearly one
    domain have huge losses on all others and teach little about the rest); strength: range of the Dirichlet's
    strength in RegMix's design (low: few domains in a mixture, high: all of them); repeats: how often
    the natural mixture is trained again with other seeds, which measures the noise; common_random_numbers: same data
    order and initialisation for every mixture; target_tokens: the budget of the real training run (0: as many as the
    corpus holds); epoch_cap: how often a domain may be repeated there at most; priorities: how much each domain's
    loss counts in the mean, 1 where absent; compute: how its training is cut into jobs (engine.compute).
    """

    name: str
    fidelity: Fidelity
    corpus: str = "default"
    domains: tuple[str, ...] = ()
    design: str = "regmix"
    runs: int = 64
    largest_share: float = 0.95
    strength: tuple[float, float] = (0.1, 5.0)
    repeats: int = 4
    seed: int = 1
    common_random_numbers: bool = True
    target_tokens: float = 0.0
    epoch_cap: float = 4.0
    priorities: dict[str, float] = field(default_factory=dict)
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self):
        check(self.name.strip() and len(self.name) <= 80, "name", self.name, "1 to 80 characters")
        check(self.design in DESIGNS, "design", self.design, f"one of {', '.join(DESIGNS)}")
        check(8 <= self.runs <= 100_000, "runs", self.runs, "8 to 100,000")
        check(0 < self.largest_share <= 1, "largest_share", self.largest_share, "above 0 and at most 1")
        check(isinstance(self.seed, int) and self.seed >= 0, "seed", self.seed, "a whole number of at least 0")
        named = all(isinstance(name, str) for name in self.domains)
        check(named, "domains", self.domains, "a list of names of the corpus' domains")
        low, high = self.strength
        check(0.01 <= low <= high <= 1000, "strength", self.strength, "two numbers, rising, from 0.01 to 1000")
        check(0 <= self.repeats <= 100, "repeats", self.repeats, "0 to 100")
        check(
            0 <= self.target_tokens < math.inf,
            "target_tokens",
            self.target_tokens,
            "a number of tokens, or 0",
        )
        check(0 < self.epoch_cap < math.inf, "epoch_cap", self.epoch_cap, "a positive number")
        check(isinstance(self.priorities, dict), "priorities", self.priorities, "a table of numbers by domain")
        priority_weights(self.priorities, [*self.priorities, "others"])

    def to_dict(self) -> dict:
        lists = {"domains": list(self.domains), "strength": list(self.strength)}
        return {**asdict(self), **lists, "fidelity": self.fidelity.to_dict()}

    @classmethod
    def from_dict(cls, values: dict) -> "StudySpec":
        """Raises Problem for a key that a study does not have, or a value that it cannot take."""
        known = {f.name: f.type for f in fields(cls)}
        for key in values:
            if key not in known:
                raise Problem(f"Cannot read the study: it has no setting {key!r}. Settings: {', '.join(known)}.")
        values = dict(values)
        fidelity = values.pop("fidelity", DIAL["demo"])
        if isinstance(fidelity, str):
            if fidelity not in DIAL:
                raise Problem(f"Cannot use fidelity {fidelity!r}: choose one of {', '.join(DIAL)}, or write a table.")
            fidelity = DIAL[fidelity]
        elif isinstance(fidelity, dict):
            fidelity = Fidelity.from_dict(fidelity)
        elif not isinstance(fidelity, Fidelity):
            raise Problem(f"Cannot use fidelity {fidelity!r}: choose one of {', '.join(DIAL)}, or write a table.")
        values["compute"] = Compute.from_dict(values.get("compute", {}))
        try:
            for name in {"domains", "strength"} & set(values):
                check(isinstance(values[name], list | tuple), name, values[name], "a list")
                values[name] = tuple(values[name])
            return cls(fidelity=fidelity, **values)
        except (TypeError, ValueError, AttributeError) as error:
            raise Problem(f"Cannot read the study: {error}. Compare it with the example in the README.") from error

    @classmethod
    def from_toml(cls, path: Path) -> "StudySpec":
        """Read a study file. Raises Problem with the line where it is no TOML."""
        try:
            return cls.from_dict(tomllib.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise Problem(f"Cannot read the study file {path}: {error}. Mend it and try again.") from error


def check(condition, name: str, value, wanted: str) -> None:
    if not condition:
        raise Problem(f"Cannot use {value!r} as a study's {name}: it must be {wanted}.")


def chosen_domains(spec: StudySpec, manifest: dict) -> list[str]:
    """The study's domains, in the corpus' order. Raises Problem for one that the corpus lacks, or fewer than two."""
    there = list(manifest["domains"])
    missing = [name for name in (*spec.domains, *spec.priorities) if name not in there]
    if missing:
        raise Problem(
            f"Cannot plan {spec.name!r}: the corpus {spec.corpus!r} has no domain {missing[0]!r}. "
            f"It has: {', '.join(there)}."
        )
    domains = [name for name in there if not spec.domains or name in spec.domains]
    if len(domains) < 2:
        raise Problem(
            f"Cannot plan {spec.name!r}: a mixture needs at least two domains, and this one has {len(domains)}."
        )
    return domains


def available_tokens(corpus: dict, domains: list[str]) -> np.ndarray:
    """(D,) training tokens that the corpus holds of each domain."""
    return np.array([corpus["domains"][name]["train_tokens"] for name in domains], dtype=float)


def priority_weights(priorities: dict[str, float], domains: list[str]) -> np.ndarray:
    """(D,) what each domain's loss counts in the mean, summing to one.

    Raises Problem where none counts, and for a priority that is no number of at least 0.
    """
    for name, weight in priorities.items():
        if not (isinstance(weight, int | float) and 0 <= weight < math.inf):
            raise Problem(f"Cannot weigh {name!r} by {weight!r}: a priority is a number of at least 0.")
    weights = np.array([priorities.get(name, 1.0) for name in domains], dtype=float)
    if not weights.any():
        raise Problem("Cannot weigh the losses: every priority is 0. Give at least one domain a priority above 0.")
    return weights / weights.sum()


def target_tokens(spec: StudySpec, available: np.ndarray) -> float:
    """The budget of the real run, in tokens; by default as many as there are."""
    return spec.target_tokens or float(available.sum())


def plan_runs(spec: StudySpec, study: str, domains: list[str], available: np.ndarray) -> list[dict]:
    """The runs of a study: design points, the baselines, and the natural mixture repeated with other seeds."""
    space = Simplex(tuple(domains), upper=np.full(len(domains), spec.largest_share))
    prior = available / available.sum()
    fixed = baselines(available, target_tokens(spec, available), spec.epoch_cap)
    options = {"strength": spec.strength} if spec.design == "regmix" else {}
    points = DESIGNS[spec.design](space, prior, spec.runs, spec.seed, **options)
    rows = [("baseline", name, point) for name, point in distinct(fixed).items()]
    rows += [("design", None, point) for point in points]
    rows += [("repeat", "natural", prior)] * spec.repeats
    seeds = seeds_of(rows, spec)
    return [
        {
            "id": f"{study}-{number:05d}", "number": number, "role": role, "label": label,
            "weights": [float(share) for share in point], "seed": seed,
        }
        for number, ((role, label, point), seed) in enumerate(zip(rows, seeds, strict=True), 1)
    ]  # fmt: skip


def seeds_of(rows: list[tuple], spec: StudySpec) -> list[int]:
    """One seed for all mixtures (common random numbers), or one each; repeats always differ, to show the noise."""
    return [
        spec.seed if spec.common_random_numbers and role != "repeat" else spec.seed + 1000 + number
        for number, (role, _, _) in enumerate(rows)
    ]


def distinct(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Baselines that fall together are trained once, under both names."""
    merged: dict[str, np.ndarray] = {}
    for name, point in points.items():
        twin = next((other for other, there in merged.items() if np.allclose(there, point, atol=1e-6)), None)
        if twin is None:
            merged[name] = point
        else:
            merged[f"{twin} = {name}"] = merged.pop(twin)
    return merged


def split_evenly(items: list, size: int, lanes: int) -> list[list]:
    """Groups of at most `size`, nearly equal, and a multiple of `lanes` many, so that all lanes end together."""
    count = math.ceil(len(items) / size)
    count = min(len(items), math.ceil(count / lanes) * lanes)
    return [list(group) for group in (items[k::count] for k in range(count)) if group]


# The study that begins by itself in a new workspace.
# Junk is a control: nobody wants a model of it, so its loss does not count, and a good mixture leaves it out.
DEMO = StudySpec(name="Demo", fidelity=DIAL["demo"], runs=64, repeats=4, seed=7, priorities={"junk": 0.0})
