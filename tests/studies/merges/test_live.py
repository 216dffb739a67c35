"""Merges measured while a fader moves: the losses of their runs, the bits of passages, and how they continue a text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus import passages
from engine.proxies.evaluate import passage_bits
from engine.spec.merge import MergeSpec
from engine.studies.merges.live import Live
from engine.studies.merges.questions import merge_spec, task_of
from store import runs
from tests.support.running import until


def test_live_measurements_are_the_runs(own):
    store, study = own
    live = Live(store.workspace.root)
    task = task_of(study, merge_spec(study))
    row = next(row for row in runs.table(store, study.id).to_pylist() if row["role"] == "design")
    tokens = study.spec["fidelity"]["eval_tokens"]
    try:
        found = until(lambda: live.measure(task, np.array(row["weights"]), tokens), 60)
        assert found.losses == pytest.approx(row["losses"], abs=1e-6)
        assert live.measure(task, np.array(row["weights"]), tokens, patience=0).losses is found.losses
        expert = passages.file_of(store.workspace.root, Path(task.experts["digits"]).stem)
        alone = until(lambda: live.measure(task, np.array([1.0, 0.0, 0.0]), tokens), 60)  # the expert itself
        assert np.abs(alone.passages - passages.load(expert)[1]).max() < 0.02  # half precision
        assert np.abs(alone.passages - found.passages).max() > 0.1
        other = replace(task, merge=MergeSpec(method="ties").to_dict())
        ties = until(lambda: live.measure(other, np.array(row["weights"]), tokens), 60)
        assert np.abs(ties.losses - found.losses).max() > 1e-3
        second = replace(task, study="another", merge=other.merge)  # two people, two studies: neither starves
        both = ((task, 0.25), (second, 0.25))
        assert until(lambda: all([live.measure(one, np.full(3, x), tokens, 0.01) for one, x in both]), 60)
        cancel = replace(task, merge=MergeSpec(method="multislerp").to_dict())
        with pytest.raises(Problem, match="sum to 0"):  # a point that its method refuses; the process goes on
            until(lambda: live.measure(cancel, np.zeros(3), tokens), 60)
        assert live.measure(task, np.full(3, 0.35), tokens, patience=30) is not None
        with pytest.raises(Problem, match="Cannot measure merges live"):
            until(lambda: live.measure(replace(task, study="x", base="experts/none"), np.zeros(3), tokens), 60)
    finally:
        live.close()


def test_a_merge_continues_a_text_as_its_seed_says(merges):
    """Its own words are likelier to it than any."""
    half = merges.fidelity.context // 2
    first, again, other = (merges.continued(np.array([1.0, 0.0, 0.0]), 0, seed) for seed in (1, 1, 2))
    assert len(first) == half and (first == again).all() and (first != other).any()
    found = passages.places(merges.corpus, merges.domains, 2 * half)
    (passage,) = passages.tokens_of(merges.corpus, found[:1], 2 * half)
    noise = np.random.default_rng(0).integers(merges.corpus.vocabulary, size=half)
    bits = [
        passage_bits(merges.stack, np.r_[passage[:half], rest][None])[0, 0, half:].mean() for rest in (first, noise)
    ]
    assert bits[0] < bits[1] - 1
