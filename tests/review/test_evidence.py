"""What speaks for a candidate: confirmations with several seeds, comparisons side by side, the text that got worse."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus import windows
from engine.review import compare, flips
from store import confirm_runs
from tests.support.reviewing import put
from tests.support.running import answer, said

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def confirmed(desk):
    """Two candidates of the desk that were confirmed from the command line; their ids."""
    names = ("Confirmed one", "Confirmed two")
    ids = [
        answer(desk, "nominate", "Small", name, "--because", "x", *points)["candidate"]
        for name, points in zip(
            names,
            (("--candidate", "best"), ("--point", "digits=0.1", "--point", "prose=0.6", "--point", "python=0.3")),
            strict=True,
        )
    ]
    found = [answer(desk, "confirm-candidate", one, "--times", "2", "--seeds", "2", "--wait") for one in ids]
    return ids, found


def test_a_confirmation_shows_predicted_against_measured(desk, confirmed):
    (one, other), (first, second) = confirmed
    own, larger = first
    assert own["own"] and not larger["own"] and larger["fidelity"]["layers"] == 2
    assert own["done"] == own["runs"] == larger["done"] == 8
    assert set(own["points"]) == {"candidate", "natural", "uniform", "unimax"}
    frozen = answer(desk, "candidate", one)["frozen"]
    assert own["gap"]["mean"] == pytest.approx(
        np.subtract(own["points"]["candidate"]["mean"], frozen["predicted"]["mean"]), abs=1e-9
    )
    assert own["gap"]["outside"] == (abs(own["gap"]["aggregate"]) > own["gap"]["aggregate_half"])
    assert larger["gap"] is None and set(larger["differences"]) == {"natural", "uniform", "unimax"}
    assert all(gap["measured_half"] > 0 for gap in larger["differences"].values())
    assert second[0]["points"]["natural"]["mean"] == own["points"]["natural"]["mean"], "baselines are trained once"
    again = answer(desk, "confirm-candidate", other, "--times", "2", "--seeds", "2")
    assert again["runs"] == [], "what was trained is not trained again"
    row = next(row for row in answer(desk, "candidates", "Small")["candidates"] if row["id"] == one)
    assert row["measured"] == 4


def test_candidates_side_by_side(desk, confirmed):
    (one, other), _ = confirmed
    found = answer(desk, "compare", one, other, "--against", "natural", "--tokens", "1e6")
    assert found["same_fit"] and found["tokens"] == 1e6 and found["reference"]["name"] == "natural"
    for row in found["rows"]:
        gap, std = np.array(row["difference"]["mean"]), np.array(row["difference"]["std"])
        assert row["difference"]["inside_noise"] == (abs(gap) <= 1.96 * std).tolist()
        assert gap == pytest.approx(np.subtract(row["mean"], found["reference"]["mean"]), abs=1e-9)
        assert 0 < row["unique_tokens"] <= 1e6 and min(row["epochs"]) >= 0
        small, large = row["measured"]
        assert small["half"] > 0 and small["inside_noise"] == (abs(small["difference"]) <= small["half"])
        assert large["fidelity"]["layers"] == 2
        own, larger = row["flips"]
        assert own["seeds"] == 2 and larger["fidelity"]["layers"] == 2
        for domain in own["domains"]:
            assert 0 <= domain["worse"] <= domain["windows"] == 64
            assert all(example["change"] > 0 and example["text"] for example in domain["examples"])
    against = answer(desk, "compare", one, other, "--against", other)
    assert [row["difference"] is None for row in against["rows"]] == [False, True]
    assert "choose 2 to 6" in said(desk, "compare", one)
    assert "choose one of" in said(desk, "compare", one, other, "--against", "nobody")


def test_predictions_of_different_fits_are_taken_as_independent(open_desk):
    store, study = open_desk
    one, other = put(store, study, "By one fit"), put(store, study, "By another", (0.1, 0.5, 0.4), surrogate="ridge")
    found = compare.compare(store, [one, other], other)
    assert not found["same_fit"]
    apart = found["rows"][0]["difference"]["std"]
    assert apart == pytest.approx(np.hypot(found["rows"][0]["std"], found["rows"][1]["std"]))


def test_the_text_of_a_flip_is_the_window_that_was_measured(open_desk, confirmed):
    store, study = open_desk
    run = next(run for run in confirm_runs.confirmations(store, study.id) if run.losses is not None)
    kept = windows.load(windows.file_of(store.workspace.root, run.id))
    assert (kept.context, kept.tokens) == (32, 2048) and set(kept.bits) == set(study.domains)
    for domain, loss in zip(study.domains, run.losses, strict=True):
        assert kept.bits[domain].mean() == pytest.approx(loss, abs=0.01), "bytes: all windows weigh the same"
    text = flips.texts(store, "small", kept)
    assert len(text("python", 3)) >= 30 and text("nothing", 0) is None


def test_flips_are_counted_beyond_the_noise():
    """Known answer: 10 of 400 windows got worse by far more than the seeds' noise, the others improved."""
    rng = np.random.default_rng(3)
    truth = np.full(400, -0.2)
    truth[:10] = 0.5
    change = truth + rng.normal(0, 0.05, (3, 400)) + rng.normal(0, 0.3, (3, 1))
    found = flips.of_domain("web", change - change.mean() + truth.mean(), str)
    assert found["change"] < 0 and found["worse"] == 10 and found["windows"] == 400
    low, high = found["worse_interval"]
    assert 4 < low < 10 < high < 19 and flips.count_interval(0, 20)[0] == 0 and flips.count_interval(20, 20)[1] == 20
    assert {int(one["place"]) for one in found["examples"]} <= set(range(10))
    alone = flips.of_domain("web", change[:1], str)
    assert alone["worse"] is alone["worse_interval"] is None and alone["higher"] >= 0


def test_windows_keep_a_bounded_number(tmp_path):
    bits = np.random.default_rng(0).random(100_000)
    windows.save(tmp_path / "a.npz", 64, 6_400_000, {"web": bits})
    found = windows.load(tmp_path / "a.npz")
    assert len(found.bits["web"]) == windows.MOST and found.count == {"web": 100_000}
    assert found.bits["web"] == pytest.approx(bits[windows.kept_places(100_000)], abs=1e-3)
    assert (tmp_path / "a.npz").stat().st_size < 3 * windows.MOST
    (tmp_path / "a.npz").write_bytes(b"half")
    with pytest.raises(Problem, match="Cannot read the windows of a"):
        windows.load(tmp_path / "a.npz")
