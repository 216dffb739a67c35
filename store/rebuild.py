"""Rebuild the database from the journals: `python -m store.rebuild [--workspace DIR]`.

The old file is kept beside the new one, so nothing is lost if the journals turn out to be the damaged part.
"""

import argparse
import sys
from pathlib import Path

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from store.database import Store


def rebuild(workspace: Workspace, file: Path) -> int:
    """Write a new database to `file` from every journal of the workspace; returns the number of events."""
    store = Store(workspace, file)
    try:
        return store.ingest() + store.take_sealed()
    finally:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m store.rebuild", description=__doc__)
    parser.add_argument("--workspace", type=Path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    try:
        workspace = Workspace.there(parser.parse_args().workspace)
        workspace.lock("owner")
        live, fresh = workspace.root / "mixdesk.duckdb", workspace.root / "rebuilt.duckdb"
        for left in (fresh, fresh.with_name(fresh.name + ".wal")):  # left by a killed rebuild
            left.unlink(missing_ok=True)
        events = rebuild(workspace, fresh)
        kept = live.exists()
        for old in (live, live.with_name(live.name + ".wal")):
            if old.exists():
                old.replace(old.with_name("before-rebuild-" + old.name))
        fresh.replace(live)
    except Problem as problem:
        sys.exit(f"rebuild: {problem}")
    told = f" The old file is kept as before-rebuild-{live.name}." if kept else ""
    print(f"{live}: rebuilt from {events:,} events.{told}")


if __name__ == "__main__":
    main()
