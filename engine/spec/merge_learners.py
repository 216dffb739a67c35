"""The table of data-driven merge methods, for pages and commands. No torch.

Their code is in engine/merging/learning/, one file each; a new one is a file there and a line here.
"""

from dataclasses import dataclass, field
from typing import Any

from engine.core.errors import Problem
from engine.spec.merge_knobs import Knob

EXPERT, BLOCK, TENSOR = "expert", "block", "tensor"  # the groups that have one coefficient per expert


@dataclass(frozen=True)
class Learner:
    """A merge method that needs text or models in the loop.

    at: "module:function" of engine/merging/learning; gives: its result, in words; weighs: it takes coefficients of the
    experts, of any sign and 1/K by default if signed, else of an average and 1; fixed: arguments of this variant;
    large: it can steer another model.
    """

    at: str
    title: str
    paper: str
    needs: str
    gives: str
    knobs: dict[str, Knob] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict[str, Any])
    weighs: bool = False
    signed: bool = False
    large: bool = False

    def usual_weight(self, experts: int) -> float:
        """The coefficient that each of the experts has by default."""
        return 1 / experts if self.signed else 1.0


def knobs(**given: tuple[float, float, float, str]) -> dict[str, Knob]:
    """Knobs by name from (default, low, high, text); an integer default makes an integer knob."""
    return {
        name: Knob(name, "int" if isinstance(default, int) else "float", False, False, default, *(low, high) * 2, text)
        for name, (default, low, high, text) in given.items()
    }


SEED = knobs(seed=(0, 0, 2**31, "Seed of all random draws: windows, masks, labels."))
WINDOWS = knobs(windows=(256, 2, 100_000, "Windows of training text, of each expert's own domain where it has one."))
ALPHA = knobs(alpha=(0.9, 0.0, 1.0, "Factor of the Gram matrices' off-diagonals."))
OWN, ALL = "the text of each expert's domain", "text of all domains"
WRITTEN = "a checkpoint"
FADERS = "one coefficient per expert: a run of the study"


def descent(steps: int, rate: float) -> dict[str, Knob]:
    """The knobs of gradient descent."""
    return knobs(
        steps=(steps, 1, 100_000, "Steps downhill."),
        rate=(rate, 1e-6, 10.0, "Learning rate."),
        batch=(16, 1, 4096, "Windows per step, alternating between domains."),
    )


ADA = descent(500, 1e-3) | knobs(start=(0.3, 0.0, 1.0, "Coefficients at the start."))
TRIM = knobs(density=(0.2, 0.01, 1.0, "Fraction of each task vector that the trim leaves."))

LEARNERS: dict[str, Learner] = {
    "fisher": Learner("fisher:learn", "Fisher merging", "arXiv:2111.09832", OWN, WRITTEN, WINDOWS | SEED, weighs=True),
    "regmean": Learner(
        "regmean:learn",
        "RegMean",
        "arXiv:2212.09849",
        OWN,
        WRITTEN,
        WINDOWS | ALPHA | SEED,
        weighs=True,
    ),
    "regmean_plus": Learner(
        "regmean_plus:learn",
        "RegMean++",
        "arXiv:2508.03121",
        OWN,
        WRITTEN,
        WINDOWS | ALPHA | SEED,
        weighs=True,
    ),
    "aim": Learner(
        "aim:learn",
        "AIM, a finish of the study's own merge",
        "arXiv:2502.02421",
        f"unlabelled {ALL}",
        WRITTEN,
        knobs(
            windows=(64, 1, 100_000, "Windows of training text, all domains in turn."),
            omega=(0.4, 0.0, 1.0, "What is left of a change at the largest input; 1 leaves the merge as it is."),
        )
        | SEED,
        weighs=True,
        signed=True,
    ),
    "adamerging": Learner(
        "adamerging:learn",
        "AdaMerging, by expert",
        "arXiv:2310.02575",
        f"unlabelled {ALL}",
        FADERS,
        ADA | SEED,
        {"by": EXPERT},
    ),
    "adamerging_blocks": Learner(
        "adamerging:learn",
        "AdaMerging, by expert and layer of the model",
        "arXiv:2310.02575",
        f"unlabelled {ALL}",
        "one coefficient per expert and layer: a run of a study by layer, else a checkpoint",
        ADA | SEED,
        {"by": BLOCK},
    ),
    "adamerging_layers": Learner(
        "adamerging:learn",
        "AdaMerging, by expert and tensor",
        "arXiv:2310.02575",
        f"unlabelled {ALL}",
        WRITTEN,
        ADA | SEED,
        {"by": TENSOR},
    ),
    "adamerging_plus": Learner(
        "adamerging:learn",
        "AdaMerging++, by expert",
        "arXiv:2310.02575",
        f"unlabelled {ALL}",
        WRITTEN,
        ADA | TRIM | SEED,
        {"by": EXPERT},
    ),
    "adamerging_layers_plus": Learner(
        "adamerging:learn",
        "AdaMerging++, by expert and tensor",
        "arXiv:2310.02575",
        f"unlabelled {ALL}",
        WRITTEN,
        ADA | TRIM | SEED,
        {"by": TENSOR},
    ),
    "atlas": Learner(
        "atlas:learn",
        "aTLAS",
        "arXiv:2407.02880",
        ALL,
        WRITTEN,
        descent(500, 1e-3) | knobs(parts=(1, 1, 64, "Random parts of each tensor, with one coefficient each.")) | SEED,
    ),
    "concrete": Learner(
        "concrete:learn",
        "Concrete task arithmetic",
        "arXiv:2312.06173",
        f"unlabelled {ALL}",
        WRITTEN,
        descent(200, 1e-3) | knobs(lam=(0.3, 0.0, 2.0, "Scale of the masked task vectors.")) | SEED,
    ),
    "self_positioning": Learner(
        "self_positioning:learn",
        "Self-positioning",
        "arXiv:2410.15035",
        f"a small balanced set: {ALL}",
        FADERS,
        descent(300, 0.1) | knobs(batch=(64, 1, 4096, "Windows of the set.")) | SEED,
    ),
    "lm_cocktail": Learner(
        "lm_cocktail:learn",
        "LM-Cocktail",
        "arXiv:2311.13534",
        f"a few windows: {ALL}",
        FADERS,
        knobs(
            windows=(16, 1, 10_000, "Windows of training text of each domain."),
            temperature=(5.0, 1e-3, 1e3, "Temperature T: higher values weight the experts more evenly."),
        )
        | SEED,
    ),
    "scalearn": Learner(
        "scalearn:learn",
        "ScaLearn, folded into the rows",
        "arXiv:2310.01217",
        ALL,
        WRITTEN,
        descent(500, 3e-3) | SEED,
    ),
    "twin": Learner(
        "twin:learn",
        "Twin-Merging",
        "arXiv:2406.15479",
        ALL,
        "shared weights, factors and a router; no checkpoint",
        descent(300, 1e-2)
        | knobs(
            rank=(0.1, 0.001, 1.0, "Fraction of each exclusive part's rank that is kept."),
            lam=(0.3, 0.0, 2.0, "Coefficient of every expert in the shared part."),
        )
        | SEED,
    ),
    "logit_fusion": Learner(
        "logit_fusion:learn",
        "Logit fusion",
        "arXiv:2406.15480",
        "nothing but the models",
        "no weights: all models run side by side",
        knobs(
            matched=(1, 0, 1, "1: alpha of every token by the divergence, 0 to 2; 0: alpha is 1."),
        )
        | SEED,
        weighs=True,
        signed=True,
        large=True,
    ),
}


def learner_of(name: str) -> Learner:
    """One learner by name. Raises Problem if there is none."""
    if name not in LEARNERS:
        raise Problem(f"Cannot learn a merge by {name!r}: the methods are {', '.join(LEARNERS)}.")
    return LEARNERS[name]


def refuse_without_data(name: object) -> None:
    """Raise Problem if a data-driven method is to merge weights alone."""
    if name in LEARNERS:
        one = LEARNERS[name]
        raise Problem(
            f"Cannot merge by {name} from weights alone: it needs data ({one.needs}). In a merge study it is "
            "learned from text: *Data-driven merging* on the page, or the command learn-merge."
        )


def checked_settings(name: str, knobs: dict[str, Any]) -> dict[str, Any]:
    """Every knob of a learner, absent ones at their default. Raises Problem if one is unknown or invalid."""
    learner = learner_of(name)
    if unknown := [key for key in knobs if key not in learner.knobs]:
        raise Problem(f"Cannot set {unknown[0]!r} of {name}: its knobs are {', '.join(learner.knobs)}.")
    return {key: knob.checked(key, knobs.get(key, knob.default)) for key, knob in learner.knobs.items()}
