"""Candidates in a real browser: nominated, two people at once, links that restore a view, what cannot be shown."""

import re
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

from tests.support.running import ROOT, Page, answer, copied, settled, visit, watched_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAMES = ("Mostly python", "<b>Mostly</b> *prose* \u202eesrever")
POINTS = ((0.1, 0.2, 0.7), (0.1, 0.7, 0.2))


@pytest.fixture(scope="module")
def room(finished, tmp_path_factory):
    """A page on a copy of the finished study, with two candidates; `room.ids` are theirs."""
    workspace = tmp_path_factory.mktemp("room") / "workspace"
    copied(finished, workspace)
    ids = []
    for name, point in zip(NAMES, POINTS, strict=True):
        values = [
            word
            for pair in zip(("digits", "prose", "python"), point, strict=True)
            for word in ("--point", "{}={}".format(*pair))
        ]
        said = "because <script>alert(1)</script> it helps"
        ids.append(answer(workspace, "nominate", "Small", name, "--because", said, *values)["candidate"])
    page = Page(workspace)
    page.ids, page.workspace = ids, workspace
    page.study = answer(workspace, "list")[0]["study"]
    yield page
    page.stop()


@pytest.fixture
def tab(browser, room):
    yield from watched_tab(browser, 1800)


@pytest.fixture
def other_tab(browser, room):
    """A colleague's browser."""
    yield from watched_tab(browser, 1800, reduced_motion="reduce")


def test_a_fader_position_is_nominated(tab, room):
    tab.set_viewport_size({"width": 390, "height": 600})  # the form fills its room: a refusal stands below it
    visit(tab, room, "explore?mix=0.2,0.3,0.5")
    tab.get_by_role("button", name="Nominate").first.click()
    form = tab.get_by_test_id("stPopoverBody")
    form.get_by_label("Name").fill("Uniform again")
    form.get_by_role("button", name="Nominate").click()
    expect(form.get_by_text("Cannot take an empty rationale")).to_be_in_viewport()
    expect(form.get_by_label("Name")).to_have_value("Uniform again")
    form.get_by_label("Why should it be trained?").fill("To hold others against it.")
    form.get_by_role("button", name="Nominate").click()
    expect(tab.locator("h1")).to_have_text(re.compile("Uniform again"))
    expect(tab.get_by_text("To hold others against it.")).to_be_visible()
    assert re.search("candidate=[0-9a-f]{16}", tab.url)


@pytest.mark.parametrize(("path", "which"), [("search", "best"), ("next-runs", None), ("confirm", None)])
def test_other_pages_offer_it_where_there_are_points(tab, room, path, which):
    visit(tab, room, path)
    offered = tab.get_by_role("button", name="Nominate")
    expect(offered).to_have_count(1 if which else 0)


def test_a_run_is_nominated(tab, room):
    visit(tab, room, "runs")
    table = tab.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    tab.mouse.click(box["x"] + 16, box["y"] + 54)  # the box before the first row
    tab.get_by_role("button", name="Nominate").click()
    form = tab.get_by_test_id("stPopoverBody")
    form.get_by_label("Name").fill("As run 1")
    form.get_by_label("Why should it be trained?").fill("It was there first.")
    form.get_by_role("button", name="Nominate").click()
    expect(tab.locator("h1")).to_have_text(re.compile("As run 1"))


def test_a_comment_appears_in_the_other_browser(tab, other_tab, room):
    """Within two seconds, and what the colleague is typing stays."""
    for one in (tab, other_tab):
        visit(one, room, f"candidates?study={room.study}&candidate={room.ids[0]}")
    half = other_tab.get_by_label(re.compile("Comment as"))
    half.click()
    half.press_sequentially("half a sent")
    tab.get_by_label(re.compile("Comment as")).fill("<img src=x onerror=alert(1)> **look** at digits")
    tab.get_by_role("button", name="Comment").click()
    said = other_tab.get_by_text("<img src=x onerror=alert(1)> **look** at digits").first
    expect(tab.get_by_text("<img src=x onerror=alert(1)> **look** at digits").first).to_be_visible()
    began = time.monotonic()
    expect(said).to_be_visible()
    print(f"seen by the other {time.monotonic() - began:.2f} s after it was seen by its author")
    expect(other_tab.get_by_label(re.compile("Comment as"))).to_have_value("half a sent")
    assert other_tab.locator("img[src='x']").count() == 0


def test_a_decision_shows_in_both_and_needs_somebody_else(tab, other_tab, room):
    answer(room.workspace, "rules", "Small")  # else the only user of a workspace is enough
    for one in (tab, other_tab):
        visit(one, room, f"candidates?study={room.study}&candidate={room.ids[0]}")
    tab.get_by_label("Reason").fill("It is better on all that counts.")
    tab.get_by_role("button", name="Approve").click()
    for one in (tab, other_tab):
        expect(one.get_by_text("It is better on all that counts.").first).to_be_visible()
        expect(one.get_by_text("who nominated it").first).to_be_visible()


def test_a_link_restores_the_comparison(tab, other_tab, room):
    visit(tab, room, f"candidates?study={room.study}")
    boxes = tab.get_by_test_id("stCheckbox")
    for row in (0, 1):
        boxes.nth(row).click()
        settled(tab)
    tab.get_by_role("button", name="Compare 2").click()
    expect(tab.locator("h1")).to_have_text("Compare")
    settled(tab)
    tab.get_by_label("Compare with").click()
    tab.get_by_role("option", name="uniform", exact=True).click()
    expect(tab.get_by_text("Predicted, compared with").first).to_contain_text("uniform")
    settled(tab)
    expect(tab.get_by_text("Not measured: open this candidate")).to_be_visible()
    visit(other_tab, room, tab.url.removeprefix(f"{room.url}/"))
    expect(other_tab.locator("h1")).to_have_text("Compare")
    expect(other_tab.get_by_text("Predicted, compared with").first).to_contain_text("uniform")
    for one in (tab, other_tab):
        expect(one.get_by_text("Difference to uniform with its 95% interval, bits per byte")).to_have_count(2)
    visit(tab, room, f"candidates?study={room.study}&compare={','.join(room.ids)}&against={room.ids[1]}")
    expect(tab.get_by_text("Difference to <b>Mostly</b>")).to_have_count(1)


def test_a_link_to_a_candidate_that_is_not_there(tab, room):
    """Others are in tests/review/test_reviews.py; this one is a script."""
    visit(tab, room, f"candidates?study={room.study}&candidate=<script>alert(1)</script>")
    expect(tab.get_by_text("Cannot find the candidate '<script>alert(1)</script>'").first).to_be_visible()
    expect(tab.get_by_role("button", name="Open").first).to_be_visible()
    expect(tab.get_by_test_id("stException")).to_have_count(0)


def test_a_megabyte_is_refused_and_stays_in_the_box(tab, room):
    visit(tab, room, f"candidates?study={room.study}&candidate={room.ids[1]}")
    box = tab.get_by_label(re.compile("Comment as"))
    box.fill("word " * 200_000)
    tab.get_by_role("button", name="Comment").click()
    expect(tab.get_by_text("at most 10,000 are allowed")).to_be_visible()
    assert len(box.input_value()) == 1_000_000
    expect(tab.locator("h1")).to_contain_text("<b>Mostly</b> *prose*")


def test_a_session_is_walked_by_the_keyboard(tab, room):
    visit(tab, room, f"review?study={room.study}&candidate={room.ids[0]}")
    expect(tab.locator("h1")).to_have_text(re.compile("Mostly python"))
    size = tab.locator("h1").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size > 50, "for the back of the room"
    tab.locator("h1").click()
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("h1")).to_contain_text("<b>Mostly</b> *prose*")
    expect(tab).to_have_url(re.compile(f"candidate={room.ids[1]}"))
    tab.keyboard.press("ArrowLeft")
    expect(tab.locator("h1")).to_have_text(re.compile("Mostly python"))
    tab.keyboard.press("o")
    expect(tab.get_by_text("Predicted against measured")).to_be_visible()
    expect(tab).to_have_url(re.compile(f"candidates.*candidate={room.ids[0]}"))


def test_the_report_opens_without_a_network(tab, room, browser, tmp_path):
    visit(tab, room, f"candidates?study={room.study}&candidate={room.ids[1]}")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download report").click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    assert path.stat().st_size < 2e6 and download.value.suggested_filename.startswith("b-mostly-b-prose")
    context = browser.new_context(offline=True)
    opened, asked, said = context.new_page(), [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("dialog", lambda dialog: said.append(f"a script ran: {dialog.message}"))
    opened.goto(path.as_uri())
    expect(opened.get_by_role("slider")).not_to_have_count(0)
    expect(opened.locator("h1")).to_contain_text("<b>Mostly</b> *prose*")
    expect(opened.get_by_text("because <script>alert(1)</script> it helps").first).to_be_visible()
    expect(opened.get_by_text("Draft.")).to_be_visible()
    headings = ("Decision", "The desk", "The mixture", "Predicted", "Predicted against measured", "How to reproduce")
    for heading in headings:
        expect(opened.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    before = opened.locator("#number").inner_text()
    opened.get_by_role("slider").first.focus()
    opened.keyboard.press("End")
    expect(opened.locator("#number")).not_to_have_text(before)
    assert opened.pdf(format="A4")[:4] == b"%PDF"
    assert asked == [path.as_uri()] and said == []
    context.close()


def test_the_report_from_the_command_line(room, tmp_path):
    out = tmp_path / "report.html"
    place = ["--workspace", str(room.workspace), "--out", str(out)]
    command = [sys.executable, "-m", "dashboard.report.html", *place]
    subprocess.run([*command, room.ids[0]], cwd=ROOT, check=True, timeout=120)
    assert "&lt;script&gt;" in out.read_text() and "<script>alert" not in out.read_text()
    wrong = subprocess.run([*command, "--force", "nobody"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 1 and "Cannot find the candidate 'nobody'" in wrong.stderr


def test_half_a_comment_outlives_the_page(tab, room):
    """A reload ends the session as an expired sign-in does; what was sent does not come back."""
    visit(tab, room, f"candidates?study={room.study}&candidate={room.ids[1]}")
    box = tab.get_by_label(re.compile("Comment as"))
    box.click()
    box.press_sequentially("half a thought")
    tab.wait_for_timeout(1000)
    tab.reload()
    expect(box).to_have_value("half a thought")
    tab.get_by_role("button", name="Comment").click()
    expect(tab.get_by_test_id("stText").get_by_text("half a thought")).to_be_visible()
    expect(box).to_have_value("")
    settled(tab)  # the browser's copy goes last
    tab.reload()
    expect(tab.get_by_test_id("stText").get_by_text("half a thought")).to_be_visible()
    expect(box).to_have_value("")
