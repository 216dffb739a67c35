"""A study: its settings, and the runs that it plans. Plain data; engine/studies/advance.py acts on it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.core import checks
from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.records import check_plain
from engine.core.settings_text import text_of, toml
from engine.core.system import UNREADABLE, read_fault
from engine.jobs.runs import run_id
from engine.space.design import DESIGNS, Around
from engine.space.simplex import Space
from engine.spec.compute import Compute
from engine.spec.external import EXTERNAL, PROXIES, check_trainer
from engine.spec.fidelity import PRESETS, Fidelity
from engine.spec.groups import check_group, members_of
from engine.spec.merge import MergeSpec
from engine.spec.objectives import check_priorities
from engine.spec.phases import PHASED, check_phases, fractions_of, phased_count, phased_runs, total_of
from engine.spec.pools import check_counts
from engine.spec.repetition import DOSE, design_centre, dose_runs
from engine.spec.starts import START, start_row

if TYPE_CHECKING:
    from engine.spec.frame import Frame


MOST_BASELINES = 3  # natural, uniform, UniMax
LISTS = {
    "domains",
    "strength",
    "groups",
    "metrics",
    "tasks",
    "surrogates",
    "phases",
    "measures",
}  # settings that are lists in TOML and tuples in StudySpec


@dataclass(frozen=True)
class StudySpec:
    """A study's settings. As TOML: the same keys, with a [fidelity] table of engine.spec.fidelity.Fidelity's fields.

    corpus, fidelity: None in a study of imported runs, which trains nothing of its own. domains: empty means all of the
    corpus; largest_share: of one domain in the design (mixtures that are nearly one domain have huge losses on all
    others and teach little about the rest); strength, temperature, max_ratio, smallest_share: of RegMix's Dirichlet
    (engine.space.design.Around); repeats: how many runs train a mixture again with another seed, to measure the noise;
    repeat_mixtures: how many mixtures these are, the natural one first, then design points; common_random_numbers: same
    data order and initialisation for every mixture; target_tokens: the budget of the real training run (0: as many as
    the corpus holds); available_tokens: domain -> tokens that the real run can draw on, where that is not what was read
    (engine/spec/pools.py); epoch_cap: how often a domain may be repeated there at most; cap_design: whether proxies
    keep that cap too, as searches always do; simulated_epoching: proxies see the repetition that the target will see
    (engine/spec/repetition.py), None: where that is known; dose_runs: how many design mixtures are trained again with
    one domain's text cut; phases: parts of the training with mixtures of their own, {"fraction", and "shares" by domain
    where it is known what is wanted}; order_triples: how many design mixtures are also trained in both orders of the
    phases, None: 12 where there are phases; branches: how many runs leave a design mixture for another one in the last
    phase, as copies of what was trained before (engine/spec/phases.py); start: a saved proxy of the workspace whose
    weights every run begins with, None for random ones (engine/spec/starts.py); bounds: domain -> [min, max] share, or
    one fixed share; groups: {"name", "domains": by name or pattern, "share": [min, max] of their sum, "ratios": "prior"
    or {domain: number} for fixed proportions inside, "level": such as source}, which may cross; both apply to design
    and search; priorities: how much each metric counts in the mean, 1 where absent, 0 for a task; relative: whether
    losses are divided by those of the natural mixture before that mean, as a byte of one script or alphabet says more
    than one of another, None: where the domains that count are of several (engine/spec/alphabets.py); metrics: measured
    besides each domain's loss (engine/metrics/); tasks: of the workspace, whose items every model answers
    (engine/tasks/); flips: whether it is measured how many windows, and items of tasks, each run does worse than the
    prior mixture beyond noise, which takes repeats, or each merge than the base (engine/spec/flips.py); stop_hopeless:
    whether runs end early whose predicted interval is worse than the best (engine/studies/stopping.py); surrogates:
    which ones the leaderboard compares, empty means all; compute: how its training is split into jobs
    (engine.spec.compute); merge: what a merge study varies (engine.spec.merge), None for mixtures. A merge study of
    external checkpoints has no fidelity; nor has a study whose trainer is "external" (engine.spec.external): size:
    {"parameters", "tokens"} of its runs; measures: {"metric", and where they are not those of a domain's loss "unit",
    "higher_is_better", "domain"}, empty for each domain's loss; prior: shares by domain, where neither a corpus nor
    available_tokens tell how much text there is.
    """

    name: str
    fidelity: Fidelity | None
    corpus: str | None = "default"
    domains: tuple[str, ...] = ()
    design: str = "regmix"
    runs: int = 64
    largest_share: float = 0.95
    strength: tuple[float, float] = (0.1, 5.0)
    temperature: float = 0.5
    max_ratio: float = 15.0
    smallest_share: float = 2e-4
    repeats: int = 4
    repeat_mixtures: int = 1
    seed: int = 1
    common_random_numbers: bool = True
    target_tokens: float = 0.0
    available_tokens: dict[str, float] = field(default_factory=dict)
    epoch_cap: float = 4.0
    cap_design: bool = False
    simulated_epoching: bool | None = None
    dose_runs: int = 0
    phases: tuple[dict[str, Any], ...] = ()
    order_triples: int | None = None
    branches: int = 0
    start: str | None = None
    bounds: dict[str, float | tuple[float, float]] = field(default_factory=dict)
    groups: tuple[dict[str, Any], ...] = ()
    priorities: dict[str, float] = field(default_factory=dict)
    relative: bool | None = None
    metrics: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    flips: bool = False
    stop_hopeless: bool = False
    surrogates: tuple[str, ...] = ()
    compute: Compute = field(default_factory=Compute)
    merge: MergeSpec | None = None
    trainer: str = PROXIES
    size: dict[str, float] = field(default_factory=dict)
    measures: tuple[dict[str, Any], ...] = ()
    prior: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_plain(self, "a study's")
        check(self.name.strip() and len(self.name) <= 80, "name", self.name, "1 to 80 characters")
        check(self.design in DESIGNS, "design", self.design, f"one of {', '.join(DESIGNS)}")
        planned = self.corpus is not None or self.trainer == EXTERNAL
        fewest, most = (8, 100_000) if planned else (1, 1_000_000)  # planned here, or imported
        check(fewest <= self.runs <= most, "runs", self.runs, f"{fewest} to {most:,}")
        check(0 < self.largest_share <= 1, "largest_share", self.largest_share, "above 0 and at most 1")
        check(self.seed >= 0, "seed", self.seed, "a whole number of at least 0")
        check(len(self.strength) == 2, "strength", self.strength, "two numbers, rising, from 0.01 to 1000")
        low, high = self.strength
        check(0.01 <= low <= high <= 1000, "strength", self.strength, "two numbers, rising, from 0.01 to 1000")
        check(0.01 <= self.temperature <= 10, "temperature", self.temperature, "a number from 0.01 to 10")
        check(self.max_ratio >= 1, "max_ratio", self.max_ratio, "a number of at least 1")
        check(0 <= self.smallest_share < 0.5, "smallest_share", self.smallest_share, "at least 0 and under 0.5")
        check_constraints(self.bounds, self.groups)
        check(0 <= self.repeats <= 100, "repeats", self.repeats, "0 to 100")
        most = max(1, min(self.repeats, 1 + self.runs))
        check(1 <= self.repeat_mixtures <= most, "repeat_mixtures", self.repeat_mixtures, f"from 1 to {most}")
        noise = not self.flips or self.merge or self.repeats >= 1
        check(noise, "repeats", self.repeats, "at least 1, since flips are beyond noise")
        check(self.target_tokens >= 0, "target_tokens", self.target_tokens, "a number of tokens, or 0")
        check_counts(self.available_tokens)
        check(0 <= self.dose_runs <= 100, "dose_runs", self.dose_runs, "a whole number from 0 to 100")
        check_phases(self)
        fine = self.start is None or (isinstance(self.start, str) and self.fidelity is not None)
        check(fine, "start", self.start, "a saved proxy, in a study that trains proxies of its own")
        check(self.epoch_cap > 0, "epoch_cap", self.epoch_cap, "a positive number")
        check_priorities(self.priorities)
        check(not (self.relative and self.merge), "relative", self.relative, "left out in a study of merges")
        check(not (self.stop_hopeless and self.merge), "stop_hopeless", True, "false in a study of merges")
        check_trainer(self)

    @property
    def kind(self) -> str:
        """The kind of its points: "mixture" or "merge"."""
        return "mixture" if self.merge is None else "merge"

    def to_dict(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in LISTS}
        nested = {"fidelity": self.fidelity and self.fidelity.to_dict(), "merge": self.merge and self.merge.to_dict()}
        return {**asdict(self), **lists, **nested}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StudySpec":
        """Raises Problem for an unknown key or an invalid value."""
        known = {f.name: f.type for f in fields(cls)}
        for key in values:
            if key not in known:
                raise Problem(f"Cannot read the study: it has no setting {key!r}. Settings: {', '.join(known)}.")
        values = dict(values)
        merge = values.pop("merge", None)
        merge = None if merge is None else MergeSpec.from_dict(merge)
        if external := values.get("trainer") == EXTERNAL:
            values.setdefault("corpus", None)
        untrained = external or (merge is not None and merge.external) or values.get("corpus", "") is None
        fidelity = values.pop("fidelity", None if untrained else "demo")
        phased = bool(values.get("phases"))  # then with a stable part, and a decay at the end
        if isinstance(fidelity, str):
            if fidelity not in PRESETS:
                raise Problem(
                    f"Cannot use fidelity {fidelity!r}: choose one of {', '.join(PRESETS)}, or write a table."
                )
            fidelity = replace(PRESETS[fidelity], schedule="wsd") if phased else PRESETS[fidelity]
        elif isinstance(fidelity, dict):
            fidelity = Fidelity.from_dict({"schedule": "wsd", **fidelity} if phased else fidelity)
        elif not isinstance(fidelity, Fidelity) and not (fidelity is None and untrained):
            raise Problem(f"Cannot use fidelity {fidelity!r}: choose one of {', '.join(PRESETS)}, or write a table.")
        values["compute"] = Compute.from_dict(values.get("compute", {}))
        try:
            for name in LISTS & set(values):
                check(isinstance(values[name], list | tuple), name, values[name], "a list")
                values[name] = tuple(values[name])
            return cls(fidelity=fidelity, merge=merge, **values)
        except (TypeError, ValueError, AttributeError) as error:
            raise Problem(
                f"Cannot read the study: {error}. Compare it with the example in docs/how-to/study-file.md."
            ) from error

    @classmethod
    def from_toml(cls, path: Path) -> "StudySpec":
        """Read a study file. Raises Problem, with the line if it is not valid TOML."""
        try:
            return cls.from_dict(toml(text_of(path)))
        except UNREADABLE as error:
            raise Problem(f"Cannot read the study file {path}: {read_fault(error, 'Fix it.')}") from error


def check(fine: object, name: str, value: object, wanted: str) -> None:
    checks.check(fine, value, f"a study's {name}", wanted)


def check_constraints(bounds: dict[str, Any], groups: tuple[dict[str, Any], ...]) -> None:
    """Raise Problem if bounds or groups do not have the structure that StudySpec describes."""
    check(isinstance(bounds, dict), "bounds", bounds, "a table of shares by domain")
    for name, bound in bounds.items():
        least, most = ends(bound)
        check(0 <= least <= most <= 1, f"bounds of {name!r}", bound, "a share, or two that rise, from 0 to 1")
    for group in groups:
        check_group(group, ends(group.get("share", (0.0, 1.0)) if isinstance(group, dict) else None))


def ends(bound: Any) -> tuple[float, float]:
    """(min, max) of a bound; NaN, which fails every comparison, if it is invalid."""
    numbers = list(bound) if isinstance(bound, list | tuple) else [bound, bound]
    fine = len(numbers) == 2 and all(map(is_number, numbers))
    return tuple(numbers) if fine else (math.nan, math.nan)


def chosen_domains(spec: StudySpec, manifest: dict[str, Any]) -> list[str]:
    """The study's domains, in corpus order. Raises Problem if the corpus lacks one, or there are fewer than two."""
    there = list(manifest["domains"])
    weighed = (
        () if spec.metrics or spec.tasks or spec.flips or spec.measures else spec.priorities
    )  # other metrics' names are checked where these are known
    named = (*spec.domains, *weighed, *spec.bounds, *spec.available_tokens)
    missing = [name for name in named if name not in there]
    if missing:
        raise Problem(
            f"Cannot plan {spec.name!r}: the corpus {spec.corpus!r} has no domain {missing[0]!r}. "
            f"It has: {', '.join(there)}."
        )
    domains = [name for name in there if not spec.domains or name in spec.domains]
    for group in spec.groups:
        members_of(group, domains)
    if len(domains) < 2:
        raise Problem(
            f"Cannot plan {spec.name!r}: a mixture needs at least two domains, and this one has {len(domains)}."
        )
    return domains


def plan_runs(spec: StudySpec, study: str, frame: "Frame") -> list[dict[str, Any]]:
    """The runs of a study: design points, the baselines, the prior repeated with other seeds, dose runs, and runs of
    phases, with the seed of the design point that they are compared with."""
    points = design_points(spec, frame.design_space, design_centre(spec, frame), spec.runs)
    rows: list[tuple[str, str | None, np.ndarray]] = []  # role, label, weights
    rows += [("baseline", name, point) for name, point in distinct(frame.baselines).items()]
    rows += [("design", None, point) for point in points]
    repeated = [(frame.prior_name, frame.prior), *((None, point) for point in points)][: spec.repeat_mixtures]
    rows += [("repeat", *repeated[place % len(repeated)]) for place in range(spec.repeats)]
    cuts = dose_runs(spec, frame, points)
    doses = [None] * len(rows) + [cut.tolist() for _, _, cut in cuts]
    rows += [(DOSE, label, point) for label, point, _ in cuts]
    seeds = seeds_of(rows, spec)
    made = [
        {
            "id": run_id(study, number),
            "number": number,
            "role": role,
            "label": label,
            "weights": [float(share) for share in point],
            "seed": seed,
            "doses": dose,
        }
        for number, ((role, label, point), seed, dose) in enumerate(zip(rows, seeds, doses, strict=True), 1)
    ]
    made += phase_rows(spec, study, frame, points, made)
    return made + ([start_row(study, frame.prior, spec.seed, len(made) + 1)] if spec.start else [])


def phase_rows(
    spec: StudySpec, study: str, frame: "Frame", points: np.ndarray, made: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The runs of a study's phases, numbered after those that were `made`, the design `points` (n, D) among them."""
    twins = [row for row in made if row["role"] == "design"]
    rows = []
    for number, one in enumerate(phased_runs(spec, frame, points), len(made) + 1):
        twin = None if one.twin is None else twins[one.twin]
        row = {
            "id": run_id(study, number),
            "number": number,
            "role": PHASED,
            "label": one.label,
            "weights": total_of(one.phases, fractions_of(spec)).tolist(),
            "seed": spec.seed if twin is None else twin["seed"],
            "phases": one.phases.tolist(),
            "trunk": twin["id"] if twin is not None and one.branch else None,
        }
        rows.append(row)
    return rows


def planned_roles(spec: StudySpec, frame: "Frame | None") -> dict[str, int]:
    """How many runs of each role `plan_runs` gives; without a frame at most, for baselines may turn out equal."""
    baselines = len(distinct(frame.baselines)) if frame else MOST_BASELINES
    more = {"repeat": spec.repeats, DOSE: spec.dose_runs, PHASED: phased_count(spec), START: bool(spec.start)}
    return {"design": spec.runs, "baseline": baselines} | {role: count for role, count in more.items() if count}


def design_points(spec: StudySpec, space: Space, prior: np.ndarray, count: int) -> np.ndarray:
    """(count, D) points of the study's design in a space around a prior (D,)."""
    around = Around(spec.strength, spec.temperature, spec.max_ratio, spec.smallest_share)
    return DESIGNS[spec.design].points(space, prior, count, spec.seed, around)


def seeds_of(rows: Sequence[tuple[str, str | None, np.ndarray]], spec: StudySpec) -> list[int]:
    """One seed for all mixtures (common random numbers), or one each; repeats always differ, to measure the noise."""
    return [
        spec.seed if spec.common_random_numbers and role != "repeat" else spec.seed + 1000 + number
        for number, (role, _, _) in enumerate(rows)
    ]


def distinct(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Merge baselines with equal mixtures: they are trained once, under both names."""
    merged: dict[str, np.ndarray] = {}
    for name, point in points.items():
        same = next((other for other, there in merged.items() if np.allclose(there, point, atol=1e-6)), None)
        if same is None:
            merged[name] = point
        else:
            merged[f"{same} = {name}"] = merged.pop(same)
    return merged


# The study that starts automatically in a new workspace.
# Junk is a control: nobody wants a model of it, so its loss does not count, and a good mixture leaves it out.
DEMO = StudySpec(name="Demo", fidelity=PRESETS["demo"], runs=64, repeats=4, seed=7, priorities={"junk": 0.0})
DEMO_MERGE = replace(DEMO, name="Demo: merge", runs=96, repeats=0, merge=MergeSpec(of="demo"))
