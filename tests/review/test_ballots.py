"""Blind votes: which pair comes next, what it tells before one has voted and after, on the page and by command."""

import itertools
import json
from dataclasses import replace

import pytest

from engine.commands import COMMANDS
from engine.core.people import acting, as_person
from engine.jobs.decisions import ReviewAdded
from engine.review import acts, ballots
from engine.review.dossier import dossier, overview
from store import reviews
from tests.support.reviewing import ANN, BEN, EVE, OTTO, put
from tests.support.running import answer

pytestmark = pytest.mark.slow
NAMES = ("Zebra", "Walrus", "Ibex")


@pytest.fixture(scope="module")
def three(desk):
    """The ids of three candidates, which all tests here vote on."""
    points = ("0.1,0.2,0.7", "0.1,0.7,0.2", "0.4,0.3,0.3")
    ids = []
    for name, point in zip(NAMES, points, strict=True):
        words = [f"{one}={value}" for one, value in zip(("digits", "prose", "python"), point.split(","), strict=True)]
        given = [word for one in words for word in ("--point", one)]
        ids.append(answer(desk, "nominate", "Small", name, "--because", f"for {name}", *given)["candidate"])
    return ids


def test_a_ballot_tells_no_names(desk, three):
    told = answer(desk, "ballot", "Small")
    assert told["left"] == 3 and len(told["pair"]) == 2
    text = json.dumps(told)
    assert not any(word in text for word in (*NAMES, "author", "rationale"))
    assert sum(told["pair"][0]["point"].values()) == pytest.approx(1)
    assert len(told["pair"][0]["predicted"]["std"]) == 3 and "natural" in told["pair"][0]["baselines"]


def test_every_pair_comes_once_the_least_voted_first(open_desk, three):
    store, study = open_desk
    seen = []
    with as_person(ANN):
        while pair := ballots.ballot(store, study)["pair"]:
            ids = [one["id"] for one in pair]
            seen.append(frozenset(ids))
            acts.vote(store, *ids, neither=len(seen) == 2, blind=True)
            with as_person(BEN):
                fewest = ballots.ballot(store, study)["pair"]
            if len(seen) < 3:
                assert frozenset(one["id"] for one in fewest) not in seen
    assert sorted(map(sorted, seen)) == sorted(map(sorted, itertools.combinations(three, 2)))
    (vote,) = ballots.votes_on(store, study, list(seen[1]))
    assert (vote["author"], vote["preferred"], vote["blind"]) == ("Ann", None, True)


def test_no_side_is_a_candidates(open_desk, three):
    """Which stands first is drawn for each person, and stays so for them."""
    store, study = open_desk
    events = reviews.history(store, study.id)
    first = [ballots.waiting_pairs(events, three[:2], f"P{n}")[0][0] for n in range(200)]
    assert 0.4 < first.count(three[0]) / 200 < 0.6
    assert ballots.waiting_pairs(events, three, "P1") == ballots.waiting_pairs(events, three, "P1")


def test_what_was_rejected_is_not_asked_about(open_desk, three):
    store, study = open_desk
    gone = put(store, study, "Gone", (0.2, 0.2, 0.6))
    with as_person(OTTO):
        before = ballots.ballot(store, study)["left"]
        acts.decide(store, gone, "rejected", "no")
        assert ballots.ballot(store, study)["left"] == before - 3


def test_a_vote_on_the_page_shows_names_and_voters_afterwards(pages, three):
    store, _, opened = pages
    pair = three[:2]
    found = opened("candidates", vote=",".join(pair))
    texts = [one.value for one in (*found.markdown, *found.caption, *found.header)]
    assert not found.exception and not any(name in text for text in texts for name in NAMES)
    found.button(key="vote-B").click().run()
    headings = [one.value for one in found.header]
    assert "Zebra" in headings[0] and "Walrus" in headings[1]
    table = found.dataframe[0].value
    assert set(table["preferred"]) >= {"B: Walrus"} and "hidden" in set(table["names"])
    found.button(key="vote-A").click().run()
    votes = [one for one in dossier(store, three[0])["history"] if one["what"] == "vote"]
    assert (votes[-1]["candidate"], votes[-1]["blind"]) == (three[0], False), "the names were seen by then"


@pytest.mark.parametrize("linked", ["x,y", "next,", "", "a", "'; DROP TABLE reviews;--,b"])
def test_a_link_to_no_pair_lists_the_candidates(pages, three, linked):
    _, _, opened = pages
    found = opened("candidates", vote=linked)
    assert not found.exception and found.title[0].value in ("Candidates", "Which would you train?")


def test_votes_of_before_count_as_they_did(open_desk, three):
    """Journals of 0.3 do not say whether the names were hidden."""
    store, study = open_desk
    body = {"over": three[1], "neither": False}
    store.write(ReviewAdded(study.id, "vote", "Earlier", body, three[0]))
    told = {one["author"]: one for one in ballots.votes_on(store, study, three[:2])}
    assert told["Earlier"]["preferred"] == three[0] and not told["Earlier"]["blind"]
    with as_person(EVE):
        assert {three[0], three[1]} <= {one["id"] for one in overview(store, study)["votes"]}


def test_three_answers_stand_side_by_side(pages, three):
    """Votes by pairs and by points, and the losses; the baselines are spoken of without a vote."""
    store, study, opened = pages
    for person in (ANN, BEN, OTTO):
        with as_person(person):
            acts.vote(store, three[0], three[1], blind=True)
            acts.vote(store, three[0], three[2], blind=True)
    with as_person(EVE):
        found = overview(store, study)
    rows = {row["name"]: row for row in found["taste"]["rows"]}
    assert rows["Zebra"]["votes"] >= 6 and rows["natural"]["votes"] == 0 and rows["natural"]["id"] is None
    assert rows["Zebra"]["mean"] > rows["Walrus"]["mean"] and sum(row["best"] for row in rows.values()) > 0.99
    assert found["losses"][0]["inside_noise"] and found["losses"][-1]["aggregate"] > found["losses"][0]["aggregate"]
    hidden = opened("candidates")
    assert "What others voted is shown once" in "".join(one.value for one in hidden.caption)
    assert not any("By pairs" in one.value for one in hidden.markdown)
    for pair in itertools.combinations(three, 2):
        acts.vote(store, *pair, neither=True)
    page = opened("candidates")
    texts = [one.value for one in page.markdown]
    assert not page.exception
    for begin in ("By pairs", "By similar points", "By predicted losses"):
        assert any(text.startswith(begin) for text in texts), begin
    table = next(one.value for one in page.dataframe if "Gaussian process" in one.value)
    assert set(table["point"]) >= {*NAMES, "natural", "uniform"} and all(
        "±" in text for text in table["Gaussian process"]
    )


# Every answer that tells of votes: of a study, or of one of its candidates.
TOLD = {
    "list_candidates": lambda store, study, ids: COMMANDS["list_candidates"](store, study)["history"],
    "history": lambda store, study, ids: COMMANDS["history"](store, study),
    "dossier": lambda store, study, ids: COMMANDS["dossier"](store, ids[0])["history"],
}


def told_of_others(store, study, ids) -> set[str]:
    """Which answers tell who acts of a vote of somebody else."""
    me = acting().name
    told = {
        name
        for name, ask in TOLD.items()
        if any(one["what"] == "vote" and one["author"] != me for one in ask(store, study.id, ids))
    }
    found = COMMANDS["list_candidates"](store, study.id)
    assert bool(found["votes"]) == bool(found["taste"]) == found["votes_open"]
    return told


def test_what_others_voted_is_shown_after_ones_own_vote(open_desk, three):
    """On pages, over HTTP, on the command line and to agents: all of them ask these commands."""
    store, study = open_desk
    eve = replace(BEN, name="eve@example.org")
    with as_person(ANN):
        acts.vote(store, *three[:2])
    with as_person(eve):
        assert told_of_others(store, study, three) == set()
        *pairs, last = itertools.combinations(three, 2)
        for pair in pairs:
            assert COMMANDS["vote"](store, *pair, neither=True) == []
        assert told_of_others(store, study, three) == set()
        own = [one for one in COMMANDS["history"](store, study.id) if one["what"] == "vote"]
        assert len(own) == len(pairs), "one's own votes are no secret"
        assert {one["id"] for one in COMMANDS["vote"](store, *last, neither=True)} == set(three)
        assert told_of_others(store, study, three) == set(TOLD)
    with as_person(replace(eve, name="vera@example.org", role="viewer")):
        assert told_of_others(store, study, three) == set(TOLD), "who cannot vote may look"
