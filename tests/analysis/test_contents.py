"""One process over contents: it knows a law linear in their roots, whatever domains are called, and where it ends."""

import numpy as np
import pytest

from engine.analysis.contents import ContentsProcess, change, nearest
from engine.analysis.statistics import rank_correlation
from engine.core.errors import Problem
from engine.corpus.contents import CELLS, count, mixed

CELLS_HERE, TOPICS, NOISE = 60, 5, 0.002
WEIGHTS = np.array([0.5, 0.5])


def topics() -> np.ndarray:
    """(TOPICS, C) distributions of which all text is made."""
    return np.random.default_rng(0).dirichlet(np.full(CELLS_HERE, 0.3), TOPICS)


def law(points: np.ndarray) -> np.ndarray:
    """(N, 2) losses, linear in the roots of distributions (N, C)."""
    return 3 + np.sqrt(points) @ np.random.default_rng(5).standard_normal((CELLS_HERE, 2)) / 10


def study(seed: int, domains: int = 5, runs: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contents (D, C), shares (R, D) and losses (R, 2) of a study whose domains are mixtures of the topics."""
    rng = np.random.default_rng(seed)
    contents = rng.dirichlet(np.full(TOPICS, 0.3), domains) @ topics()
    shares = rng.dirichlet(np.ones(domains), runs)
    level = 0.005 * rng.standard_normal(2)  # its own initialisation
    losses = law(mixed(shares, contents)) + level + NOISE * rng.standard_normal((runs, 2))
    return contents, shares, losses


STUDIES = [study(seed) for seed in (1, 2, 3)]


def process(studies: list) -> ContentsProcess:
    points = np.concatenate([mixed(shares, contents) for contents, shares, _ in studies])
    losses = np.concatenate([one[2] for one in studies])
    return ContentsProcess.of(points, losses, np.repeat(np.arange(len(studies)), [len(one[1]) for one in studies]))


@pytest.fixture(scope="module")
def fitted() -> ContentsProcess:
    return process(STUDIES)


def left_out(studies: list, k: int) -> float:
    """Rank correlation of a study's runs, by those of the others."""
    contents, shares, losses = STUDIES[k]
    contents = studies[k][0]
    found = process([one for i, one in enumerate(studies) if i != k]).mean(mixed(shares, contents))
    return float(rank_correlation(losses @ WEIGHTS, found @ WEIGHTS))


def test_a_study_left_out_is_ranked_by_the_others_and_not_by_permuted_contents():
    true = np.mean([left_out(STUDIES, k) for k in range(3)])
    rng, chance = np.random.default_rng(0), []
    pool = np.concatenate([one[0] for one in STUDIES])
    for _ in range(4):
        mixed_up = np.split(rng.permutation(pool), 3)
        permuted = [(part, *one[1:]) for part, one in zip(mixed_up, STUDIES, strict=True)]
        chance.append(np.mean([left_out(permuted, k) for k in range(3)]))
    assert true > 0.9 and true > max(chance) + 0.1


def test_the_ranks_of_a_fitted_process_are_those_of_studies_left_out(fitted):
    ranks = fitted.ranks(WEIGHTS)
    assert list(ranks) == [0, 1, 2] and min(ranks.values()) > 0.8


def test_the_change_by_a_new_source_is_that_of_the_law(fitted):
    """20 sources of the same topics, at a study's mean mixture: within the intervals (over many such worlds 97% are; in
    one their errors go together), and clear where it is large."""
    contents, shares, _ = STUDIES[0]
    base = mixed(shares.mean(axis=0)[None], contents)[0]
    sources = np.random.default_rng(9).dirichlet(np.full(TOPICS, 0.3), 20) @ topics()
    inside, right = 0, []
    for source in sources:
        found = mixed(np.array([[0.9, 0.1]]), np.stack([base, source]))[0]
        moved, wanted = change(fitted, base, found, WEIGHTS), float(np.diff(law(np.stack([base, found])) @ WEIGHTS)[0])
        inside += abs(moved.aggregate - wanted) <= moved.half
        if abs(moved.aggregate) > moved.half:
            right.append(np.sign(moved.aggregate) == np.sign(wanted))
    assert inside >= 15 and len(right) >= 5 and np.mean(right) >= 0.9


def test_names_and_splits_of_domains_change_nothing():
    """The same domain twice, or cut into two: the same mixtures, so the same predictions."""
    contents, shares, losses = STUDIES[0]
    halves = np.concatenate([contents, contents[:1]])
    cut = np.concatenate([shares, 0.3 * shares[:, :1]], axis=1)
    cut[:, 0] *= 0.7
    assert mixed(cut, halves) == pytest.approx(mixed(shares, contents))
    one, other = process([(contents, shares, losses)]), process([(halves, cut, losses)])
    asked = mixed(np.random.default_rng(2).dirichlet(np.ones(5), 4), contents)
    assert other.mean(asked) == pytest.approx(one.mean(asked), rel=1e-4)


def test_contents_far_from_all_runs_leave_the_change_open(fitted):
    contents, shares, _ = STUDIES[0]
    base = mixed(shares.mean(axis=0)[None], contents)[0]
    known, other = topics()[0], np.random.default_rng(77).dirichlet(np.full(CELLS_HERE, 0.02))
    near, far = (
        change(fitted, base, mixed(np.array([[0.9, 0.1]]), np.stack([base, one]))[0], WEIGHTS) for one in (known, other)
    )
    assert far.aggregate_std > 2 * near.aggregate_std and far.settled < 0.5 < 0.9 < near.settled


def test_metrics_of_one_study_alone_are_learned_from_it():
    contents, shares, losses = STUDIES[0]
    lacking = STUDIES[1][2].copy()
    lacking[:, 1] = np.nan
    found = process([(contents, shares, losses), (*STUDIES[1][:2], lacking)])
    assert np.isfinite(found.predict(mixed(shares, contents))[1]).all()
    assert {study: metrics.tolist() for study, metrics in found.judged.items()} == {0: [0], 1: [0]}
    assert set(found.ranks(np.array([0.5, 0.5]))) == {0, 1} and found.ranks(np.array([0.0, 1.0])) == {}
    with pytest.raises(Problem, match="has 5 finished runs"):
        process([(contents, shares[:5], losses[:5])])


def test_the_nearest_mixture_is_found():
    known = topics()
    wanted = np.array([0.5, 0.3, 0.2, 0, 0]) @ known
    shares, distance = nearest(wanted, known)
    assert shares == pytest.approx([0.5, 0.3, 0.2, 0, 0], abs=0.02) and distance < 0.02
    assert nearest(known[0], known[1:])[1] > 0.3
    assert nearest(np.array([1.0, 0, 0]), np.array([[0, 0.5, 0.5], [0, 1, 0]]))[1] == 1.0


def test_counts_are_of_pieces_of_three_bytes():
    assert count(b"abcabc").sum() == 4 and count(b"abc" * 50).max() == 50
    assert len(count(b"")) == CELLS and count(b"ab").sum() == 0
