"""Commands of Mixdesk as benchmarks give them: each in a process of its own, its answer read."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def engine(workspace: Path, *arguments: str):
    """The answer of a command. Ends the benchmark with what the command said, where it failed."""
    words = [sys.executable, "-m", "engine", "--workspace", str(workspace), *arguments]
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)
