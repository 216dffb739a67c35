"""Rebuild the database from the journals: `python -m store.rebuild [--workspace DIR]`.

The old file is kept beside the new one, so nothing is lost if the journals turn out to be the damaged part.
"""

import argparse
import os
import sys
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.system import like_ctrl_c, sentence_of
from engine.core.workspace import Workspace
from store.database import Store
from store.runs import corrupt_count

REBUILT = "rebuilt.duckdb"


def rebuild(workspace: Workspace, file: Path) -> tuple[int, int]:
    """Write a new database to `file` from every journal of the workspace; returns the numbers of events, and of lines
    that were set aside."""
    store = Store(workspace, file)
    try:
        return store.ingest() + store.take_sealed(), corrupt_count(store)
    finally:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m store.rebuild", description=__doc__)
    parser.add_argument("--workspace", type=given_path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    try:
        workspace = Workspace.there(parser.parse_args().workspace)
        workspace.lock("owner")
        live, fresh = workspace.root / "mixdesk.duckdb", workspace.root / REBUILT
        clear(workspace.root)  # left by a killed rebuild
        try:
            with like_ctrl_c():
                events, aside = rebuild(workspace, fresh)
                kept = put_aside(live)
                fresh.replace(live)
        finally:
            clear(workspace.root)
    except Problem as problem:
        sys.exit(f"rebuild: {problem}")
    except OSError as error:
        sys.exit(f"rebuild: {sentence_of(error, 'rebuild the database')}")
    note = f" The old file is kept as {kept}." if kept else ""
    if aside:
        lost = f"{aside:,} {'line' if aside == 1 else 'lines'} of the journals"
        note = f" {lost} could not be read and {'was' if aside == 1 else 'were'} set aside: Studies lists them.{note}"
    print(f"{live}: rebuilt from {events:,} events.{note}")


def clear(root: Path) -> None:
    """Remove a database that is not whole yet, and its log. Only for the one who holds the owner's lock."""
    for name in (REBUILT, f"{REBUILT}.wal"):
        (root / name).unlink(missing_ok=True)


def put_aside(live: Path) -> str | None:
    """Rename what stands in a database's place, whatever it is, with its log; the new name, None where nothing was
    there. What an earlier rebuild kept stays, too: it may be the last whole one."""
    names = (f"before-rebuild-{number}{live.name}" for number in ("", *(f"{n}-" for n in range(2, 10_000))))
    kept = next(name for name in names if not os.path.lexists(live.with_name(name)))
    there = os.path.lexists(live)
    for ending in ("", ".wal"):
        if os.path.lexists(old := live.with_name(live.name + ending)):
            old.replace(live.with_name(kept + ending))
    return kept if there else None
