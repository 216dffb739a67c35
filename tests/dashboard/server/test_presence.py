"""Presence: who is here, for how long after the last sign, and when following ends."""

import pytest

from dashboard.server.presence import GONE, MOST, Place, Room
from dashboard.views.shared.presence import initials, strayed

HERE = Place("explore", {"study": ["s"], "mix": ["0.20000,0.80000"]})


def test_somebody_is_gone_a_minute_after_the_last_sign():
    room = Room()
    room.sign("a", "Ann", HERE, now=0.0)
    room.sign("b", "Ben", HERE, now=10.0)
    assert [one.name for one in room.others("a", "Ann", now=10.0)] == ["Ben"]
    room.sign("b", "Ben", HERE, now=50.0)
    assert room.others("b", "Ben", now=GONE + 1) == []
    assert [one.name for one in room.others("x", "Eve", now=50.0 + GONE)] == ["Ben"]


def test_of_several_tabs_the_one_that_moved_last_is_followed():
    room = Room()
    room.sign("a", "Ann", HERE, now=0.0)
    room.sign("b", "Ann", Place("jobs", {}), now=1.0)
    room.sign("a", "Ann", HERE, now=2.0)
    (ann,) = room.others("c", "Ben", now=2.0)
    assert ann.place.page == "jobs", "a sign is no move"
    room.sign("a", "Ann", Place("runs", {}), now=3.0)
    (ann,) = room.others("c", "Ben", now=3.0)
    assert ann.place.page == "runs"
    assert room.others("a", "Ann", now=3.0) == [], "nobody meets themselves"


def test_names_stay_apart_and_memory_stays_small():
    room = Room()
    assert room.free_name("a", "Ann") == "Ann"
    for n in range(MOST + 50):
        room.sign(f"s{n}", f"P{n}", HERE)
    assert len(room.others("x", "Eve")) == MOST
    assert room.free_name("x", "P0") == "P0 2" and room.free_name("s0", "P0") == "P0"
    room.rename("s1", "Zoe")
    assert "Zoe" in [one.name for one in room.others("x", "Eve")]


@pytest.mark.parametrize(
    ("place", "away"),
    [
        (HERE, False),
        (Place("runs", HERE.query), True),
        (Place("explore", {"study": ["t"], "mix": ["0.20000,0.80000"]}), True),
        (Place("explore", {"study": ["s"], "mix": ["0.20100,0.79900"]}), False),
        (Place("explore", {"study": ["s"], "mix": ["0.30000,0.70000"]}), True),
        (Place("explore", {"study": ["s"], "mix": ["what"]}), False),
        (Place("explore", {"study": ["s"]}), False),
        (Place("explore", {"study": ["s"], "mix": ["0.2,0.8"], "unit": ["nats"]}), False),
    ],
)
def test_following_ends_where_one_goes_by_oneself(place, away):
    assert strayed(place, HERE) is away


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Ann Lee", "AL"), ("ann.lee@example.org", "AL"), ("root", "R"), ("<b>", "?"), ("Ann van der Lee", "AL")],
)
def test_initials(name, letters):
    assert initials(name) == letters
