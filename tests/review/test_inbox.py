"""Mentions and the inbox: who is named, what stands in whose inbox, what was read, and what leaves by the webhook."""

import pytest

from engine.core.access import FILE
from engine.core.errors import Problem
from engine.core.people import as_person, local_user
from engine.review import acts
from engine.review.dossier import dossier
from engine.review.inbox import inbox, mark_read
from engine.review.mentions import known_people, mentioned, unknown
from store import from_journals, notices
from store.database import Store
from tests.support.access_files import EXAMPLE, write_access
from tests.support.reviewing import ANN, BEN, EVE, OTTO, put
from tests.support.running import answer, said

pytestmark = pytest.mark.slow
PEOPLE = ["Ann", "Ann Lee", "ben@example.org", "local user"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@Ann look", ["Ann"]),
        ("look, @ann lee!", ["Ann Lee"]),
        ("@Ann Lee and @Ann", ["Ann", "Ann Lee"]),
        ("(@ben@example.org)", ["ben@example.org"]),
        ("mail ben@example.org", []),
        ("@Anna", []),
        ("x@Ann", []),
        ("@local user: see", ["local user"]),
        ("@Ann, @Ann", ["Ann"]),
        ("no one", []),
    ],
)
def test_whom_a_text_mentions(text, names):
    assert mentioned(text, PEOPLE) == names


def test_who_is_not_known_is_named():
    assert unknown("@Ann and @bob, @carl@x.org. mail me@x.org @ben@example.org", PEOPLE) == ["bob", "carl@x.org"]


def test_people_are_those_of_the_workspace(open_desk):
    store, study = open_desk
    put(store, study, "By Ann")
    assert {"Ann", local_user().name} <= set(known_people(store))
    root = store.workspace.root
    write_access(root, EXAMPLE.format(url="http://127.0.0.1:1", provider="http://127.0.0.1:2"))
    try:
        found = known_people(store)
        assert "olga@example.org" in found and not any(one.startswith(("@", "*")) for one in found)
    finally:
        (root / FILE).unlink()


def test_a_mention_is_in_their_inbox_until_they_have_read_it(open_desk):
    store, study = open_desk
    with as_person(BEN):
        acts.comment(store, put(store, study, "Known by now"), "hello")
    candidate = put(store, study, "Talked about")
    with as_person(ANN):
        assert acts.comment(store, candidate, "@Ben and @nobody, is <b>this</b> enough?") == ["Ben"]
    with as_person(OTTO):
        assert not [one for one in inbox(store)["entries"] if one["candidate"] == candidate]
        with pytest.raises(Problem, match="no entry of your inbox"):
            mark_read(store, [1])
    with as_person(BEN):
        first = inbox(store)["entries"][0]
        assert (first["kind"], first["author"], first["name"]) == ("mention", "Ann", "Talked about")
        assert not first["read"] and first["text"].startswith("@Ben")
        mark_read(store, [first["n"]])
        mark_read(store, [first["n"]])
        assert inbox(store)["entries"][0]["read"]
    (notice,) = [one for one in notices.since(store, 0) if candidate in one.id]
    assert notice.outcome == "mention" and "Ann mentioned Ben on Talked about in the study Small" in notice.text


def test_a_decision_reaches_the_author_and_the_webhook(open_desk):
    store, study = open_desk
    candidate = put(store, study, "Decided on")
    with as_person(BEN):
        waiting = next(one for one in inbox(store)["waiting"] if one["study"] == study.id)
        assert "Decided on" in [one["name"] for one in waiting["candidates"]] and waiting["pairs"] > 0
        acts.decide(store, candidate, "rejected", "Too little code.")
    with as_person(ANN):
        entry = inbox(store)["entries"][0]
        assert (entry["kind"], entry["verdict"], entry["text"]) == ("decision", "rejected", "Too little code.")
        names = [one["name"] for study in inbox(store)["waiting"] for one in study["candidates"]]
        assert "Decided on" not in names, "rejected, and her own"
        mark_read(store)
        assert inbox(store)["unread"] == 0
    texts = [one.text for one in notices.since(store, 0) if one.outcome == "decision"]
    assert "Ben rejected Decided on in the study Small: Too little code." in texts


def test_a_viewer_is_told_and_has_nothing_to_do(open_desk):
    store, _ = open_desk
    with as_person(EVE):
        assert inbox(store)["waiting"] == []


def test_what_was_read_is_rebuilt_from_the_journals(open_desk, tmp_path):
    store, study = open_desk
    with as_person(BEN):
        acts.decide(store, put(store, study, "Read of"), "rejected", "no")
    with as_person(ANN):
        mark_read(store)
    fresh_file = tmp_path / "fresh.duckdb"
    from_journals.rebuild(store.workspace, fresh_file)
    fresh = Store(store.workspace, fresh_file)
    rows = store.rows("SELECT * FROM inbox_read ORDER BY ALL")
    assert rows and fresh.rows("SELECT * FROM inbox_read ORDER BY ALL") == rows
    fresh.close()


def test_the_inbox_from_the_command_line(desk):
    found = answer(desk, "inbox")
    assert found["person"] == local_user().name and found["waiting"][0]["candidates"]
    assert answer(desk, "mark-read") == {"unread": 0}
    assert "no entry of your inbox" in said(desk, "mark-read", "999999")


def test_a_comment_on_the_page_says_whom_it_reaches(pages):
    store, study, opened = pages
    candidate = put(store, study, "On the page")
    found = opened("candidates", candidate=candidate)
    assert any("Mention with @" in one.value and "Ann" in one.value for one in found.caption)
    found.text_area(key=f"comment-{candidate}").input("@Ann @zed please")
    next(one for one in found.button if one.label == "Comment").click().run()
    assert any("inbox of Ann now. Nobody here is called zed" in one.value for one in found.caption)
    assert dossier(store, candidate)["comments"][-1]["text"] == "@Ann @zed please"


def test_the_page_marks_as_read(pages):
    store, study, opened = pages
    candidate = put(store, study, "Of mine", by=local_user())
    with as_person(BEN):
        acts.decide(store, candidate, "rejected", "not yet")
    found = opened("inbox")
    assert not found.exception and any("decided on your candidate" in one.value for one in found.markdown)
    next(one for one in found.button if one.label == "Mark all as read").click().run()
    assert "For you (0 unread)" in [one.value for one in found.header]
