"""What failed in the whole suite, once more and alone: what passes then is unsteady, and named. `make test` ends by it.

A test of servers, browsers and clocks can lose a race on two shared cores where thousands run beside it. Such a loss is
a fault to be found, so it is printed with its name; but it does not hide whether all else works.
"""

import json
import sys
from pathlib import Path

import pytest

MOST = 5  # tests that may be unsteady in one run; more of them have a cause
ROOT = Path(__file__).parents[2]


def failed(root: Path) -> list[str]:
    """The tests below `root` that failed in the run before, by pytest's own cache."""
    kept = root / ".pytest_cache/v/cache/lastfailed"
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def main(root: Path = ROOT) -> int:
    """0 if every test of the few that failed passes alone; otherwise 1, or pytest's own status."""
    names = failed(root)
    if not 0 < len(names) <= MOST:
        return 1
    print(f"\n{len(names)} failed beside the others. Once more, alone:", flush=True)
    common = ["--rootdir", str(root), "-p", "no:cacheprovider", "-rf"]
    if status := max(int(pytest.main([*common, name])) for name in names):  # each finds a workspace that none changed
        return status
    print("\nUnsteady: passed alone, failed beside the others. Each hides a race that somebody has to find:")
    print("\n".join(f"  {name}" for name in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
