"""Candidates and their review from the command line and headless: frozen, discussed, decided, exported."""

import json
import threading

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.people import Person, as_person
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.recipes import export
from engine.review import acts, confirming
from engine.review.dossier import dossier, overview, revision
from engine.review.recipe import recipe_of
from store import from_journals, reviews, studies
from store.database import Store
from tests.support.reviewing import ANN, BEN, EVE, OTTO, put
from tests.support.running import answer, said

pytestmark = pytest.mark.slow


# Candidates ------------------------------------------------------------------------------------------------


def test_a_candidate_freezes_what_is_known_of_it(desk):
    made = answer(desk, "nominate", "Small", "First", "--because", "the lowest loss", "--candidate", "best")
    found = answer(desk, "candidate", made["candidate"])
    frozen = found["frozen"]
    assert (frozen["name"], frozen["rationale"], frozen["names"]) == (
        "First",
        "the lowest loss",
        sorted(frozen["names"]),
    )
    assert sum(frozen["point"]) == pytest.approx(1) and len(frozen["predicted"]["std"]) == 3
    league = answer(desk, "show", "Small")["league"]
    assert frozen["surrogate"]["runs_hash"] == league["fingerprint"] and frozen["surrogate"]["runs"] == 19
    assert len(frozen["surrogate"]["sha256"]) == 64 and frozen["versions"]["mixdesk"]
    assert set(frozen["baselines"]) == {"natural", "uniform", "unimax"}
    gap = frozen["baselines"]["uniform"]
    assert gap["difference"]["mean"] == pytest.approx(np.subtract(frozen["predicted"]["mean"], gap["mean"]), abs=1e-9)
    assert found["standing"]["state"] == "open" and found["evidence"] == []
    assert [line["what"] for line in found["history"]] == ["put"]
    own = answer(
        desk,
        "nominate",
        "Small",
        "Own point",
        "--because",
        "x",
        *[word for pair in ("digits=0.1", "prose=0.3", "python=0.6") for word in ("--point", pair)],
    )
    assert answer(
        desk, "export", "Small", "--format", "csv", "--candidate", "Own point", "--out", str(desk.parent / "own")
    )
    assert "draft" in (desk.parent / "own" / "draft_mixture.csv").read_text()
    assert [one["name"] for one in answer(desk, "candidates", "Small")["candidates"]] == ["Own point", "First"]
    assert own["candidate"] != made["candidate"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("natural", "--candidate", "best"), "already uses that name"),
        (("Mine",), "give one of"),
        (("Mine", "--point", "digits=1"), "one number for each of digits, prose, python"),
        (("Mine", "--point", "digits=1", "--point", "prose=1", "--point", "python=0"), "sum to 2"),
        (("Mine", "--candidate", "nobody"), "'nobody'"),
        (("x" * 81, "--candidate", "best"), "81 characters: at most 80 are allowed"),
        (("a\nb", "--candidate", "best"), "control character"),
        ((" ", "--candidate", "best"), "empty name"),
    ],
)
def test_what_cannot_be_nominated(desk, words, sentence):
    assert sentence in said(desk, "nominate", "Small", *words, "--because", "x")


def test_nothing_is_nominated_before_a_fit(store):
    store.write(StudyCreated(study="new", name="New", spec={"corpus": "default", "name": "New"}))
    empty = {"domains": {name: {"train_tokens": 10**6} for name in ("a", "b")}}
    store.write(StudyPlanned(study="new", domains=["a", "b"], corpus=empty, runs=[], jobs=[]))
    with pytest.raises(Problem, match=r"nothing is predicted in .*Wait for"):
        put(store, studies.get(store, "new"), "Early", (0.5, 0.5))


def test_a_frozen_candidate_cannot_be_changed_unseen(open_desk):
    store, study = open_desk
    candidate = put(store, study, "Tampered")
    text = reviews.get(store, candidate).text
    with store.transaction() as cursor:
        cursor.execute("UPDATE candidates SET frozen = ? WHERE id = ?", [text.replace("0.2", "0.3"), candidate])
    with pytest.raises(Problem, match="was modified"):
        dossier(store, candidate)
    with store.transaction() as cursor:
        cursor.execute("UPDATE candidates SET frozen = ? WHERE id = ?", [text, candidate])
    with pytest.raises(Problem, match="another workspace"):
        dossier(store, "../../etc/passwd")


# Discussion and decision -----------------------------------------------------------------------------------

ODD = [
    "<script>alert(1)</script>",
    "**bold** ![x](http://a.b/c.png)",
    "Robert'); DROP TABLE reviews;--",
    "\u202egnp.exe \u200f",
    "👩‍👩‍👧 ok",
    "two\nlines\tand a tab",
    "{{7*7}} ${x} %s",
]


@pytest.mark.parametrize("text", ODD)
def test_words_are_kept_as_they_are_written(open_desk, text):
    store, study = open_desk
    candidate = put(store, study, f"Odd {text}".replace("\n", " ").replace("\t", " "))
    with as_person(BEN):
        acts.comment(store, candidate, text)
    found = dossier(store, candidate)
    assert [(one["author"], one["text"]) for one in found["comments"]] == [("Ben", text)]
    assert text.split()[0] in found["frozen"]["name"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x" * 10**6, "1,000,000 characters: at most 10,000 are allowed"),
        (" \n", "empty comment"),
        ("a\x00b", "control character"),
        ("\ud800", "control character"),
        (7, "empty comment"),
    ],
)
def test_words_that_cannot_be_kept(open_desk, text, sentence):
    store, study = open_desk
    candidate = reviews.of_study(store, study.id)[0].id
    with pytest.raises(Problem, match=sentence):
        acts.comment(store, candidate, text)


def test_approval_takes_somebody_else(open_desk):
    store, study = open_desk
    candidate = put(store, study, "Needs two eyes")
    with as_person(ANN):
        acts.decide(store, candidate, "approved", "mine")
    standing = dossier(store, candidate)["standing"]
    assert standing["state"] == "open" and "someone other than Ann" in standing["missing"]
    with as_person(ANN), pytest.raises(Problem, match="has approved it already"):
        acts.decide(store, candidate, "approved", "again")
    with as_person(BEN):
        acts.decide(store, candidate, "approved", "agreed")
    standing = dossier(store, candidate)["standing"]
    assert standing["state"] == "approved" and set(standing["approvals"]) == {"Ann", "Ben"}
    with as_person(BEN):
        acts.decide(store, candidate, "rejected", "the junk domain leaks")
    standing = dossier(store, candidate)["standing"]
    assert standing["state"] == "rejected" and standing["approvals"] == {} and "leaks" in standing["decided"]["reason"]


def test_rules_count_approvals_and_take_nothing_back(open_desk):
    store, study = open_desk
    early, late = put(store, study, "Before the rule"), put(store, study, "After the rule")
    with as_person(BEN):
        acts.decide(store, early, "approved", "fine")
        with pytest.raises(Problem, match="takes the role operator"):
            acts.set_rules(store, study, 2, False)
    with as_person(OTTO):
        acts.set_rules(store, study, 2, True)
        acts.decide(store, late, "approved", "fine")
    assert "1 more approval" in dossier(store, late)["standing"]["missing"]
    with as_person(ANN):
        acts.decide(store, late, "approved", "fine, though mine")
    assert dossier(store, early)["standing"]["state"] == dossier(store, late)["standing"]["state"] == "approved"
    with as_person(OTTO):
        acts.set_rules(store, study, 1, False)
        with pytest.raises(Problem, match="1 to 50"):
            acts.set_rules(store, study, 0, False)


def test_superseded_names_its_successor(open_desk):
    store, study = open_desk
    old, new = put(store, study, "Old"), put(store, study, "New")
    with as_person(BEN):
        for wrong in (None, old):
            with pytest.raises(Problem, match="name another candidate"):
                acts.decide(store, old, "superseded", "x", successor=wrong)
        acts.decide(store, old, "superseded", "more runs", successor=new)
    assert dossier(store, old)["standing"]["decided"]["successor"] == new


def test_a_decision_on_what_has_changed_says_so(open_desk):
    store, study = open_desk
    candidate = put(store, study, "Contested")
    seen = dossier(store, candidate)["revision"]
    with as_person(ANN):
        acts.comment(store, candidate, "wait, look at domain digits")
    with as_person(BEN), pytest.raises(Problem, match="since you opened it, Ann commented"):
        acts.decide(store, candidate, "approved", "fine", seen)
    with as_person(BEN):
        acts.decide(store, candidate, "approved", "fine", dossier(store, candidate)["revision"])


def test_many_at_once_lose_nothing(open_desk):
    store, study = open_desk
    candidate, decided = put(store, study, "Busy"), []
    seen = revision(store, reviews.get(store, candidate))

    def act(number: int) -> None:
        with as_person(Person(f"P{number}", "reviewer")):
            acts.comment(store, candidate, f"comment {number}")
            try:
                acts.decide(store, candidate, "rejected", f"reason {number}", seen)
                decided.append(number)
            except Problem:
                pass

    people = [threading.Thread(target=act, args=(number,)) for number in range(12)]
    [one.start() for one in people]
    [one.join() for one in people]
    found = dossier(store, candidate)
    assert sorted(one["text"] for one in found["comments"]) == sorted(f"comment {n}" for n in range(12))
    assert decided == [], "everybody decided on what had changed"
    numbers = [line["n"] for line in found["history"]]
    assert numbers == sorted(set(numbers))


def test_viewers_look_and_do_nothing(open_desk):
    store, study = open_desk
    candidate, before = reviews.of_study(store, study.id)[0].id, reviews.state(store, study.id)
    other = reviews.of_study(store, study.id)[1].id
    with as_person(EVE):
        for act in (
            lambda: acts.comment(store, candidate, "hello"),
            lambda: acts.vote(store, candidate, other),
            lambda: acts.decide(store, candidate, "approved", "x"),
            lambda: put(store, study, "Hers", by=EVE),
            lambda: confirming.confirm(store, candidate),
            lambda: acts.set_rules(store, study, 1, True),
        ):
            with pytest.raises(Problem, match="Eve is a viewer"):
                act()
    assert reviews.state(store, study.id) == before


def test_votes_are_one_a_person_and_pair(open_desk):
    store, study = open_desk
    a, b, c = (put(store, study, name) for name in ("Vote a", "Vote b", "Vote c"))
    for person in (ANN, BEN, OTTO):
        with as_person(person):
            acts.vote(store, b, a)
            acts.vote(store, a, b)  # changed their mind
    with as_person(ANN):
        acts.vote(store, a, c, neither=True)
        with pytest.raises(Problem, match="two different candidates"):
            acts.vote(store, a, a)
    with as_person(EVE):  # who votes on nothing sees all
        votes = {row["id"]: row for row in overview(store, study)["votes"]}
    assert set(votes) == {a, b, c}
    assert (votes[a]["won"], votes[a]["of"], votes[b]["won"], votes[c]["won"]) == (3.5, 4, 0, 0.5)
    assert votes[a]["strength"] > votes[b]["strength"] and votes[a]["half"] > 0


# What leaves -----------------------------------------------------------------------------------------------


def test_only_an_approved_candidate_leaves_without_draft(open_desk):
    store, study = open_desk
    candidate = put(store, study, "To be trained", (0.2, 0.3, 0.5))
    draft = export(recipe_of(store, study, candidate), "regmix_yaml")
    assert set(draft) == {"draft_mixture.yaml", "draft_provenance.json"} and "DRAFT" in draft["draft_mixture.yaml"]
    with as_person(BEN):
        acts.decide(store, candidate, "approved", "agreed")
    final = export(recipe_of(store, study, "To be trained"), "regmix_yaml")
    assert set(final) == {"mixture.yaml", "provenance.json"} and "draft" not in final["mixture.yaml"].lower()
    told = json.loads(final["provenance.json"])
    assert (told["candidate"], told["state"], set(told["decision"]["approvals"])) == (candidate, "approved", {"Ben"})
    assert told["runs_hash"] == dossier(store, candidate)["frozen"]["surrogate"]["runs_hash"] and told["versions"]
    with as_person(BEN):
        acts.decide(store, candidate, "superseded", "newer runs", successor=reviews.of_study(store, study.id)[1].id)
    assert "draft_mixture.yaml" in export(recipe_of(store, study, candidate), "regmix_yaml")


def test_formats_say_before_what_they_cannot(desk):
    told = answer(desk, "formats", "Small", "--candidate", "uniform")
    assert told["megatron"]["unit"].endswith("tokens") and told["hf_datasets"]["unit"] == "rows"
    assert all(one["problem"] is None for one in told.values()), "a built corpus knows how long its documents are"
    wish = ("export", "Small", "--format", "megatron", "--candidate", "uniform", "--path", "prose=my text/x")
    sentence = said(desk, *wish)
    assert "white space" in sentence and "Give data paths without any" in sentence and "--" not in sentence


def test_all_of_it_is_rebuilt_from_the_journals(open_desk, tmp_path):
    store, _ = open_desk
    fresh_file = tmp_path / "fresh.duckdb"
    from_journals.rebuild(store.workspace, fresh_file)
    fresh = Store(store.workspace, fresh_file)
    for table in ("candidates", "reviews"):
        rows = store.rows(f"SELECT * FROM {table} ORDER BY ALL")
        assert rows and fresh.rows(f"SELECT * FROM {table} ORDER BY ALL") == rows
    fresh.close()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"candidate": "0123456789abcdef"}, "Cannot find the candidate '0123456789abcdef'"),
        ({"candidate": "'; DROP TABLE candidates;--"}, "Cannot find the candidate"),
        ({"compare": "a,b"}, "Cannot find the candidate 'a'"),
        ({"compare": ""}, "Cannot compare 0 candidates"),
    ],
)
def test_links_to_what_is_not_there(pages, query, sentence):
    store, study, opened = pages
    put(store, study, f"There, unlike {query}", (0.2, 0.1, 0.7))
    found = opened("candidates", **query)
    assert not found.exception and sentence in found.error[0].value.replace("\\", "")
    assert "Open" in [one.label for one in found.button]
