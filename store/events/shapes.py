"""What the lists of events go along: the coordinates and metrics of their study, as its row stands before an event."""

import json
from collections.abc import Iterable
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import shown
from engine.jobs.axes import Shape
from engine.jobs.decisions import CandidatePut, RunsAdded, StudyImported, StudyPlanned
from engine.jobs.events import Event, RunFinished, RunsCompared, RunsEvaluated
from engine.jobs.frozen import Frozen
from engine.jobs.runs import PlannedRun
from engine.spec.fidelity import Fidelity
from store.events.bulk import Cursor

ABOUT = "SELECT domains, metrics, json_keys(corpus, '$.domains'), spec ->> '$.merge' FROM studies WHERE id = ?"


class Shapes:
    """The shapes of the studies that a batch of events is about, each looked up once."""

    def __init__(self, cursor: Cursor, events: Iterable[Event]):
        self.cursor, self.known = cursor, dict[str, Shape | None]()
        self.runs = {run for event in events for run in measured_in(event)}
        self.studies: dict[str, str] | None = None  # of those runs

    def check(self, event: Event) -> None:
        """Raise Problem if a list of the event does not go along its study, or names what that has not."""
        if isinstance(event, StudyPlanned | StudyImported):
            self.check_names(event)
        if isinstance(event, CandidatePut):
            self.check_candidate(event)
        for run in planned_by(event):
            if run.fidelity is not None:
                Fidelity.from_dict(run.fidelity)  # raises for one that no proxy could have
        if isinstance(event, RunsCompared):
            self.check_compared(event)
        if not event.is_shaped():
            return
        shape = self.of(event)
        event.check_shape(shape)
        if isinstance(event, RunFinished):
            for name in {**event.losses, **event.losses_se}:
                if name not in shape.metrics:
                    raise Problem(f"Cannot take {event.kind}: {shown(name)} is not a metric of its study.")

    def check_candidate(self, event: CandidatePut) -> None:
        """Raise Problem for a candidate that is no point of its study. fitting.py has read it."""
        frozen, shape = Frozen.read(json.loads(event.frozen), "the candidate"), self.of(event)
        own = (tuple(frozen.names), tuple(one.metric for one in frozen.metrics), frozen.kind == "mixture")
        if own != (shape.coordinates, shape.metrics, shape.mixture):
            raise Problem(f"Cannot take the candidate {shown(event.candidate)}: it is not a point of its study.")

    def check_compared(self, event: RunsCompared) -> None:
        """Raise Problem for a value of what is no comparison: a job that compares may change nothing that others
        measured."""
        row = self.row(event.study)
        known = {one["metric"] for one in json.loads(row[1] or "[]") if one.get("reference")} if row else set()
        for name in {name for run in event.runs for name in (*run.losses, *run.losses_se)}:
            if name not in known:
                raise Problem(f"Cannot take {event.kind}: {shown(name)} is not a comparison of its study.")

    def check_names(self, event: StudyPlanned | StudyImported) -> None:
        """Raise Problem for a study that is planned already, or whose coordinates or metrics are no names of theirs."""
        if isinstance(event, StudyPlanned) and (there := self.row(event.study)) and there[0]:
            raise Problem(f"Cannot plan the study {shown(event.study)}: it is planned already.")
        shape = self.of(event)
        for what, names in (("coordinates", shape.coordinates), ("metrics", shape.metrics)):
            if not names or not all(one.strip() for one in names) or len(set(names)) < len(names):
                raise Problem(f"Cannot take a study of the {what} {shown(list(names))}: each needs its own name.")
        if missing := [one for one in shape.coordinates if shape.mixture and one not in shape.domains]:
            raise Problem(f"Cannot take a study on {shown(missing[0])}: nothing tells of its text.")
        for one in event.metrics or ():
            if one.domain is not None and one.domain not in shape.domains:
                raise Problem(f"Cannot take the metric {shown(one.metric)}: {shown(one.domain)} is not a domain.")

    def of(self, event: Event) -> Shape:
        """The shape of an event's study. Raises Problem where there is none, or it has none yet."""
        if isinstance(event, StudyPlanned | StudyImported):
            return self.planned(event)
        runs = measured_in(event)
        study = str(self.study_of(runs[0]) if runs else getattr(event, "study", None))
        if study not in self.known:
            self.known[study] = self.looked_up(study)
        if (found := self.known[study]) is None:
            raise Problem(f"Cannot take {event.kind}: the study {shown(study)} is not there, or not planned.")
        return found

    def planned(self, event: StudyPlanned | StudyImported) -> Shape:
        """The shape that a study gets by an event, which counts from then on."""
        self.known.pop(event.study, None)
        metrics = tuple(one.metric for one in event.metrics) if event.metrics else tuple(event.domains)
        row = self.row(event.study) if isinstance(event, StudyPlanned) else (None, None, None, None)
        if row is None:
            raise Problem(f"Cannot plan the study {shown(event.study)}: it is not there.")
        mixture, kept = not row[3], (event.corpus or {}).get("domains")
        domains = tuple(kept if isinstance(kept, dict) and kept and isinstance(event, StudyPlanned) else event.domains)
        return Shape(tuple(event.domains), metrics, domains, mixture)

    def looked_up(self, study: str) -> Shape | None:
        """The shape of a study as it stands; None where it is not there or not planned."""
        if (row := self.row(study)) is None or not row[0]:
            return None
        coordinates, metrics, domains, merge = row
        names = [one["metric"] for one in json.loads(metrics)] if metrics else coordinates
        return Shape(tuple(coordinates), tuple(names), tuple(domains or coordinates), not merge)

    def row(self, study: str) -> tuple[Any, ...] | None:
        """What the table has of a study; None where it is not there."""
        return next(iter(self.cursor.execute(ABOUT, [study]).fetchall()), None)

    def study_of(self, run: str) -> str | None:
        """The study of a run that is there already."""
        if self.studies is None:
            asked = "SELECT id, study FROM runs WHERE id IN (SELECT unnest(?))"
            self.studies = dict(self.cursor.execute(asked, [list(self.runs)]).fetchall())
        return self.studies.get(run)

    def forget(self) -> None:
        """Look everything up again: a study was planned or deleted."""
        self.known.clear()


def measured_in(event: Event) -> list[str]:
    """The runs, planned before, whose results an event tells."""
    if isinstance(event, RunFinished):
        return [event.run]
    return event.runs if isinstance(event, RunsEvaluated) else []


def planned_by(event: Event) -> list[PlannedRun]:
    """The runs that an event plans."""
    return event.runs if isinstance(event, StudyPlanned | RunsAdded) else []
