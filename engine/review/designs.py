"""The planned runs of an external trainer's study as recipes. Uses the store."""

import numpy as np

from engine.core.errors import Problem
from engine.recipes import Files
from engine.recipes.base import Recipe
from engine.recipes.designs import PlannedRecipe, export_runs
from engine.studies.levels import levels_in, told
from engine.studies.measured import frame_of_study
from store import reported, runs, studies
from store.database import Store


def export_design(
    store: Store,
    study: studies.Study,
    format: str,
    ids: list[str] | None = None,
    paths: dict[str, str] | None = None,
    lengths: tuple[float, ...] | None = None,
) -> Files:
    """The files of planned runs in a loader's format, with their manifest. ids: of runs, default all that are awaited;
    paths: the loader's path to a domain's text; lengths (D,): mean tokens of a document, for formats that count these.

    Raises Problem for a study that trains its own runs, and for an id that is none of its planned runs.
    """
    if not study.external:
        raise Problem(
            f"Cannot export the design of {study.name!r}: its runs are not awaited from an external trainer. Start a "
            'study with trainer = "external".'
        )
    levels = levels_in(study)
    frame, wanted = frame_of_study(study), reported.awaited(store, study.id) if ids is None else ids
    rows = {row["id"]: row for row in runs.table(store, study.id).to_pylist() if row["role"] != "submitted"}
    if unknown := [one for one in wanted if one not in rows]:
        raise Problem(f"Cannot export the run {unknown[0]!r}: {study.name!r} has planned no run of that id.")
    size, made = study.spec["size"], []
    for run in dict.fromkeys(wanted):
        row = rows[run]
        recipe = Recipe(
            study=study.name,
            name=row["label"] or run,
            domains=tuple(study.domains),
            shares=tuple(row["weights"]),
            target_tokens=size["tokens"],
            available_tokens=None if frame.available is None else tuple(frame.available),
            sources=None if frame.pools is None else frame.pools.sources,
            provenance={"study": study.id, "run": run, "seed": row["seed"]},
            paths=dict(paths or {}),
            tokens_per_document=lengths,
            run=run,
            totals=told(levels, np.array(row["weights"])),
        )
        made.append(PlannedRecipe(recipe, row["role"], row["label"], row["seed"], size["parameters"]))
    metrics = [
        {"metric": one.metric, "unit": one.unit, "higher_is_better": one.higher_is_better} for one in study.objectives
    ]
    return export_runs(study.id, format, made, metrics)
