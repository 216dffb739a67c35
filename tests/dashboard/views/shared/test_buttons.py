"""What was asked for before is said to be there, on the page; and what names another page as a way on leads there."""

import ast

from streamlit.testing.v1 import AppTest

from dashboard.views import PAGES
from tests.support.running import ROOT


def script(there):
    from dashboard.views.shared.buttons import say_if_there

    say_if_there(there)


def test_a_repeated_wish_is_answered_with_what_there_is():
    said = [AppTest.from_function(script, args=(there,)).run(timeout=30).toast for there in (True, False)]
    assert "it exists, and nothing new was started" in said[0][0].value and not said[1]


def test_a_way_on_has_its_button():
    """A page's name in a message is not enough: empty.nothing_yet has the words and the button."""
    titles, seen = {f"*{one.title}*" for one in PAGES}, 0
    for path in sorted((ROOT / "dashboard" / "views").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "st.info":
                words = "".join(
                    one.value for one in ast.walk(call) if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )
                seen += 1
                assert not [one for one in titles if one in words], f"{path.name}:{call.lineno}: {words}"
    assert seen > 10
