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


def test_doses_tell_what_repetition_costs():
    """No run reads the scarce domain more than eight times. Dose runs read it up to 64 times at the same shares."""
    rng = np.random.default_rng(4)
    weights = rng.dirichlet([0.5, 2, 2, 2], 200)
    weights = weights[weights[:, 0] < 0.2][:60]
    cut = weights[np.argsort(-weights[:, 0])[:12]]
    doses = np.ones_like(cut)
    doses[:, 0] = np.tile([0.5, 0.25, 0.125], 4)
    both = np.concatenate([weights, cut]), np.concatenate([np.ones_like(weights), doses])
    losses = two_pools(*both) + 0.002 * rng.normal(size=(72, 1))
    dosed = SURROGATES["epochs"].fit(both[0], losses, 0, Conditions(REPEATS, both[1]))
    alone = SURROGATES["epochs"].fit(weights, losses[:60], 0, Conditions(REPEATS, np.ones_like(weights)))
    wanted = np.log1p(64) ** 2 - np.log1p(8) ** 2

    def missed(law):
        at = weights[:1]
        above = law.mean(at)[0, 0] - law.floors[0]
        lost = law.harm(np.array([8.0, 64.0]))[1][0, 0]
        return abs(above * (lost[1] - lost[0]) - 0.02 * wanted)

    assert missed(dosed) < 0.5 * missed(alone)


@pytest.mark.parametrize("name", ["ridge", "gp_rational"])
def test_runs_of_cut_text_do_not_reach_surrogates_of_shares(name):
    """To them they would be noise: the same shares, and another loss."""
    weights, losses = runs(40)
    doses = np.concatenate([np.ones_like(weights), np.full_like(weights[:8], 0.25)])
    both = np.concatenate([weights, weights[:8]]), np.concatenate([losses, losses[:8] + 0.5])
    fitted = SURROGATES[name].fit(*both, 0, Conditions(REPEATS, doses))
    assert fitted.mean(weights) == pytest.approx(SURROGATES[name].fit(weights, losses).mean(weights))


def test_benefit_and_harm_start_at_nothing(law):
    gained, lost = law.harm(np.linspace(0, 60, 20))
    assert gained.shape == lost.shape == (1, DOMAINS, 20)
    assert gained[:, :, 0] == pytest.approx(0) and lost[:, :, 0] == pytest.approx(0)
    assert (np.diff(gained) >= 0).all() and (np.diff(lost) >= 0).all()


def test_where_text_is_unknown_there_is_no_harm():
    weights, losses = runs()
    some = Conditions(np.array([np.nan, 8.0, np.nan, 1.0]), np.ones_like(weights))
    found = SURROGATES["epochs"].fit(weights, losses, 0, some)
    _, lost = found.harm(np.array([50.0]))
    assert lost[0, [0, 2], 0].tolist() == [0, 0]
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


def test_where_no_law_holds_it_is_the_process_alone():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(DOMAINS), 60)
    losses = np.sin(9 * weights[:, :1]) + np.cos(7 * weights[:, 1:2]) + 0.01 * rng.normal(size=(60, 1))
    fitted = SURROGATES["around_law"].fit(weights, losses)
    assert fitted.law is None
    process = SURROGATES["gp_rational"].fit(weights, losses)
    assert fitted.mean(weights) == pytest.approx(process.mean(weights))
    assert replace(fitted, scale=np.full(1, 2.0)).predict(weights)[1] == pytest.approx(2 * process.predict(weights)[1])
