"""Commands on recipes: the formats for a point, its files, their rehearsal; a design's planned runs as files."""

import base64

from engine import recipes
from engine.recipes import Files
from engine.review import designs, rehearsing
from engine.review.recipe import lengths, recipe_of
from store import studies
from store.database import Store


def export(
    store: Store,
    name: str,
    format: str,
    candidate: str = "best",
    tokens: float | None = None,
    paths: dict[str, str] | None = None,
    tokens_per_document: dict[str, float] | None = None,
) -> dict:
    """The files of a mixture in a loader's format: {"files": {name: text}, "binary": {name: base64}, "state": approved
    or draft}.

    candidate: a candidate's name or id, "best" (predicted, by the study's own priorities), a baseline's name, or a
    run's id; paths: the loader's path to a domain's text; tokens_per_document: for formats that count rows.
    """
    study = studies.get(store, name)
    made = recipe_of(store, study, candidate, tokens, paths=paths, tokens_per_document=tokens_per_document)
    return {"state": made.state, **as_json(recipes.export(made, format))}


def export_design(
    store: Store,
    name: str,
    format: str,
    runs: list[str] | None = None,
    paths: dict[str, str] | None = None,
    tokens_per_document: dict[str, float] | None = None,
) -> dict:
    """The planned runs of an external trainer's study in a loader's format, with a manifest and a client that reports:
    {"files": {path: text}, "binary": {path: base64}}.

    runs: ids, default all that await results; paths, tokens_per_document: as of export.
    """
    study = studies.get(store, name)
    return as_json(designs.export_design(store, study, format, runs, paths, lengths(study, tokens_per_document)))


def as_json(files: Files) -> dict[str, dict[str, str]]:
    """Files as JSON holds them: texts, and others in base64."""
    return {
        "files": {file: content for file, content in files.items() if isinstance(content, str)},
        "binary": {file: base64.b64encode(b).decode() for file, b in files.items() if isinstance(b, bytes)},
    }


def formats(
    store: Store, name: str, candidate: str = "best", tokens_per_document: dict[str, float] | None = None
) -> dict[str, dict]:
    """What every format counts and cannot express, before an export."""
    made = recipe_of(store, studies.get(store, name), candidate, tokens_per_document=tokens_per_document)
    return recipes.standing(made)


def rehearse(
    store: Store,
    name: str,
    format: str,
    context: int,
    candidate: str = "best",
    tokens: float | None = None,
    tokens_per_document: dict[str, float] | None = None,
    lengths: dict[str, list[float]] | None = None,
    seed: int = 0,
) -> dict:
    """What a format's loader would make of a mixture: realised shares with intervals, passes, what is cut off.

    context: tokens of a sample; lengths: tokens of a domain's documents (default: the corpus'); the rest as of export.
    """
    study = studies.get(store, name)
    made = recipe_of(store, study, candidate, tokens, tokens_per_document=tokens_per_document)
    return rehearsing.rehearsed(store, study, made, format, context, lengths, seed).to_dict()


COMMANDS = (export, formats, export_design, rehearse)
