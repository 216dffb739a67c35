"""What a table cannot be used for is told with it: runs that diverged, losses on other text, mixtures that repeat."""

import pytest

from engine.core.errors import Problem
from engine.importing import read_runs
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


def test_names_of_runs_that_stand_twice_are_told(tmp_path):
    """They tell most rows apart, so nobody expects that runs have no names; of seeds and steps names repeat."""
    table = {"run": [0, 0, *range(2, RUNS)], **MIX, "val_loss": LOSSES}
    found = runs_of(written(tmp_path / "runs.csv", table))
    assert "'run' names no runs, as '0' stands in row 2 of runs.csv and in row 3 of runs.csv." in found.notes
    seeds = {"run": [k // 2 for k in range(RUNS)], "seed": [k % 2 for k in range(RUNS)], **MIX, "val_loss": LOSSES}
    found = reading(written(tmp_path / "seeds.csv", seeds))
    assert not any("names no runs" in note for note in found.notes)


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


@pytest.mark.parametrize("name", ["train/loss_last", "train_loss.min", "best_training_loss", "summary.train/loss"])
def test_aggregates_of_the_training_loss_are_none_where_others_are(tmp_path, name):
    found = reading(written(tmp_path / "a.csv", {**RUN, **MIX, name: LOSSES, "eval/loss_last": LOSSES[::-1]}))
    assert [one.metric for one in found.mapping.objectives] == ["eval/loss_last"] and not found.questions
    assert [one.role for one in found.columns if one.column == name] == ["training"]


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


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"web": 0.5, "code": 0.5}, "web is 0.5, code is 0.5"),
        ({"lr": 0.1, "web": 70, "code": 20, "books": 10}, "web is 70, code is 20, books is 10"),
    ],
)
def test_weights_that_never_vary_are_refused_by_that(tmp_path, weights, said):
    table = {**RUN, **{name: [value] * RUNS for name, value in weights.items()}, "val_loss": LOSSES}
    with pytest.raises(Problem, match=f"its weights never vary. {said} in every run.*Add runs of other mixtures"):
        reading(written(tmp_path / "runs.csv", table))
    assert runs_of(tmp_path / "runs.csv", weight_columns=["web", "code", *(["books"] * ("books" in weights))])


def test_the_kind_of_runs_that_was_measured_is_offered_first(tmp_path):
    """Rows of a first phase have no loss: taken first, the preview would blame the loss."""
    rows = ["run,phase,web,code,books,val_loss"]
    for i in range(RUNS):
        rows += [f"{i},1,{','.join(map(str, SHARES[i]))},"]
        rows += [f"{i},2,{','.join(map(str, SHARES[-1 - i]))},{LOSSES[i]}"]
    path = written(tmp_path / "runs.csv", "\n".join(rows))
    assert [one.id for one in reading(path).questions] == ["long", "shares"], "phases of one run, until it is said"
    found = reading(path, answers={"long": "rows"})
    assert [one.id for one in found.questions][1:] == ["alike"] and next(iter(found.questions[1].options)) == "phase=2"


@pytest.mark.parametrize(
    "beside",
    [
        *("val_loss_runs", "val_loss_step", "best_val_loss_step", "val_loss_n", "val_loss_count", "val_loss_seed"),
        *("val_loss_epoch", "val_loss.iter", "eval/loss_seconds", "n_val_loss", "step_of_best_val_loss"),
        *("summary.val_loss_steps", "val-loss-epochs", "acc_samples", "tokens_to_val_loss", "val_loss_time"),
    ],
)
def test_what_is_told_beside_a_metric_is_none(tmp_path, beside):
    """A count, a step, a seed or a time; and it is no seed, step or budget of the run either."""
    counts = [100 + i * i for i in range(RUNS)]
    found = reading(written(tmp_path / "runs.csv", {**RUN, **MIX, "val_loss": LOSSES, beside: counts}))
    assert [one.metric for one in found.mapping.objectives] == ["val_loss"] and not found.questions
    (role,) = [one.role for one in found.columns if one.column == beside]
    assert role in ("beside", "about", "time")
    assert {found.mapping.seed, found.mapping.n_tokens, found.mapping.model_size} == {None}


@pytest.mark.parametrize("name", ["loss_rank", "val_loss_rank", "rank_of_loss", "rank_val_loss", "acc_percentile"])
def test_where_a_run_stands_among_others_is_no_metric_even_alone(tmp_path, name):
    """With ties, too: their ranks are halves."""
    ranks = [1.5, 1.5, *range(3, RUNS + 1)]
    found = reading(written(tmp_path / "runs.csv", {**RUN, **MIX, "bleu": LOSSES, name: ranks}))
    assert [one.metric for one in found.mapping.objectives] == ["bleu"]
    (role,) = [one.role for one in found.columns if one.column == name]
    assert role == "beside"


@pytest.mark.parametrize("name", ["val_loss_step", "val_loss_epoch", "docs_loss", "loss_samples", "f1_samples"])
def test_a_loggers_loss_of_a_step_or_an_epoch_is_one(tmp_path, name):
    """Lightning calls a loss itself so: its numbers are no whole ones."""
    found = reading(written(tmp_path / "runs.csv", {**RUN, **MIX, name: LOSSES}))
    assert [one.metric for one in found.mapping.objectives] == [name]


@pytest.mark.parametrize(
    ("name", "low"),
    [("val_loss", 0.0), ("val_loss", -1.5), ("web_bpb", 0.0), ("ppl", 1.0), ("ppl", 0.3), ("word_error", -0.1)],
)
def test_a_loss_that_cannot_be_is_named(tmp_path, name, low):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, name: [low, *LOSSES[1:]]})
    (told,) = [note for note in runs_of(path).notes if note.startswith("No loss or error can be so low")]
    assert f"{name} is {low:g} in row 2" in told


@pytest.mark.parametrize(("name", "fine"), [("word_error", 0.0), ("log_likelihood", -3.0), ("acc", 0.0), ("ppl", 1.1)])
def test_a_score_or_an_error_of_nothing_can_be(tmp_path, name, fine):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, name: [fine, *LOSSES[1:]]})
    assert not any("can be so low" in note for note in runs_of(path).notes)


@pytest.mark.parametrize("name", ["acc", "mmlu/exact_match", "win_rate", "pass@1"])
def test_a_score_that_stands_for_a_missing_one_is_named(tmp_path, name):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, name: [-1, *(loss / 10 for loss in LOSSES[1:])]})
    assert any(note.startswith(f"No score can be so low: {name} is -1 in row 2") for note in runs_of(path).notes)


@pytest.mark.parametrize("name", ["mcc", "normalized_acc", "reward", "acc_diff"])
def test_a_score_below_0_can_be(tmp_path, name):
    path = written(tmp_path / "runs.csv", {**RUN, **MIX, "val_loss": LOSSES, name: [-1, *LOSSES[1:]]})
    assert not any("can be so low" in note for note in runs_of(path).notes)


@pytest.mark.parametrize(
    ("name", "values", "given"),
    [
        ("tokenizer", ["bytes", "bpe"], {}),
        ("optimizer_name", ["adam", "muon"], {}),
        ("model_size", [10**6, 2 * 10**6], {"model_size": ""}),
        ("n_tokens", [10**8, 2 * 10**8], {"n_tokens": ""}),
    ],
)
def test_what_differs_between_runs_and_is_not_read_is_told(tmp_path, name, values, given):
    """Also where somebody said that a column is no size: it is not listed as read."""
    cells = [values[place % 2] for place in range(len(LOSSES))]
    found = reading(written(tmp_path / "runs.csv", {**RUN, **MIX, name: cells, "val_loss": LOSSES}), **given)
    assert not next(one for one in found.columns if one.column == name).read
    assert any(f"nothing takes into account: {name} (2 values)" in note for note in read_runs(found).notes)
