"""Text as people typed it: no Markdown, no links of web addresses."""

import pytest

from dashboard.views.shared.text import JOINER, plain

ADDRESSES = [
    "https://a.example",
    "HTTP://A.example/x?y",
    "www.a.example",
    "see ftp://a.example.",
    "a://",
    "ada@example.org",
]


@pytest.mark.parametrize("text", [*ADDRESSES, ":tada:", ":material_home:", "a -> b", "1 -- 2", "x >= 3"])
def test_what_becomes_something_else_whatever_is_escaped_is_broken_up(text):
    found = plain(text)
    assert JOINER in found and found.replace(JOINER, "").replace("\\", "") == text


@pytest.mark.parametrize("text", ["a*b*", "x = 1", "awww", "a->b", "12:30", "@ann", "R&D", "2.5", "a. b", "1.first"])
def test_other_text_is_kept(text):
    assert plain(text).replace("\\", "") == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. first -> 2", f"1\\. first \\-{JOINER}\\> 2"),
        ("title\n===", "title\n\\==="),
        ("a\n    code", "a\n\u00a0\u00a0\u00a0\u00a0code"),
        ("&lt;b&gt;", "\\&lt;b\\&gt;"),
        ("- a", "\\- a"),
    ],
)
def test_what_begins_a_line_makes_no_list_heading_or_code(text, found):
    assert plain(text) == found
