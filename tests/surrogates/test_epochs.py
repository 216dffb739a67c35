"""Laws of epochs: the best mixture is inside where text repeats, doses tell harm from benefit."""

from dataclasses import replace

import numpy as np
import pytest

from engine.search.methods import evolve
from engine.space.simplex import Simplex
from engine.surrogates import SURROGATES, load, save
from engine.surrogates.conditions import Conditions

DOMAINS, REPEATS = 4, np.array([40.0, 8.0, 2.0, 1.0])
SPACE = Simplex(tuple("abcd"))


def two_pools(shares, doses=1.0):
    """Losses by the two-pool law (arXiv:2605.12715), not by the surrogate's own: effective tokens of a domain saturate
    after some passes, and passes harm. The first domain helps most and has the least text."""
    passes = np.maximum(shares, 0) * REPEATS
    useful = np.where(passes > 1, 1 + 4 * (1 - np.exp(-(passes - 1) / 4)), passes) / REPEATS
    effective = useful @ np.array([3.0, 1.0, 0.7, 0.4])
    harm = (np.array([0.02, 0.005, 0.005, 0.005]) * np.log1p(passes / doses) ** 2).sum(axis=1)
    return (1.5 + 0.5 * (0.05 + effective) ** -0.4 + harm)[:, None]


def runs(count=80, noise=0.002):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(DOMAINS), count)
    return weights, two_pools(weights) + noise * rng.normal(size=(count, 1))


def best(score):
    elite = SPACE.sample(2000, np.random.default_rng(1))
    elite = elite[np.argsort(score(elite))[:96]]
    return evolve(score, SPACE, elite[0], elite, np.random.default_rng(2))


@pytest.fixture(scope="module")
def law():
    weights, losses = runs()
    return SURROGATES["epochs"].fit(weights, losses, 0, Conditions(REPEATS, np.ones_like(weights)))


def test_the_best_mixture_is_found_inside(law):
    wanted = best(lambda points: two_pools(points)[:, 0])
    assert 0.02 < wanted[0] < 0.5
    found = best(lambda points: law.mean(points)[:, 0])
    assert np.abs(found - wanted).sum() < 0.15


def test_at_another_budget_it_moves(law):
    """Ten times the tokens repeat the scarce domain ten times as often: less of it is best."""
    more = law.at(10 * REPEATS)
    assert best(lambda points: more.mean(points)[:, 0])[0] < best(lambda points: law.mean(points)[:, 0])[0]
    assert law.at(REPEATS).mean(np.eye(DOMAINS)) == pytest.approx(law.mean(np.eye(DOMAINS)))


def with_and_without_doses(seed):
    """Two laws and a mixture. No run reads the scarce domain more than eight times; one law learns from dose runs too,
    which read it up to 64 times at the same shares."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet([0.5, 2, 2, 2], 200)
    weights = weights[weights[:, 0] < 0.2][:60]
    cut = weights[np.argsort(-weights[:, 0])[:12]]
    doses = np.ones_like(cut)
    doses[:, 0] = np.tile([0.5, 0.25, 0.125], 4)
    both = np.concatenate([weights, cut]), np.concatenate([np.ones_like(weights), doses])
    losses = two_pools(*both) + 0.002 * rng.normal(size=(72, 1))
    dosed = SURROGATES["epochs"].fit(both[0], losses, 0, Conditions(REPEATS, both[1]))
    alone = SURROGATES["epochs"].fit(weights, losses[:60], 0, Conditions(REPEATS, np.ones_like(weights)))
    return dosed, alone, cut[:1]


def test_doses_tell_what_repetition_costs():
    """Laws without dose runs know it less well, and say so."""
    wanted, missed = 0.02 * (np.log1p(64) ** 2 - np.log1p(8) ** 2), []
    for seed in range(4, 9):
        dosed, alone, at = with_and_without_doses(seed)
        passes, more = np.array([8.0, 64.0]), np.array([64 / (REPEATS[0] * at[0, 0]), 1, 1, 1])
        stds = [law.at(more * REPEATS).predict(at)[1].item() for law in (dosed, alone)]
        assert stds[0] < 0.8 * stds[1]
        above = [law.mean(at)[0, 0] - law.floors[0] for law in (dosed, alone)]
        lost = [level * np.diff(lost_to(law, passes)) for level, law in zip(above, (dosed, alone), strict=True)]
        missed.append(np.abs(np.ravel(lost) - wanted))
    told, guessed = np.mean(missed, axis=0)
    assert told < 0.7 * guessed


@pytest.mark.parametrize("name", ["ridge", "gp_rational"])
def test_runs_of_cut_text_do_not_reach_surrogates_of_shares(name):
    """To them they would be noise: the same shares, and another loss."""
    weights, losses = runs(40)
    doses = np.concatenate([np.ones_like(weights), np.full_like(weights[:8], 0.25)])
    both = np.concatenate([weights, weights[:8]]), np.concatenate([losses, losses[:8] + 0.5])
    fitted = SURROGATES[name].fit(*both, 0, Conditions(REPEATS, doses))
    assert fitted.mean(weights) == pytest.approx(SURROGATES[name].fit(weights, losses).mean(weights))


def lost_to(law, passes):
    """(N,) what reading the first domain so often takes away: the logarithm of the loss above the floor, with the harm
    and without."""
    shares = np.array([0.1, 0.3, 0.3, 0.3])[None]
    moved = [law.at(np.array([10 * one, 0, 0, 0])) for one in passes]
    return np.array(
        [np.log((one.mean(shares) - one.floors) / (one.unharmed(0).mean(shares) - one.floors)) for one in moved]
    )[:, 0, 0]


def test_harm_starts_at_nothing_and_grows(law):
    lost = lost_to(law, np.linspace(1e-6, 60, 20))
    assert lost[0] == pytest.approx(0, abs=1e-3)
    assert (np.diff(lost) >= 0).all() and lost[-1] > 0


@pytest.mark.parametrize("times", [1e3, 1e4, 1e6])
@pytest.mark.parametrize("dosed", [False, True])
def test_far_beyond_the_runs_harm_goes_on_as_a_line_that_nobody_is_sure_of(law, times, dosed):
    """Millions of passes cost a few bits more, each power of ten about as much; and 95% hold "no more harm" too."""
    if dosed:
        weights, _ = runs()
        doses = np.ones_like(weights)
        doses[:8, 1] = 0.25
        law = SURROGATES["epochs"].fit(weights, two_pools(weights, doses), 0, Conditions(REPEATS, doses))
    shares = np.full((1, DOMAINS), 1 / DOMAINS)
    here, std_here = law.predict(shares)
    (far, std), (further, _) = (law.at(k * times * REPEATS).predict(shares) for k in (1, 10))
    (near,) = law.at(times / 10 * REPEATS).mean(shares)
    assert here < near < far < further < here + 10
    assert further - far == pytest.approx(far - near, rel=0.5)
    assert std > 3 * std_here and far - 1.97 * std < here + 0.5


def test_where_text_is_unknown_there_is_no_harm():
    weights, losses = runs()
    some = Conditions(np.array([np.nan, 8.0, np.nan, 1.0]), np.ones_like(weights))
    found = SURROGATES["epochs"].fit(weights, losses, 0, some)
    for place in (0, 2):
        assert found.at(50 * some.repeats).unharmed(place).mean(weights) == pytest.approx(
            found.at(50 * some.repeats).mean(weights)
        )
    unknown = SURROGATES["epochs"].fit(weights, losses)
    assert unknown.mean(weights) == pytest.approx(SURROGATES["returns"].fit(weights, losses).mean(weights))


def test_a_process_around_the_law_keeps_to_it_beyond_the_runs(tmp_path):
    """Where the law holds, the process is around it, follows it to another budget, and is saved with it."""
    weights, losses = runs()
    fitted = SURROGATES["around_law"].fit(weights, losses, 0, Conditions(REPEATS, np.ones_like(weights)))
    assert fitted.law == "epochs"
    save(fitted, tmp_path / "it.npz")
    again = load(tmp_path / "it.npz")
    assert again.law == "epochs" and again.mean(weights) == pytest.approx(fitted.mean(weights))
    moved = fitted.at(10 * REPEATS)
    gap = moved.mean(weights) - fitted.mean(weights)
    law = fitted.members["epochs"]
    assert gap == pytest.approx(law.at(10 * REPEATS).mean(weights) - law.mean(weights))


def test_where_a_law_nearly_holds_it_has_a_part_in_the_mean(tmp_path):
    """A law that misses more than the process counts less; what they differ by widens the interval."""
    weights, losses = runs()
    waved = losses + 0.2 * losses.std() * np.sin(9 * weights[:, :1])
    fitted = SURROGATES["around_law"].fit(weights, waved)
    assert fitted.is_mean and 0.04 <= fitted.parts[0] < 0.38 and fitted.parts.sum() == pytest.approx(1)
    law, process = fitted.members[fitted.law], SURROGATES["gp_rational"].fit(weights, waved)
    points = np.eye(DOMAINS)
    ours = fitted.parts[0] * law.mean(points) + fitted.parts[1] * process.mean(points)
    assert fitted.mean(points) == pytest.approx(ours)
    mean, variance = fitted.moments(points)
    joint, covariance = fitted.joint(points)
    assert joint == pytest.approx(ours) and mean == pytest.approx(ours)
    assert np.einsum("maa->am", covariance) == pytest.approx(variance)
    far = fitted.parts[0] * fitted.parts[1] * (law.mean(points) - process.mean(points)) ** 2
    assert (variance >= far).all()
    save(fitted, tmp_path / "it.npz")
    assert load(tmp_path / "it.npz").mean(points) == pytest.approx(ours)


def test_fits_from_before_there_were_means_are_read():
    weights, losses = runs()
    fitted = SURROGATES["around_law"].fit(weights, losses, 0, Conditions(REPEATS, np.ones_like(weights)))
    old = {name: array for name, array in fitted.arrays().items() if name != "parts"}
    assert type(fitted).from_arrays(old).mean(weights) == pytest.approx(fitted.mean(weights))


def test_where_no_law_holds_it_is_the_process_alone():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(DOMAINS), 60)
    losses = np.sin(9 * weights[:, :1]) + np.cos(7 * weights[:, 1:2]) + 0.01 * rng.normal(size=(60, 1))
    fitted = SURROGATES["around_law"].fit(weights, losses)
    assert fitted.law is None
    process = SURROGATES["gp_rational"].fit(weights, losses)
    assert fitted.mean(weights) == pytest.approx(process.mean(weights))
    assert replace(fitted, scale=np.full(1, 2.0)).predict(weights)[1] == pytest.approx(2 * process.predict(weights)[1])
