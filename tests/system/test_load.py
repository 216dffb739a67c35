"""Large bodies: others are answered while they come in, and who may not send one hears why (benchmarks/bodies.py)."""

import pytest

from benchmarks.bodies import ask, large_body, measure, served


@pytest.mark.slow
def test_others_are_answered_while_large_bodies_come_in():
    """Were bodies read where requests are served, one wait would be as long as all bodies take: the ratio is .02."""
    report = measure(3, 300_000, quiet=0.5)
    assert report["statuses of the bodies"] == [404] * 3
    assert report["others answered meanwhile"] >= 5 and not report["stalled"], report


@pytest.mark.slow
def test_who_sends_a_large_body_without_a_token_hears_why(tmp_path):
    with served(tmp_path / "workspace") as (url, _):
        status, answer = ask(f"{url}/predict", "mixdesk_no_token", large_body(1000))
    assert status == 401 and "token" in answer["error"], answer
