"""The desk in the hand: keys, typed values, mute, solo, undo, scenes, and the way back, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.running import settled, visit, watched_tab

pytestmark = pytest.mark.browser
START = "explore?mix=0.5,0.3,0.2"  # digits, prose, python


@pytest.fixture
def tab(browser, page):
    """A browser tab of its own, as high as a laptop's; nothing may be written to the console as an error."""
    yield from watched_tab(browser, 900)


def shares(tab) -> list[float]:
    tracks = tab.get_by_role("slider", name=re.compile("^Share of")).all()
    return [float(track.get_attribute("aria-valuenow")) for track in tracks]


def standing(tab, *wanted: float) -> None:
    """Wait until the faders stand there, to a tenth of a percent."""
    tracks = tab.get_by_role("slider", name=re.compile("^Share of"))
    for place, share in enumerate(wanted):
        expect(tracks.nth(place)).to_have_attribute("aria-valuenow", f"{share:.1f}")


def linked(tab, *wanted: float) -> None:
    """Wait until the link holds the position."""
    text = "(%2C|,)".join(f"{share:.5f}" for share in wanted)
    expect(tab).to_have_url(re.compile(f"mix={text}"))


def test_faders_and_losses_stand_on_one_screen(tab, page):
    visit(tab, page, START)
    for part in (".mixdesk-desk", ".mixdesk-meters", "[data-testid=stMetricValue]"):
        box = tab.locator(part).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 900, part
    tab.get_by_text("Fit diagnostics").first.scroll_into_view_if_needed()
    assert tab.locator(".mixdesk-desk").bounding_box()["y"] >= 0  # it stays in sight


def test_switches_are_wide_enough_for_a_finger(tab, page):
    tab.set_viewport_size({"width": 250, "height": 900})  # as narrow for three faders as a phone is for six
    visit(tab, page, START)
    switches = tab.locator(".mixdesk-desk .switches button")
    expect(switches).to_have_count(9)
    boxes = [one.bounding_box() for one in switches.all()]
    assert min(min(box["width"], box["height"]) for box in boxes) >= 24


def test_keys_move_a_fader(tab, page):
    visit(tab, page, START)
    standing(tab, 50, 30, 20)
    tab.keyboard.press("3")
    expect(tab.get_by_role("slider", name="Share of python")).to_be_focused()
    tab.keyboard.press("ArrowUp")
    standing(tab, 49.4, 29.6, 21.0)
    tab.keyboard.press("Shift+ArrowDown")
    standing(tab, 49.4, 29.7, 20.9)
    tab.keyboard.press("Home")
    standing(tab, 62.5, 37.5, 0)
    tab.keyboard.press("End")
    standing(tab, 0, 0, 100)
    text = tab.get_by_role("slider", name="Share of python").get_attribute("aria-valuetext")
    assert text.startswith("100.0%; natural ")


def test_a_value_can_be_typed(tab, page):
    """What is no number changes nothing; what is too much is all."""
    visit(tab, page, START)
    box = tab.get_by_label("Share of python, typed")
    for typed, share in (("", 20), ("35", 35), ("12.5 %", 12.5), ("7,5", 7.5), ("x", 7.5), ("140", 100)):
        box.click()
        box.fill(typed)
        tab.keyboard.press("Enter")
        standing(tab, 62.5 * (100 - share) / 100, 37.5 * (100 - share) / 100, share)
        expect(box).to_have_value(f"{share:.1f}%")


def test_mute_and_solo_come_back(tab, page):
    visit(tab, page, START)
    mute, solo = tab.get_by_role("button", name="Mute prose"), tab.get_by_role("button", name="Solo python")
    mute.click()
    standing(tab, 71.4, 0, 28.6)
    expect(mute).to_have_attribute("aria-pressed", "true")
    mute.click()
    standing(tab, 50, 30, 20)
    solo.click()
    standing(tab, 0, 0, 100)
    solo.click()
    standing(tab, 50, 30, 20)
    tab.get_by_role("button", name="Lock digits").click()
    solo.click()
    standing(tab, 50, 0, 50)  # what is locked stays


def test_undo_and_redo(tab, page):
    visit(tab, page, START)
    tab.get_by_role("slider", name="Share of python").focus()
    tab.keyboard.press("PageUp")
    tab.keyboard.press("PageUp")
    standing(tab, 37.5, 22.5, 40)
    tab.keyboard.press("Control+z")
    standing(tab, 43.8, 26.2, 30)
    tab.keyboard.press("Control+z")
    standing(tab, 50, 30, 20)
    tab.keyboard.press("Control+Shift+z")
    standing(tab, 43.8, 26.2, 30)
    tab.get_by_role("button", name="uniform", exact=True).click()
    standing(tab, 33.3, 33.3, 33.3)
    tab.get_by_role("button", name="Undo the last move").click()
    standing(tab, 43.8, 26.2, 30)


def test_the_browsers_back_goes_back_to_where_the_faders_rested(tab, page):
    visit(tab, page, START)
    linked(tab, 0.5, 0.3, 0.2)
    for typed, left in (("40", (0.375, 0.225, 0.4)), ("60", (0.25, 0.15, 0.6))):
        tab.get_by_label("Share of python, typed").fill(typed)
        tab.keyboard.press("Enter")
        linked(tab, *left)
        settled(tab)
    number = tab.get_by_test_id("stMetricValue").first.inner_text()
    tab.go_back()
    standing(tab, 37.5, 22.5, 40)
    expect(tab.get_by_test_id("stMetricValue").first).not_to_have_text(number)
    settled(tab)
    tab.go_back()
    standing(tab, 50, 30, 20)
    settled(tab)
    tab.go_forward()
    standing(tab, 37.5, 22.5, 40)


def test_scenes_are_kept_and_faded_between_and_travel_in_the_link(tab, page):
    visit(tab, page, START)
    tab.get_by_role("button", name="Keep this position as scene A").click()
    tab.get_by_role("slider", name="Share of python").focus()
    tab.keyboard.press("End")
    expect(tab.get_by_role("slider", name="From scene A to scene B")).to_be_hidden()
    tab.keyboard.press("b")
    crossfader = tab.get_by_role("slider", name="From scene A to scene B")
    crossfader.fill("0.5")
    standing(tab, 25, 15, 60)
    expect(crossfader).to_have_value("0.5")
    tab.keyboard.press("a")
    standing(tab, 50, 30, 20)
    expect(crossfader).to_have_value("0")  # it stands where the desk does
    expect(tab).to_have_url(re.compile("sceneB=0.00000"))
    settled(tab)
    tab.goto(tab.url)
    tab.get_by_role("button", name="Go to scene B").click()
    standing(tab, 0, 0, 100)


def test_meters_say_what_the_number_is_and_set_uncounted_ones_apart(tab, page):
    visit(tab, page, START)
    table = tab.locator(".mixdesk-meters table")
    expect(table.get_by_role("row")).to_have_count(4)
    expect(table).to_contain_text("Not counted, on a scale of their own")
    expect(table.locator("tr").last).to_contain_text("digits")
    expect(table.locator("td.value").first).to_contain_text("±")
    expect(table.locator("caption")).to_contain_text("bits per byte; left is better")


def test_tried_positions_stay_as_marks(tab, page):
    visit(tab, page, START)
    marks = tab.locator(".mixdesk-desk .tried").first.locator("i")
    expect(marks).to_have_count(0)
    tab.get_by_role("slider", name="Share of python").focus()
    tab.keyboard.press("PageUp")
    expect(marks).to_have_count(1)
    tab.keyboard.press("PageUp")
    expect(marks).to_have_count(2)
    tab.keyboard.press("Control+z")
    expect(marks).to_have_count(2)  # where it stands now is no mark
