"""Several results files of harnesses as one: a line for each, with what it is read for and what its run may be called.

A harness writes a file for each model, of up to a megabyte, most of which are prompts and settings.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.harness import is_results, models_of, table_in
from engine.importing.limits import JSON_BYTES

SAMPLE_BYTES = 512 << 20  # of a file of single items
WHEN = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d)[-:](\d\d)[-:](\d\d(?:\.\d{1,6})?)")  # in a file's name
WHOLE = ("results", "group_subtasks", "higher_is_better", "n-samples", "n-shot", "versions", "model_name")
PARTS = {"configs": ("doc_to_choice", "output_type"), "config_tasks": ("effective_num_docs",)}  # of each task
SETTINGS = {"config": ("model_args",), "config_general": ("model_name", "model_config")}


def files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files in a folder and in those within it: their paths, which begin with its name, and their bytes.

    Results are in `.json`; others have no bytes, and are there to be named.
    """
    root = folder.resolve()
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            if path.suffix.lower() != ".json":
                yield path.relative_to(root.parent).as_posix(), b""
                continue
            if path.stat().st_size > JSON_BYTES:
                raise Problem(f"Cannot read {path}: it is larger than {JSON_BYTES >> 20} MiB. Leave it out.")
            yield path.relative_to(root.parent).as_posix(), path.read_bytes()


def sample_files(place: Path) -> Iterator[tuple[str, bytes]]:
    """The files of single items in a folder and in those within it, by their names, or one such file: paths and bytes.
    Raises Problem for one that is too large."""
    root = place.resolve()
    named = [*root.rglob("samples_*.jsonl"), *root.rglob("details_*.parquet")] if root.is_dir() else [root]
    for path in sorted(named):
        if path.is_file():
            if path.stat().st_size > SAMPLE_BYTES:
                raise Problem(f"Cannot read {path}: it is larger than {SAMPLE_BYTES >> 20} MiB. Leave it out.")
            yield path.relative_to(root.parent).as_posix(), path.read_bytes()


def combined(files: Iterable[tuple[str, bytes]], name: str) -> tuple[str, list[str]]:
    """Results files as lines of JSON, and notes on files that are none. files: their paths and their bytes; name: what
    all of them are called in messages. Raises Problem where none holds results."""
    lines, others = [], []
    for path, data in files:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if is_results(value):
            lines.append(json.dumps(_kept(value, PurePosixPath(path))))
        else:
            others.append(path)
    if not lines:
        raise Problem(
            f"Cannot import {name}: it holds no results of lm-evaluation-harness or lighteval"
            f"{' beside ' + listed(others, 4) if others else ''}. Give the folder with their results_<date>.json files."
        )
    notes = [f"Not read, because they do not hold the results of a harness: {listed(others)}."] if others else []
    return "\n".join(lines) + "\n", notes


def _kept(value: dict[str, Any], path: PurePosixPath) -> dict[str, Any]:
    """What is read of a results file, what its run may be called, and when it was measured."""
    kept = {key: value[key] for key in WHOLE if key in value}
    for key, wanted in PARTS.items():
        tasks = {task: facts for task, facts in table_in(value, key).items() if isinstance(facts, dict)}
        kept |= {key: {task: _only(facts, wanted) for task, facts in tasks.items()}} if tasks else {}
    kept |= {key: _only(value[key], wanted) for key, wanted in SETTINGS.items() if isinstance(value.get(key), dict)}
    kept |= {"groups": dict.fromkeys(table_in(value, "groups"), 0)} if "groups" in value else {}
    folders = [part for part in reversed(path.parts[:-1]) if part]
    names = [value["run"]] if isinstance(value.get("run"), str) else [*folders, *models_of(value), path.stem]
    return {"names": list(dict.fromkeys(names)), "date": _date(value, path.name), **kept}


def _only(facts: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {key: facts[key] for key in wanted if key in facts}


def _date(value: dict[str, Any], name: str) -> float | None:
    """When a file was written, in seconds: as its name says, else as it says itself."""
    if found := WHEN.search(name):
        with suppress(ValueError):  # no date after all: 2026-13-45
            return (
                datetime.fromisoformat(f"{found[1]}T{found[2]}:{found[3]}:{found[4]}").replace(tzinfo=UTC).timestamp()
            )
    date = value.get("date")
    return float(date) if isinstance(date, int | float) and is_number(date) else None
