"""What an external trainer reports of a planned run, held to its plan: results, how far it has come, or why it ended.

Reads the store. M metrics, D domains.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.jobs.reported import STATES, CurvePoint, EvaluatedPoint, ReportedRun
from engine.spec.sizes import SAME
from engine.spec.study import StudySpec
from engine.studies.readings import losses_of, numbers, whole
from store import reported, studies
from store.database import Store
from store.reported import Slot

FIELDS = (
    *("run", "state", "losses", "results", "samples", "curve", "steps", "weights", "seed", "parameters", "tokens"),
    *("seconds", "device", "message"),
)
POINT = ("step", "tokens", "loss", "losses")
MOST_POINTS = 20_000  # of one run's curve in one post
SHARE = 1e-3  # tolerance of a share: what people write has been rounded
BEYOND = 1.5  # times the planned tokens that a curve may go to
UNLIKE = 100  # times more or fewer tokens than planned by a step: batches may grow, units may not change
FINE_STEPS = 10_000  # in which a curve is placed that tells tokens and no steps
OVER = ("done", "diverged")


def read_reports(store: Store, study: studies.Study, given: list[dict], notes: list[str]) -> list[ReportedRun | None]:
    """What is new in reports of planned runs, None where all of it is there already; adds to the notes.

    Raises Problem, with the run's id, for a run that is not awaited, for another mixture, seed or size than planned,
    and for results that differ from those that are there.
    """
    ids = [one["run"] for one in given]
    slots = reported.slots(store, study.id, ids)
    return [Report(store, study, _slot(store, study, slots, one), one, notes).read() for one in given]


def _slot(store: Store, study: studies.Study, slots: dict[str, Slot], one: dict) -> Slot:
    """The planned run that a report is about. Raises Problem where it is none, or nobody awaits it."""
    run = one["run"]
    if unknown := set(one) - set(FIELDS):
        raise Problem(f"Cannot take results of {run!r}: they have {min(unknown)!r}; known are {', '.join(FIELDS)}.")
    if run not in slots:
        other = reported.study_of(store, run)
        first, last = reported.first_and_last(store, study.id)
        where = f"it is a run of {other!r}" if other else f"there is no such run; there are {first} to {last}"
        raise Problem(
            f"Cannot take results of {run!r} in {study.name!r}: {where}. Name a run of the manifest that this study "
            "exported; a run of your own has an `id` and `weights`."
        )
    slot = slots[run]
    if slot.job is not None:
        raise Problem(f"Cannot take results of {run!r}: the job {slot.job} trains it here.")
    if slot.state == "cancelled":
        raise Problem(f"Cannot take results of {run!r}: it was cancelled. Resume the study, and send them again.")
    return slot


@dataclass(frozen=True)
class Report:
    """One report, as it was sent, and the planned run that it is about."""

    store: Store
    study: studies.Study
    slot: Slot
    given: dict[str, Any]
    notes: list[str]

    @property
    def said(self) -> str:
        return f"Cannot take results of {self.slot.id!r}:"

    def read(self) -> ReportedRun | None:
        """What is new in it."""
        self._check_plan()
        facts = self._facts()
        losses, errors, odd = losses_of(self.study, self.given, self.said, self.notes, lenient=True)
        state = self._state(losses, odd)
        known = any(value is not None for value in losses)
        values = losses if state == "done" else None
        if over := self.slot.state in OVER:
            self._check_same(state, losses, errors, facts)
        curve, looks = self._curve()
        if not curve and not looks and (over or state == self.slot.state == "running"):
            return None
        if over:  # what is missing of its curve
            return ReportedRun(id=self.slot.id, state=self.slot.state, curve=curve, evaluations=looks)
        if state == "diverged":
            which = listed(odd) if odd else "its loss"
            facts["message"] = facts["message"] or f"Diverged where it was trained: {which} is not a number."
        if state == "done" and not known:
            raise Problem(f"{self.said} it measured nothing. Give at least one of {', '.join(self.study.metrics)}.")
        return ReportedRun(
            id=self.slot.id, state=state, losses=values, losses_se=errors, curve=curve, evaluations=looks, **facts
        )

    def _check_plan(self) -> None:
        """Raise Problem where it says another mixture, seed or size than was planned."""
        again = "Was the manifest edited? Export it again; or send the run with an `id` of your own and its `weights`."
        if (weights := self.given.get("weights")) is not None:
            shares = numbers(weights, self.study.domains, f"{self.said} weights")
            told = np.array([shares.get(name, 0.0) for name in self.study.domains])
            off = np.abs(told - self.slot.weights)
            if off.max() > SHARE:
                at = int(off.argmax())
                raise Problem(
                    f"{self.said} it says {told[at]:.6g} of {self.study.domains[at]!r}, and "
                    f"{self.slot.weights[at]:.6g} was planned. {again}"
                )
        seed = whole(self.given.get("seed"), f"{self.said} seed")
        if seed is not None and seed != self.slot.seed:
            raise Problem(f"{self.said} it says seed {seed}, and {self.slot.seed} was planned. {again}")
        size = StudySpec.from_dict(self.study.spec).size
        partial = self.given.get("state") in ("running", "failed")
        for name in ("parameters",) if partial else ("parameters", "tokens"):
            told_size = whole(self.given.get(name), f"{self.said} {name}")
            if told_size and abs(np.log(told_size / size[name])) > SAME:
                raise Problem(
                    f"{self.said} it has {told_size:,} {name}, and {size[name]:,.0f} were planned. Runs of another "
                    "size are kept apart: send it with an `id` of your own, its `weights` and its size."
                )

    def _facts(self) -> dict[str, Any]:
        """Size, cost and message, as the journal has them."""
        size, given = StudySpec.from_dict(self.study.spec).size, self.given
        seconds = given.get("seconds")
        if seconds is not None and not is_number(seconds, 0):
            raise Problem(f"{self.said} seconds is {seconds!r}; give a number of at least 0.")
        partial = given.get("state") in ("running", "failed")
        tokens = whole(given.get("tokens"), f"{self.said} tokens")
        return {
            "parameters": whole(given.get("parameters"), f"{self.said} parameters") or round(size["parameters"]),
            "tokens": tokens if tokens or partial else round(size["tokens"]),
            "seconds": None if seconds is None else float(seconds),
            "device": str(given["device"])[:80] if given.get("device") else None,
            "message": str(given["message"])[:400] if given.get("message") else None,
        }

    def _state(self, losses: list[float | None], odd: list[str]) -> str:
        """The run's state: as it says, else by what it holds. Raises Problem for an unknown one."""
        state = self.given.get("state")
        if state not in (None, *STATES):
            raise Problem(f"{self.said} its state is {state!r:.80}; it must be one of {', '.join(STATES)}.")
        if state in ("running", "failed", "diverged"):
            return str(state)
        if odd:
            return "diverged"
        if state is None and not any(one is not None for one in losses) and self.given.get("curve"):
            return "running"
        return "done"

    def _check_same(self, state: str, losses: list, errors: list | None, facts: dict[str, Any]) -> None:
        """Raise Problem where a run that has ended is said to have measured something else."""
        there = self.slot
        same = state == there.state or state == "running"
        if same and state == "done":
            same = losses == there.losses and errors == there.losses_se and facts["tokens"] == there.tokens
        if not same:
            raise Problem(
                f"{self.said} it has ended before, with other numbers. Nothing was changed. A new measurement is a run "
                "of its own: give it an `id` and its `weights`."
            )

    def _curve(self) -> tuple[list[CurvePoint], list[EvaluatedPoint]]:
        """The points that were not reported before. Raises Problem, with its number, for an invalid one."""
        given = self.given.get("curve", [])
        if not isinstance(given, list) or len(given) > MOST_POINTS:
            raise Problem(f"{self.said} its curve must be a list of up to {MOST_POINTS:,} points; send the rest later.")
        if not given:
            return [], []
        known, seen = reported.points(self.store, self.slot.id)
        places, told = self._domain_places(), {step: tokens for step, (tokens, _) in known.items()}
        curve, looks, missing, left = dict[int, CurvePoint](), dict[int, EvaluatedPoint](), 0, False
        for place, point in enumerate(given, 1):
            step, tokens, loss = self._point(place, point)
            told[step] = tokens
            if "loss" in point:
                missing += loss is None
                curve[step] = CurvePoint(step=step, tokens=tokens, loss=loss)
            if "losses" in point:
                values = numbers(point["losses"], self.study.metrics, f"{self.said} losses of point {place}")
                if places is None or set(places) - set(values):
                    left = True
                else:
                    looks[tokens] = EvaluatedPoint(tokens=tokens, losses=[values[name] for name in places])
        self._check_tokens(told)
        if missing:
            count = counted(missing, "point")
            self.notes.append(f"The curve of {self.slot.id} is not a number at {count} of {len(given)}: kept as a gap.")
        if left:
            self.notes.append("Validation losses during training are kept where each domain has one; others were not.")
        new = [one for one in curve.values() if known.get(one.step, ()) != (one.tokens, one.loss)]
        return new, [one for one in looks.values() if seen.get(one.tokens) != one.losses]

    def _check_tokens(self, told: dict[int, int]) -> None:
        """Raise Problem where tokens by step are not all in ones, as the plan is: in millions, say, or in steps."""
        size, steps = self.study.spec["size"]["tokens"], self.given.get("steps")
        unit = "Tell all tokens in ones, from the run's beginning on."
        for before, step in pairwise(sorted(told)):
            if told[step] < told[before]:
                raise Problem(
                    f"{self.said} its curve has {told[before]:,} tokens at step {before:,} and {told[step]:,} at step "
                    f"{step:,}. {unit}"
                )
        for step, tokens in told.items():
            planned = size * step / steps if steps else size
            if tokens > size * BEYOND or (steps and step and not planned / UNLIKE < tokens < planned * UNLIKE):
                raise Problem(
                    f"{self.said} its curve has {tokens:,} tokens at step {step:,}, where about {planned:,.0f} were "
                    f"planned. {unit}"
                )
        if self.given.get("losses") and told and max(told.values()) * UNLIKE < size:
            self.notes.append(
                f"The curve of {self.slot.id} ends at {max(told.values()):,} of {size:,.0f} planned tokens: it is kept "
                "as it stands. Tokens are told in ones."
            )

    def _domain_places(self) -> list[str] | None:
        """The metrics that are the domains' losses, in the order of the domains; None where one has none."""
        by_domain = {one.domain: one.metric for one in self.study.objectives if one.domain is not None}
        names = [by_domain.get(domain) for domain in self.study.domains]
        return None if None in names else [name for name in names if name is not None]

    def _point(self, place: int, point: Any) -> tuple[int, int, float | None]:
        """Step, tokens and loss of a point, each by the other where one is missing."""
        what = f"{self.said} point {place} of its curve"
        if not isinstance(point, dict) or set(point) - set(POINT) or not {"loss", "losses"} & set(point):
            raise Problem(f"{what} is {point!r:.80}; it has loss or losses, and step, tokens or both.")
        step, tokens = (whole(point.get(name), f"{what}: {name}") for name in ("step", "tokens"))
        loss = point.get("loss")
        if loss is not None and not is_number(loss):
            if not isinstance(loss, float):
                raise Problem(f"{what} has the loss {loss!r:.80}; it must be a number, or null where it was none.")
            loss = None  # NaN or infinite
        steps, size = whole(self.given.get("steps"), f"{self.said} steps"), self.study.spec["size"]["tokens"]
        if tokens is None:
            if step is None or not steps:
                raise Problem(f"{what} tells neither its tokens nor, with `steps` of the run, its step.")
            tokens = round(step / steps * size)
        if step is None:
            step = round(tokens / size * (steps or FINE_STEPS))
        return step, tokens, None if loss is None else float(loss)
