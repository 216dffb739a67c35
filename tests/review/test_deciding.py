"""Deciding directly: without sign-in the only user approves their own, and it says so; with one click, on the page."""

import pytest

from dashboard.models import wording
from engine.core.access import FILE
from engine.core.errors import Problem
from engine.core.people import as_person, ask_first, local_user
from engine.review import acts
from engine.review.dossier import dossier, overview
from engine.review.recipe import recipe_of
from tests.support.reviewing import ANN, BEN, EVE, OTTO, put

pytestmark = pytest.mark.slow


def standing(store, candidate) -> dict:
    return dossier(store, candidate)["standing"]


def test_the_only_user_approves_their_own_and_it_says_so(open_desk):
    store, study = open_desk
    me = local_user()
    candidate = put(store, study, "Mine alone", (0.3, 0.3, 0.4), by=me)
    acts.decide(store, candidate, "approved")
    found = standing(store, candidate)
    assert (found["state"], found["by_author"], found["missing"]) == ("approved", True, "")
    assert wording.state_words(found) == "approved by its author"
    assert recipe_of(store, study, candidate).provenance["decision"]["by_author"]
    with as_person(BEN):
        acts.decide(store, candidate, "approved")
    assert not standing(store, candidate)["by_author"]


def test_where_people_sign_in_nobody_is_alone(open_desk):
    """An approval of before the sign-in stays; one that follows needs somebody else."""
    store, study = open_desk
    me, access = local_user(), store.workspace.root / FILE
    early, late = (put(store, study, name, (0.3, 0.3, 0.4), by=me) for name in ("Before", "Since"))
    acts.decide(store, early, "approved")
    access.touch()
    try:
        acts.decide(store, late, "approved")
        assert "someone other" in standing(store, late)["missing"]
        assert standing(store, early)["state"] == "approved"
    finally:
        access.unlink()


def test_rules_that_somebody_set_hold_for_the_only_user_too(open_desk):
    store, study = open_desk
    candidate = put(store, study, "Four eyes", (0.3, 0.3, 0.4), by=local_user())
    with as_person(OTTO):
        acts.set_rules(store, study, 1, False)
    acts.decide(store, candidate, "approved")
    assert standing(store, candidate)["state"] == "open"


def test_only_an_approval_goes_without_a_reason(open_desk):
    store, study = open_desk
    candidate = put(store, study, "No word", (0.3, 0.3, 0.4))
    with as_person(BEN):
        for verdict in ("rejected", "superseded"):
            with pytest.raises(Problem, match="empty reason"):
                acts.decide(store, candidate, verdict)
        acts.decide(store, candidate, "approved")
    assert standing(store, candidate)["approvals"]["Ben"]["reason"] == ""


def test_a_card_has_the_revision_that_a_decision_is_held_against(open_desk):
    store, study = open_desk
    candidate, other = (put(store, study, name) for name in ("Carded", "Beside it"))
    with as_person(BEN):
        acts.vote(store, candidate, other)
    for _ in range(2):
        rows = {row["id"]: row["revision"] for row in overview(store, study)["candidates"]}
        assert all(dossier(store, one)["revision"] == said for one, said in rows.items())
        with as_person(ANN):
            acts.comment(store, candidate, "wait")


@pytest.mark.parametrize(
    ("alone", "author", "only", "words"),
    [
        (None, True, True, "nobody signs in here"),
        (None, True, False, "also needs an approval from someone else"),
        (False, True, True, "also needs an approval from someone else"),
        (True, True, False, "this study's rules allow it"),
        (False, False, False, "someone other than the author"),
    ],
)
def test_the_rule_is_said_where_the_button_stands(alone, author, only, words):
    assert words in wording.approving_words({"approvals": 1, "author_alone": alone}, author, only)


# On the pages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["candidates", "review"])
def test_a_click_approves_and_a_word_rejects(pages, path):
    store, study, opened = pages
    one, other = (put(store, study, f"{name} {path}") for name in ("Yes", "No"))
    found = opened(path, **({"candidate": one} if path == "review" else {}))
    found.button(key=f"approve-{one}").click().run()
    assert not found.exception and standing(store, one)["state"] == "approved"
    found = opened(path, **({"candidate": other} if path == "review" else {}))
    found.button(key=f"reject-{other}").click().run()
    assert any("empty reason" in error.value for error in found.error) and standing(store, other)["state"] == "open"
    found.text_area(key=f"direct-{other}").input("Too little code.").run()
    found.button(key=f"reject-{other}").click().run()
    assert standing(store, other)["decided"]["reason"] == "Too little code."


def test_a_click_on_what_has_changed_is_refused(pages):
    store, study, opened = pages
    candidate = put(store, study, "Seen too early")
    found = opened("review", candidate=candidate)
    with as_person(ANN):
        acts.comment(store, candidate, "wait")
    found.button(key=f"approve-{candidate}").click().run()
    assert any("Ann commented" in error.value for error in found.error)
    assert standing(store, candidate)["state"] == "open"


def test_a_viewer_sees_the_buttons_and_cannot_press_them(pages):
    store, study, opened = pages
    candidate = put(store, study, "To look at")
    ask_first(lambda: EVE)
    try:
        found = opened("review", candidate=candidate)
    finally:
        ask_first(lambda: None)
    assert found.button(key=f"approve-{candidate}").disabled and found.button(key=f"reject-{candidate}").disabled
