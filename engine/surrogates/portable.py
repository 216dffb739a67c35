"""What a browser needs to predict as a fitted surrogate does: numbers as plain lists, factorised there.

Laws and Gaussian processes, and what is made of them, are portable; dashboard/report/predict.js computes them. Anything
else (trees, networks) is stood for by the portable surrogate that predicts most like it.
"""

from typing import Any

import numpy as np

from engine.core.checks import or_null
from engine.spec.statistics import lowest_key, weighted_sum
from engine.surrogates.around_law import PROCESS, AroundLaw
from engine.surrogates.base import Surrogate
from engine.surrogates.epochs import Epochs
from engine.surrogates.gp import GP, INDUCING
from engine.surrogates.gp_rational import RationalGP
from engine.surrogates.law import Law
from engine.surrogates.log_linear import LogLinear
from engine.surrogates.on_box import OnBox
from engine.surrogates.power_law import PowerLaw
from engine.surrogates.stack import Stack

LAWS: dict[type[Law], str] = {LogLinear: "log_linear", PowerLaw: "power_law"}
KERNELS: dict[type[GP], str] = {GP: "matern", RationalGP: "rational"}


def portable(surrogate: Surrogate) -> dict[str, Any] | None:
    """The surrogate as JSON-able values, with its noise, scale and correlation; None if it is not portable."""
    form = _form(surrogate)
    if form is None:
        return None
    own = {name: getattr(surrogate, name).tolist() for name in ("noise", "scale", "correlation")}
    return {**form, **own}


def _form(one: Surrogate) -> dict[str, Any] | None:
    if isinstance(one, OnBox):
        member = _form(one.member)
        return member and {"form": "box", "lower": one.box.lower.tolist(), "upper": one.box.upper.tolist()} | {
            "member": member
        }
    if isinstance(one, Law) and type(one) in LAWS:
        return {"form": "law", "kind": LAWS[type(one)]} | {
            name: getattr(one, name).tolist() for name in ("law", "spread", "root")
        }
    if isinstance(one, Epochs):
        names = ("repeats", "most", "shapes", "floors", "harmed", "coefficients", "root")
        return {"form": "epochs"} | {name: getattr(one, name).tolist() for name in names}
    if isinstance(one, GP) and type(one) in KERNELS:
        return _process(one)
    if isinstance(one, Stack | AroundLaw):
        members = {name: _form(member) for name, member in one.members.items()}
        if None in members.values():
            return None
        if isinstance(one, Stack):
            return {"form": "stack", "members": list(members.values()), "weights": one.weights.tolist()}
        if one.is_mean:
            return {"form": "stack", "members": list(members.values()), "weights": one.parts.tolist()}
        process = members.pop(PROCESS)
        return {"form": "around", "members": [*members.values(), process], "offset": one.offset.tolist()}
    return None


def _process(one: GP) -> dict[str, Any]:
    """Runs and hyperparameters; from INDUCING runs on the mean is a projected one, whose solution goes along."""
    projected = None
    if len(one.weights) > INDUCING:
        projected = [
            [
                {"inducing": p.inducing.tolist(), "dual": p.dual.tolist(), "slopes": p.slopes.tolist()}
                if p.inducing.shape[1] < p.right.shape[1]
                else None
                for p in row
            ]
            for row in one._processes
        ]
    losses = [or_null(row) for row in one.losses]
    return {
        "form": "process",
        "kernel": KERNELS[type(one)],
        "weights": one.weights.tolist(),
        "losses": losses,
        "theta": one.theta.tolist(),
        "projected": projected,
    }


def most_like(
    wanted: Surrogate, others: dict[str, Surrogate], points: np.ndarray, metric_weights: np.ndarray
) -> tuple[str, float] | None:
    """Which of the portable `others` predicts most like a surrogate, and the root mean square difference of their
    aggregates at points (N, D); None if none is portable."""
    known = weighted_sum(wanted.mean(points), metric_weights)
    differences = {
        name: float(np.sqrt(np.mean((weighted_sum(one.mean(points), metric_weights) - known) ** 2)))
        for name, one in others.items()
        if portable(one) is not None
    }
    if not differences:
        return None
    name = lowest_key(differences)
    return name, differences[name]
