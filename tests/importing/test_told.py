"""What a table cannot be used for is told with it: runs that diverged, losses on other text, mixtures that repeat."""

import pytest

from engine.core.errors import Problem
from tests.importing.made import LOSS, MIX, RUN, RUNS, SHARES, under
from tests.importing.reading import reading, runs_of, written

LOSSES = LOSS.tolist()


@pytest.mark.parametrize("far", [1e9, -50.0])
def test_a_run_far_from_all_others_is_named(tmp_path, far):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, "val_loss": [*LOSSES[:-1], far]})
    (told,) = [note for note in runs_of(path).notes if note.startswith("Far from all other runs")]
    assert f"row {RUNS + 1}" in told and "val_loss" in told
    usual = written(tmp_path / "usual.csv", {**RUN, **MIX, "val_loss": LOSSES})
    assert not any(note.startswith("Far") for note in runs_of(usual).notes)


@pytest.mark.parametrize("huge", [1e200, -1e308])
def test_a_value_too_large_to_compute_with_is_refused_by_its_place(tmp_path, huge):
    """Its square would be infinite: the metric's spread, too, and what is divided by that would not count at all."""
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, "val_loss": [*LOSSES[:-1], huge]})
    with pytest.raises(Problem, match=rf"row {RUNS + 1}.*'val_loss'.*too large to compute with"):
        runs_of(path)


def test_scales_of_any_kind_are_told_in_a_number_that_can_be_read(tmp_path):
    table = {
        **RUN,
        **MIX,
        "a_loss": LOSSES,
        "b_loss": [1e90 * x for x in LOSSES],
        "c_loss": [1e-90 * x for x in LOSSES],
    }
    (told,) = [note for note in runs_of(written(tmp_path / "runs.csv", table)).notes if note.startswith("Wildly")]
    assert "varies 1e+180 times as much" in told


def test_losses_on_each_runs_own_mixture_are_told_where_they_are_all_there_is(tmp_path):
    alone = reading(written(tmp_path / "runs.csv", {**RUN, **MIX, "train_loss": LOSSES}))
    assert any("no mixtures: import losses" in note for note in alone.notes)
    both = reading(written(tmp_path / "both.csv", {**RUN, **MIX, "train_loss": LOSSES, "val_loss": LOSSES}))
    assert not any("no mixtures: import losses" in note for note in both.notes)


@pytest.mark.parametrize(
    ("different", "said"),
    [
        (1, "All runs are of one mixture"),
        (2, "Fewer different mixtures (2) than domains (3)"),
        (5, "5 different mixtures"),
    ],
)
def test_different_mixtures_are_counted_and_not_runs(tmp_path, different, said):
    rows = [SHARES[i % different].tolist() for i in range(RUNS)]
    shares = under("w_", {name: [row[i] for row in rows] for i, name in enumerate(MIX)})
    table = {**RUN, **shares, "seed": list(range(RUNS)), "val_loss": LOSSES}
    assert any(note.startswith(said) for note in runs_of(written(tmp_path / "runs.csv", table)).notes)


def test_the_kind_of_runs_that_was_measured_is_offered_first(tmp_path):
    """Rows of a first phase have no loss: taken first, the preview would blame the loss."""
    rows = ["run,phase,web,code,books,val_loss"]
    for i in range(RUNS):
        rows += [f"{i},1,{','.join(map(str, SHARES[i]))},"]
        rows += [f"{i},2,{','.join(map(str, SHARES[-1 - i]))},{LOSSES[i]}"]
    found = reading(written(tmp_path / "runs.csv", "\n".join(rows)))
    assert [one.id for one in found.questions] == ["alike"] and next(iter(found.questions[0].options)) == "phase=2"
