"""The ledger: predictions are written down before their runs, kept with a hash, and compared with what was measured."""

import json

import numpy as np
import pytest

from engine.core.workspace import Workspace
from engine.jobs.ledger import hash_of
from engine.review import acts
from engine.studies import confirmations, ledger, proposals
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.submissions import submit_runs
from engine.surrogates.prediction import difference, predict
from store import confirm_runs, studies
from store.database import Store
from store.from_journals import rebuild
from tests.support.running import copied

pytestmark = pytest.mark.slow
DOMAINS = ["digits", "prose", "python"]


@pytest.fixture
def desk(finished, tmp_path):
    """The finished study, to change; nothing is trained, runs end as these tests say."""
    opened = Store(Workspace.open(copied(finished, tmp_path / "workspace")))
    opened.ingest()
    yield opened
    opened.close()


def small(desk: Store) -> studies.Study:
    return studies.get(desk, "Small")


def end(desk: Store, losses: dict[str, list[float]]) -> None:
    """End queued runs with these losses, as their jobs would."""
    facts = {"tokens": 9, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 1, "shares": [1, 0, 0]}
    for run, values in losses.items():
        job = desk.rows("SELECT job FROM runs WHERE id = ?", [run])[0][0]
        measured = dict(zip(DOMAINS, values, strict=True))
        line = {"kind": "run.finished", "t": 1.0, "run": run, "losses": measured, "losses_se": measured, **facts}
        with open(desk.spool.find(job) / "events.jsonl", "ab") as journal:
            journal.write(json.dumps(line).encode() + b"\n")
    desk.ingest()


def kinds_written(desk: Store) -> list[str]:
    """The kinds of the owner's lines, in their order."""
    lines = desk.workspace.root.joinpath("journal", "owner", "events.jsonl").read_bytes().splitlines()
    return [json.loads(line)["kind"] for line in lines]


def test_a_confirmation_is_predicted_before_it_is_queued(desk):
    study = small(desk)
    plan = confirmations.plan_confirmation(desk, study, "best", times=1, seeds=2, spread=0)
    ids = confirmations.confirm(desk, study, plan)
    written = kinds_written(desk)
    assert written.index("predictions.registered") < len(written) - written[::-1].index("runs.added") - 1
    found = ledger.entries(desk, study.id)
    fit = fit_of(desk, study)
    fitted = [one.name for one in fit.league.standings if not one.problem]
    assert {(one.registered.prediction.run, one.registered.prediction.surrogate) for one in found} == {
        (run, name) for run in ids for name in fitted
    }
    assert all(one.registered.whole and one.measured is None and one.error is None for one in found)
    mine = [one for one in found if one.registered.prediction.surrogate == fit.name]
    expected = predict(fit.surrogate, mine[0].registered.point, aggregate_of(desk, study).weights)
    assert mine[0].predicted == pytest.approx(expected.aggregate) and mine[0].std == pytest.approx(
        expected.aggregate_std
    )
    end(desk, {ids[0]: [1.0, 2.0, 4.0]})
    (one,) = [one for one in ledger.entries(desk, study.id) if one.measured is not None and _by(one, fit.name)]
    assert one.measured == pytest.approx(3.0), "digits do not count"
    assert one.error == pytest.approx(one.predicted - 3.0) and one.deviations == pytest.approx(-one.error / one.std)


def _by(one: ledger.Entry, surrogate: str) -> bool:
    return one.registered.prediction.surrogate == surrogate


def test_at_another_size_the_difference_to_the_baseline_is_compared(desk):
    study = small(desk)
    plan = confirmations.plan_confirmation(desk, study, "best", times=2, seeds=2, spread=0)
    confirmations.confirm(desk, study, plan)
    rows = {(one.label, one.seed): one.id for one in confirm_runs.confirmations(desk, study.id)}
    first, second = sorted({seed for _, seed in rows})
    base = next(iter(frame_of_study(study).baselines))
    end(desk, {rows[base, first]: [1.0, 5.0, 5.0], rows[base, second]: [1.0, 7.0, 7.0]})
    assert all(one.measured is None for one in ledger.entries(desk, study.id))
    end(desk, {rows["best predicted", second]: [9.0, 6.0, 6.5]})
    fit, aggregate = fit_of(desk, study), aggregate_of(desk, study)
    (one,) = [one for one in ledger.entries(desk, study.id) if one.measured is not None and _by(one, fit.name)]
    assert one.of == "difference" and one.measured == pytest.approx(-0.75), "against the run of the same seed"
    gap = difference(fit.surrogate, one.registered.point, frame_of_study(study).baselines[base], aggregate.weights)
    assert (one.predicted, one.std) == pytest.approx((gap.aggregate, gap.aggregate_std))


def test_runs_from_elsewhere_and_next_runs_are_predicted_by_a_fit_that_lacks_them(desk):
    study = small(desk)
    before = fit_of(desk, study)
    posted = {"id": "theirs", "weights": {"python": 0.5, "prose": 0.5}, "losses": {"prose": 4.0, "python": 3.0}}
    submit_runs(desk, "Small", [posted])
    submit_runs(desk, "Small", [posted])
    (one,) = ledger.entries(desk, study.id)
    assert one.registered.prediction.fit == before.fingerprint and one.registered.prediction.origin == "submitted"
    assert one.measured == pytest.approx(3.5)
    (run,) = proposals.start_proposed(desk, small(desk), np.array([[0.3, 0.2, 0.5]])).runs
    again = proposals.start_proposed(desk, small(desk), np.array([[0.3, 0.2, 0.5]]))
    assert again == ([run], True), "asked twice is one"
    mine = [one for one in ledger.entries(desk) if one.registered.prediction.run == run]
    assert {one.registered.prediction.origin for one in mine} == {"proposed"} and len(mine) > 1


def test_a_nomination_is_a_prediction(desk):
    study = small(desk)
    point = np.array([0.05, 0.35, 0.6])
    candidate = acts.nominate(desk, study, point, "Theirs", "a hunch")
    plan = confirmations.plan_confirmation(desk, study, "Theirs", times=1, seeds=1, spread=0)
    confirmations.confirm(desk, study, plan)
    said = [one.registered.prediction for one in ledger.entries(desk) if one.registered.prediction.candidate]
    assert [one.candidate for one in said] == [candidate]
    assert said[0].predicted_at < desk.rows("SELECT max(t) FROM predictions")[0][0] and said[0].predicted_by
    same = [one.registered.prediction for one in ledger.entries(desk) if one.registered.prediction.run == said[0].run]
    assert len(same) == len({one.surrogate for one in same}), "the fit behind the nomination does not count twice"


def test_what_is_changed_afterwards_no_longer_fits_its_hash_and_the_journal_restores_it(desk, tmp_path):
    study = small(desk)
    proposals.start_proposed(desk, study, np.array([[0.3, 0.2, 0.5]]))
    (changed, *_) = [one.registered.prediction for one in ledger.entries(desk)]
    assert hash_of(changed.to_dict()) == changed.hash
    with desk.transaction() as cursor:
        cursor.execute("UPDATE predictions SET aggregate = aggregate - 0.1 WHERE hash = ?", [changed.hash])
    assert [one.registered.whole for one in ledger.entries(desk)].count(False) == 1
    rebuild(desk.workspace, tmp_path / "again.duckdb")
    again = Store(desk.workspace, tmp_path / "again.duckdb")
    assert all(one.registered.whole for one in ledger.entries(again))
    again.close()


def test_records_count_points_once_and_tell_optimism(desk):
    study = small(desk)
    plan = confirmations.plan_confirmation(desk, study, "best", times=1, seeds=3, spread=1)
    confirmations.confirm(desk, study, plan)
    queued = [one.registered for one in ledger.entries(desk) if _by(one, fit_of(desk, study).name)]
    measured = {}
    for place, one in enumerate(queued):
        value = one.prediction.aggregate + (2.5 + 0.01 * (place % 3)) * one.prediction.aggregate_std
        measured[one.prediction.run] = [9.0, value, value]
    end(desk, measured)
    found = [one for one in ledger.entries(desk) if _by(one, fit_of(desk, study).name)]
    (one,) = ledger.records(found, "surrogate")
    assert (one.runs, one.points) == (len(queued), len(plan.mixtures))
    assert one.in_80 == one.in_95 == 0 and one.optimism == pytest.approx(2.51, abs=0.02) and one.claims
    (alone,) = ledger.records(found[:1], "surrogate")
    assert alone.half is None and not alone.claims, "one run proves nothing"
