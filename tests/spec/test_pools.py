"""How much text there is: given, counted, or unknown behind a sample; what follows the counts, and what is said."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.recipes.base import Recipe
from engine.recipes.olmix import FORMAT as OLMIX
from engine.recipes.plain import CSV
from engine.space.baselines import epochs
from engine.spec.fidelity import PRESETS
from engine.spec.frame import SAMPLED, frame_of
from engine.spec.repetition import design_centre, dose_runs, kept_fractions, notes_on_repetition
from engine.spec.study import StudySpec, chosen_domains, plan_runs

DOMAINS = ["web", "code", "books"]
MB = 1e6


def facts(tokens: float, whole: bool) -> dict:
    return {"train_tokens": tokens, "train_documents": 9, "whole": whole}


def manifest(*whole: str) -> dict:
    """A corpus of a megabyte per domain; those of `whole` were read to their end."""
    return {"fingerprint": "x", "domains": {name: facts(MB, name in whole) for name in DOMAINS}}


def spec(**settings) -> StudySpec:
    return StudySpec(name="x", fidelity=PRESETS["demo"], **settings)


def frame(corpus: dict, **settings):
    return frame_of(spec(**settings), DOMAINS, corpus)


def test_given_counts_win_and_all_that_is_asked_of_text_follows():
    given = {"web": 8e8, "code": 3e8, "books": 2e7}
    one = frame(manifest("books"), target_tokens=1e9, available_tokens=given)
    assert one.pools.sources == ("given",) * 3 and one.budget == 1e9 and not one.notes
    np.testing.assert_array_equal(one.pools.sample, MB)
    np.testing.assert_allclose(one.prior, np.array([8e8, 3e8, 2e7]) / 1.12e9)
    np.testing.assert_allclose(one.space.upper, [1, 1, 0.08], err_msg="four epochs of the books")
    np.testing.assert_allclose(one.baselines["unimax"], [0.46, 0.46, 0.08])
    np.testing.assert_allclose(epochs(one.prior, one.available, one.budget), 1e9 / 1.12e9)


def test_a_sample_is_not_the_pool():
    one = frame(manifest("books"), target_tokens=1e9)
    assert one.available == [None, None, MB] and one.pools.sources == ("sample", "sample", "counted")
    np.testing.assert_allclose(one.space.upper, [1, 1, 0.004])
    assert list(one.baselines) == [SAMPLED, "uniform"] and one.prior_name == SAMPLED
    assert "web, code is unknown" in one.notes[0]
    assert frame(manifest(), available_tokens={"web": 1e9}).budget == 0, "what the domains hold together is unknown"


def test_a_study_without_counts_is_about_its_sample_and_says_so():
    one = frame(manifest("books"))
    assert one.budget == 3 * MB and one.prior_name == "natural" and one.available == [MB] * 3
    assert one.notes[0].startswith("Of web, code only a sample was read")
    assert not frame(manifest(*DOMAINS)).notes


def test_a_study_planned_before_counts_goes_on_as_it_was():
    stored = {"domains": manifest()["domains"]}  # as it was kept: no counts beside it
    one = frame(stored, target_tokens=1e7)
    np.testing.assert_allclose(one.space.upper, 0.4)
    assert list(one.baselines) == ["natural", "uniform", "unimax"]


def test_the_counts_a_study_was_planned_with_stay():
    one = frame(manifest("books"), target_tokens=1e9, available_tokens={"web": 8e8})
    again = frame({"domains": {}, "pools": one.pools.rows()}, target_tokens=1e9)
    assert again.available == [8e8, None, MB] and again.pools.sources == one.pools.sources


def test_counts_of_a_corpus_domains_that_a_study_leaves_out_do_no_harm():
    asked = spec(domains=("web", "code"), target_tokens=1e9, available_tokens={"web": 8e8, "code": 3e8, "books": 5.0})
    domains = chosen_domains(asked, manifest())
    planned = frame_of(asked, domains, manifest())
    kept_of_it = {"domains": {name: manifest()["domains"][name] for name in domains}, "pools": planned.pools.rows()}
    assert frame_of(asked, domains, kept_of_it).available == planned.available == [8e8, 3e8]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"web": 0}, "Cannot use 0 as the available tokens of 'web'"),
        ({"web": -5.0}, "-5.0"),
        ({"web": "1e9"}, "'1e9'"),
        ({"web": True}, "True"),
        ({"web": float("nan")}, "nan"),
        ([1e9], r"\[1000000000.0\]"),
    ],
)
def test_counts_that_are_none_are_refused(given, said):
    with pytest.raises(Problem, match=said):
        spec(available_tokens=given)


@pytest.mark.parametrize("budget", [-1.0, "1e9", float("inf"), True])
def test_budgets_that_are_none_are_refused(budget):
    with pytest.raises(Problem, match="target_tokens"):
        spec(target_tokens=budget)


def test_counts_of_strangers_and_budgets_that_text_cannot_fill():
    with pytest.raises(Problem, match="no domain 'latin'"):
        chosen_domains(spec(available_tokens={"latin": 1e9}), manifest())
    with pytest.raises(Problem, match="'latin': the domains are web, code, books"):
        frame(manifest(), available_tokens={"latin": 1e9})
    with pytest.raises(Problem, match=r"1,000,000,000,000 tokens within 4 epochs.*cut the budget to 12,000,000"):
        frame(manifest(*DOMAINS), target_tokens=1e12)


def test_odd_budgets_and_counts_are_said():
    assert "less than the 3,000,000 that were read" in frame(manifest(*DOMAINS), target_tokens=1e4).notes[0]
    assert "10,000,000 times what was read" in frame(manifest(), target_tokens=3e13).notes[-1]
    assert "web is given 7 tokens" in frame(manifest(), available_tokens=dict.fromkeys(DOMAINS, 7.0)).notes[0]


def test_proxies_see_the_targets_repetition_where_it_is_known():
    asked = spec(target_tokens=1e9, available_tokens={"web": 8e8, "code": 1e7})
    one = frame_of(asked, DOMAINS, manifest())
    seen = PRESETS["demo"].tokens / 1e9
    np.testing.assert_allclose(
        kept_fractions(asked, one), [8e8 * seen / MB, 1e7 * seen / MB, 1], err_msg="books are unknown"
    )
    assert (kept_fractions(spec(), frame_of(spec(), DOMAINS, manifest())) == 1).all(), (
        "a study about its sample repeats nothing"
    )


def test_text_too_scarce_to_be_cut_keeps_a_sequence_and_it_is_said():
    asked = spec(target_tokens=1e12, available_tokens={"web": 8e11, "code": 3e11, "books": 1e7})
    one = frame_of(asked, DOMAINS, manifest())
    least = PRESETS["demo"].context + 1
    assert kept_fractions(asked, one)[2] == pytest.approx(least / MB)
    assert "books" in notes_on_repetition(asked, one)[0]
    short = spec(target_tokens=1e4)
    assert (
        "One proxy sees 524,288 tokens" in notes_on_repetition(short, frame_of(short, DOMAINS, manifest(*DOMAINS)))[-1]
    )


def test_dose_runs_cut_what_repeats_most():
    given = {"web": 8e8, "code": 3e8, "books": 2e8}
    asked = spec(target_tokens=2e9, available_tokens=given, dose_runs=7, runs=16)
    one = frame_of(asked, DOMAINS, manifest())
    runs = plan_runs(asked, "s", one)
    doses = [run for run in runs if run["role"] == "dose"]
    assert len(doses) == 7 and all(run["doses"] is None for run in runs if run["role"] != "dose")
    design = np.array([run["weights"] for run in runs if run["role"] == "design"])
    passes = design * 2e9 / np.array(list(given.values()))
    assert doses[0]["label"] == f"dose: {DOMAINS[int(passes.max(axis=0).argmax())]} / 4"
    for run in doses:
        (cut,) = [i for i, dose in enumerate(run["doses"]) if dose < 1]
        twin = np.where(passes[:, cut] <= 8, passes[:, cut], 0).argmax()
        np.testing.assert_array_equal(run["weights"], design[twin], "the same shares once more, read up to 8 times")
        assert run["seed"] == runs[0]["seed"]
    with pytest.raises(Problem, match="9 cuts"):
        dose_runs(spec(target_tokens=2e9, available_tokens=given, dose_runs=10), one, design)
    with pytest.raises(Problem, match="need target_tokens"):
        plan_runs(spec(dose_runs=2), "s", frame_of(spec(), DOMAINS, manifest()))


def test_dose_runs_go_to_what_the_design_repeats():
    """All cuts of scarce text come before any of text that is never read twice: those would tell next to nothing."""
    asked = spec(target_tokens=2e8, available_tokens={"web": 8e9, "code": 3e9, "books": 2e6}, dose_runs=5, runs=16)
    runs = plan_runs(asked, "s", frame_of(asked, DOMAINS, manifest()))
    cut = [run["label"].split()[1] for run in runs if run["role"] == "dose"]
    assert cut[:3] == ["books"] * 3 and "books" not in cut[3:]


@pytest.mark.parametrize("cap", [4.0, 40.0])
def test_a_design_reads_scarce_text_as_often_as_may_be(cap):
    """A hundredth of a domain has next to nothing of the natural mixture; around that, no run would ever repeat it."""
    scarce = {"web": 8e8, "code": 3e8, "books": 2e6}
    asked = spec(target_tokens=2e8, available_tokens=scarce, runs=48, epoch_cap=cap)
    one = frame_of(asked, DOMAINS, manifest())
    passes = np.array([run["weights"][2] for run in plan_runs(asked, "s", one) if run["role"] == "design"]) * 100
    assert (passes > cap / 4).sum() >= 8 and (passes < 1).sum() >= 4
    np.testing.assert_allclose(design_centre(asked, one)[2], (2e6 / 1.102e9 + min(1 / 3, cap / 100)) / 2)


@pytest.mark.parametrize("change", [{"target_tokens": 1e6}, {"simulated_epoching": False}, {"target_tokens": 0.0}])
def test_where_nothing_repeats_a_design_is_around_the_prior(change):
    asked = spec(**{"target_tokens": 2e8, "available_tokens": {"web": 8e8, "code": 3e8, "books": 2e6}} | change)
    one = frame_of(asked, DOMAINS, manifest())
    np.testing.assert_array_equal(design_centre(asked, one), one.prior)


def test_a_recipe_says_what_is_unknown_of_its_text():
    recipe = Recipe("s", "n", ("web", "books"), (0.75, 0.25), 1e9, (None, 1e8), sources=("sample", "counted"))
    assert recipe.epochs == [None, 2.5] and recipe.repetitions == [1.0, 2.5] and recipe.unrepeated == ["web"]
    assert "repetition_factor: 2.5" in OLMIX.write(recipe)["mix.yaml"]
    assert "books: share 0.250000, 2.5 epochs of 100,000,000 tokens (counted)" in "\n".join(recipe.header)
    assert "books,0.25,2.5,100000000,counted" in CSV.write(recipe)["mixture.csv"]
