"""A minute of chaos: nothing is lost and nothing doubled. The longer one is `python -m benchmarks.chaos`."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.support.running import ROOT


@pytest.mark.soak
def test_a_minute_of_chaos_loses_and_doubles_nothing():
    """Bounded to three minutes by itself: 35 s of attack, and at most 90 s for what is left to come to its end."""
    words = [sys.executable, "-m", "benchmarks.chaos", "--kills", "18", "--seconds", "35", "--patience", "90"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    print(done.stdout)
    assert report["wrong"] == [] and report["jobs that ran twice at once"] == []
    assert done.returncode == 0
    assert report["kills"] >= 5 and report["events in journals"] > 20
    ends = sum(map(Counter, report["jobs"].values()), Counter())
    assert ends == report["states in the database"] and ends["done"] >= 1, "a reader can add them up"
    assert sum(report["causes of failures"].values()) == ends["failed"]
