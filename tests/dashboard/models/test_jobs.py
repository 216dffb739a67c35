"""What the page Jobs says of a job: who asked for its end, and only as long as that is still to come."""

from dataclasses import replace

from dashboard.models.jobs import request_of
from store.jobs import JobRow

ROW = JobRow("a", None, "train", "running", 1, None, None, None, None, 1.0, 2.0, None, attempt_at=2.0)


def test_a_request_is_shown_until_an_attempt_answers_it():
    assert request_of(ROW) is None
    asked = replace(ROW, asked="cancel", asked_by="ann@example.org", asked_at=3.0)
    assert request_of(asked) == "cancellation requested by ann@example.org"
    assert request_of(replace(asked, asked="retry")) == "retry requested by ann@example.org"
    assert request_of(replace(asked, attempt_at=4.0)) is None
