"""What was asked for before is said to be there, on the page."""

from streamlit.testing.v1 import AppTest


def script(there):
    from dashboard.views.shared.buttons import say_if_there

    say_if_there(there)


def test_a_repeated_wish_is_answered_with_what_there_is():
    said = [AppTest.from_function(script, args=(there,)).run(timeout=30).toast for there in (True, False)]
    assert "it exists, and nothing new was started" in said[0][0].value and not said[1]
