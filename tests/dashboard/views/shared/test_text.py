"""Text as people typed it: no Markdown, no links of web addresses."""

import pytest

from dashboard.views.shared.text import plain


@pytest.mark.parametrize("text", ["https://a.example", "HTTP://A.example/x?y", "www.a.example", "see ftp://a.example."])
def test_a_web_address_is_broken_up(text):
    found = plain(text)
    assert "\u2060" in found and found.replace("\u2060", "").replace("\\", "") == text


@pytest.mark.parametrize("text", ["a*b*", "ada@example.org", "x = 1", "awww", "a://"])
def test_other_text_is_kept(text):
    assert plain(text).replace("\\", "") == text
