"""One metric in several columns: which ones count is asked, and copies are left out with a note."""

import pytest

from engine.core.errors import Problem
from tests.importing.made import LOSS, MIX, RUN
from tests.importing.reading import reading, runs_of, written

LOSSES = LOSS.tolist()
EARLIER = [loss + 1 for loss in LOSSES]


def table(**columns):
    return {**RUN, **MIX, **columns}


@pytest.mark.parametrize(
    ("early", "late", "option"),
    [
        ("loss@1000", "loss@20000", "20000"),
        ("val_loss_step1000", "val_loss_step20000", "step20000"),
        ("loss_500M_tokens", "loss_2B_tokens", "2B"),
        ("70M/val_loss", "1B/val_loss", "1B"),
        ("ckpt-9/loss", "ckpt-10/loss", "ckpt-10"),
        ("val_loss_seed0", "val_loss_seed1", "seed1"),
        ("acc_25M", "acc_0.1B", "0.1B"),
        ("best_val_loss", "final_val_loss", "final"),
        ("val_loss@1000", "val_loss", "without"),
        ("eval/loss.min", "eval/loss", "without"),
        ("eval/loss/min", "eval/loss", "without"),
        ("eval/best_loss", "eval/loss", "without"),
        ("val_loss (min)", "val_loss", "without"),
        ("user_attrs_best_val_loss", "user_attrs_val_loss", "without"),
        ("acc_max", "acc", "without"),
        ("eval/loss.mean", "eval/loss.last", "last"),
    ],
)
def test_it_is_asked_which_one_counts(tmp_path, early, late, option):
    path = written(tmp_path / "runs.csv", table(**{early: EARLIER, late: LOSSES}))
    (question,) = reading(path).questions
    first, *_, last = question.options
    assert (question.id, first, last) == ("variants", option, "all")
    chosen = runs_of(path, answers={"variants": option})
    assert [one.metric for one in chosen.mapping.objectives] == [late] and chosen.values[:, 0].tolist() == LOSSES
    assert len(runs_of(path, answers={"variants": "all"}).mapping.objectives) == 2
    assert len(runs_of(path, metric_columns=[early, late]).mapping.objectives) == 2, "whoever names them means them"


@pytest.mark.parametrize(
    ("name", "beside", "how"),
    [
        ("val_loss_max", "val_loss", "largest"),
        ("val_loss.first", "val_loss.last", "first"),
        ("acc/min", "acc", "least"),
        ("initial_loss", "loss", "first"),
        ("val_loss_ema", "val_loss", "smoothed"),
    ],
)
def test_an_aggregate_that_is_no_result_is_left_out_by_its_name(tmp_path, name, beside, how):
    found = reading(written(tmp_path / "runs.csv", table(**{name: EARLIER, beside: LOSSES})))
    assert [one.metric for one in found.mapping.objectives] == [beside] and not found.questions
    (told,) = [one for one in found.columns if one.column == name]
    assert told.role == "aggregate" and how in told.reason and repr(beside) in told.reason


def test_an_aggregate_alone_is_read_and_named(tmp_path):
    found = reading(written(tmp_path / "runs.csv", table(**{"eval/loss.min": LOSSES})))
    assert [one.metric for one in found.mapping.objectives] == ["eval/loss.min"]
    assert any("eval/loss.min (the least value in it)" in note for note in found.notes)


@pytest.mark.parametrize(
    "two",
    [
        ("first_token_loss", "last_token_loss"),
        ("first_half_acc", "last_half_acc"),
        ("max_len_acc", "acc_len"),
        ("last_16_tokens_loss", "tokens_loss"),
        ("eval/last_layer_acc", "eval/first_layer_acc"),
    ],
)
def test_a_part_of_a_text_or_a_model_is_no_aggregate(tmp_path, two):
    columns = {name: [value + k for value in LOSSES] for k, name in enumerate(two)}
    found = reading(written(tmp_path / "runs.csv", table(**columns)))
    assert not any(one.role in ("aggregate", "noise") for one in found.columns), "read, or asked about"
    answers = {one.id: "all" for one in found.questions}
    assert {one.metric for one in reading(tmp_path / "runs.csv", answers=answers).mapping.objectives} == {*two}


@pytest.mark.parametrize("beside", [{"val_loss_std": EARLIER, "val_loss": LOSSES}, {"val_loss_mean": LOSSES}])
def test_the_least_of_several_seeds_is_no_metric_and_no_spread(tmp_path, beside):
    found = reading(written(tmp_path / "runs.csv", table(val_loss_min=EARLIER, **beside)))
    assert len(found.mapping.objectives) == 1 and not found.questions
    assert [one.role for one in found.columns if one.column == "val_loss_min"] == ["about"]


@pytest.mark.parametrize(
    ("beside", "name", "role"),
    [
        ("mean_loss", "max_loss", "about"),
        ("avg_acc", "min_acc", "about"),
        ("acc", "upper_acc", "about"),
        ("mean_loss", "loss_std", "noise"),
        ("acc", "acc_ci95", "noise"),
        ("acc", "acc ±", "noise"),
        ("half_acc", "first_half_acc", None),
        ("len_acc", "max_len_acc", None),
        ("half_acc", "best_half_acc", None),
        ("acc", "sem_eval_acc", None),
        ("loss", "loss_sem", "noise"),
        ("acc", "std_lib_acc", None),
    ],
)
def test_a_spread_is_called_one_and_another_statistic_is_not(tmp_path, beside, name, role):
    found = reading(written(tmp_path / "runs.csv", table(**{beside: LOSSES, name: EARLIER})))
    (told,) = [one for one in found.columns if one.column == name]
    assert told.role == role if role else told.role in ("metric", "other") and "spread" not in told.reason
    answers = {one.id: "all" for one in found.questions}
    metrics = {one.metric for one in reading(tmp_path / "runs.csv", answers=answers).mapping.objectives}
    assert metrics == ({beside} if role else {beside, name})


def test_several_metrics_are_chosen_at_once_and_others_stay(tmp_path):
    columns = {
        f"{name}_{size}": EARLIER if size == "1B" else LOSSES for name in ("arc_acc", "hs_acc") for size in ("1B", "2B")
    }
    columns = {name: [cell + k / 9 for cell in cells] for k, (name, cells) in enumerate(columns.items())}
    path = written(tmp_path / "runs.csv", table(**columns, val_loss=LOSSES))
    chosen = runs_of(path, answers={"variants": "1B"})
    assert [one.metric for one in chosen.mapping.objectives] == ["arc_acc_1B", "hs_acc_1B", "val_loss"]


def test_the_column_that_sums_them_up_comes_first(tmp_path):
    seeds = {"val_loss_seed0": EARLIER, "val_loss_seed1": [loss + 2 for loss in LOSSES]}
    found = reading(written(tmp_path / "runs.csv", table(val_loss=LOSSES, **seeds)))
    assert list(found.questions[0].options) == ["without", "seed1", "seed0", "all"]
    assert [one.metric for one in found.mapping.objectives] == ["val_loss"]


@pytest.mark.parametrize("names", [("pass@1", "pass@10"), ("gsm1k_acc", "gsm8k_acc"), ("c4_loss", "c5_loss")])
def test_other_numbers_are_other_metrics(tmp_path, names):
    path = written(tmp_path / "runs.csv", table(**dict(zip(names, (EARLIER, LOSSES[::-1]), strict=True))))
    assert reading(path).questions == () and len(runs_of(path).mapping.objectives) == 2


def test_a_copy_counts_once_and_that_is_noted(tmp_path):
    path = written(tmp_path / "runs.csv", table(val_loss=LOSSES, val_loss_mean=LOSSES, acc=EARLIER))
    runs = runs_of(path)
    assert [one.metric for one in runs.mapping.objectives] == ["val_loss", "acc"]
    assert any("the same as another metric in every run: val_loss_mean (val_loss)" in note for note in runs.notes)
    with pytest.raises(Problem, match="never varies"):
        runs_of(
            written(tmp_path / "same.csv", table(a_loss=[1.0] * len(LOSSES), b_loss=[1.0] * len(LOSSES), acc=EARLIER))
        )


def test_a_mean_of_the_others_counts_once_and_that_is_noted(tmp_path):
    columns = {"web_loss": LOSSES, "code_loss": EARLIER, "loss_avg": [round(loss + 0.5, 3) for loss in LOSSES]}
    runs = runs_of(written(tmp_path / "runs.csv", table(**columns)))
    assert [one.metric for one in runs.mapping.objectives] == ["web_loss", "code_loss"]
    assert any("the mean of the other metrics in every run: loss_avg" in note for note in runs.notes)
    columns["loss_avg"][3] += 0.1
    assert len(runs_of(written(tmp_path / "other.csv", table(**columns))).mapping.objectives) == 3


TURNED = {
    "neg_loss": True,
    "-val_loss": True,
    "negative_log_likelihood": False,
    "neg_logprob": False,
    "eval/neg_mse": True,
}


@pytest.mark.parametrize("name", TURNED)
def test_what_is_negated_is_better_the_other_way_round(tmp_path, name):
    values = [-loss for loss in LOSSES] if TURNED[name] else LOSSES
    runs = runs_of(written(tmp_path / "runs.csv", table(**{name: values})))
    assert [one.higher_is_better for one in runs.mapping.objectives] == [TURNED[name]]
    assert not any("so low" in note for note in runs.notes)


def test_losses_below_zero_are_asked_about(tmp_path):
    path = written(tmp_path / "runs.csv", table(val_loss=[-loss for loss in LOSSES]))
    with pytest.raises(Problem, match=r"'better'.*val_loss"):
        runs_of(path)
    assert runs_of(path, answers={"better": "higher"}).mapping.objectives[0].higher_is_better
    excess = runs_of(written(tmp_path / "excess.csv", table(excess_loss=[loss - 2.6 for loss in LOSSES])))
    assert not excess.mapping.objectives[0].higher_is_better and not any("so low" in note for note in excess.notes)
