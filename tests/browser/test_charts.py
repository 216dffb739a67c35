"""Charts in a real browser: they fit windows of any width, can be read, and are drawn where somebody sees them."""

import pytest
from playwright.sync_api import expect

from tests.support.running import all_drawn, settled, visit, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture
def tab(browser, page):
    """A browser tab of its own; nothing may be written to the console as an error."""
    yield from watched_tab(browser, 1400)


TITLES_CUT = """[...document.querySelectorAll('.mixdesk-plot')].flatMap(plot => {
    const box = plot.getBoundingClientRect();
    return [...plot.querySelectorAll('.xtitle, .ytitle')].filter(title => {
        const own = title.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1
            || own.bottom > box.bottom + 1;
    }).map(title => title.textContent);
})"""


@pytest.mark.parametrize("path", ["explore", "leaderboard"])
def test_titles_of_axes_fit_windows_of_any_width(tab, page, path):
    """Narrow when it opens, wider and narrow again while it is open."""
    tab.set_viewport_size({"width": 390, "height": 900})
    visit(tab, page, path)
    all_drawn(tab)
    tab.wait_for_selector(".mixdesk-plot .main-svg")
    for width in (390, 1024, 420):
        tab.set_viewport_size({"width": width, "height": 900})
        settled(tab)
        tab.wait_for_function(f"{TITLES_CUT}.length === 0")


TOO_WIDE = """[...document.querySelectorAll('.mixdesk-plot')].filter(plot => plot._fullLayout &&
    plot.querySelector('.svg-container').getBoundingClientRect().width > plot.clientWidth + 1).length"""


@pytest.mark.parametrize("path", ["runs", "search"])
def test_charts_follow_a_window_that_becomes_narrow(tab, page, path):
    """Also those whose legend needs more rows then, and once more after that."""
    tab.set_viewport_size({"width": 1440, "height": 900})
    visit(tab, page, path)
    all_drawn(tab)
    tab.wait_for_selector(".mixdesk-plot .main-svg")
    for width in (1024, 390, 1024, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        settled(tab)
        tab.wait_for_function(f"{TOO_WIDE} === 0")
        main = tab.get_by_test_id("stMain")
        assert main.evaluate("main => main.scrollWidth <= main.clientWidth"), width


CONTRAST = """const pen = new OffscreenCanvas(1, 1).getContext('2d');
    const seen = (...colours) => {
        colours.forEach(colour => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); });
        return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = parts => parts.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055)
        ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const contrast = (colour, ground) => {
        const [a, b] = [luminance(seen(ground, colour)), luminance(seen(ground))].sort((a, b) => b - a);
        return (a + .05) / (b + .05);
    };"""
CONTRASTS = f"""(() => {{
    {CONTRAST}
    return [...document.querySelectorAll('.mixdesk-plot .bars .bartext-inside')].map(number => contrast(
        getComputedStyle(number).fill, getComputedStyle(number.parentNode.querySelector('path')).fill));
}})()"""
GROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
BEST = f"""(() => {{
    {CONTRAST}
    const runs = [...document.querySelectorAll('.mixdesk-plot')].find(plot => plot.querySelector('.parcoords'));
    const axis = getComputedStyle(runs.querySelector('.parcoords .axis path')).stroke;
    return [runs._fullData[0].line.colorscale[0][1], axis].map(colour => contrast(colour, {GROUND}));
}})()"""
RINGS = f"""(() => {{
    {CONTRAST}
    const rings = document.querySelectorAll('[data-testid=stRadioOption]:not([data-selected]) > div > :first-child');
    return [...rings].map(ring => contrast(getComputedStyle(ring).borderTopColor, {GROUND}));
}})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_best_runs_and_what_is_not_chosen_stand_out(tab, page, scheme):
    tab.emulate_media(color_scheme=scheme)
    visit(tab, page, "runs")
    tab.wait_for_selector(".mixdesk-plot .parcoords .axis path")
    assert min(tab.evaluate(BEST)) >= 3
    visit(tab, page, "import")
    tab.get_by_text("RegMix: two CSV files").wait_for()
    found = tab.evaluate(RINGS)
    assert len(found) == 3 and min(found) >= 3, found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_in_bars_and_cells_can_be_read(tab, page, scheme):
    tab.emulate_media(color_scheme=scheme)
    visit(tab, page, "search")
    tab.wait_for_selector(".mixdesk-plot .bartext-inside")
    settled(tab)
    found = tab.evaluate(CONTRASTS)
    assert len(found) > 3 and min(found) >= 4.5, found
    visit(tab, page, "leaderboard")
    tab.wait_for_selector(".mixdesk-plot .heatmap-label text")
    inks = "[...document.querySelectorAll('.heatmap-label text')].map(one => getComputedStyle(one).fill)"
    assert set(tab.evaluate(inks)) <= {"rgb(0, 0, 0)", "rgb(255, 255, 255)"}


def test_labels_of_many_axes_stay_apart_in_a_narrow_window(tab, page):
    """Whatever that takes, the page does not scroll sideways."""
    tab.set_viewport_size({"width": 390, "height": 900})
    visit(tab, page, "runs")
    tab.wait_for_selector(".mixdesk-plot .parcoords")
    settled(tab)
    places = tab.evaluate(
        "[...document.querySelectorAll('.parcoords .y-axis')].map(axis => axis.getBoundingClientRect().x)"
    )
    room, axes = tab.evaluate(
        """[...document.querySelectorAll('.mixdesk-plot')].filter(plot => plot.querySelector('.parcoords'))
        .map(plot => [plot._fullLayout._size.w, plot._fullData[0].dimensions.length])[0]"""
    )
    assert axes > 6 and len(places) == axes and room / (axes - 1) >= 38, (room, axes)
    ends = tab.evaluate(
        """[...document.querySelectorAll('.parcoords .axis-title')].map(title => [title.getBoundingClientRect().right,
        title.closest('.mixdesk-plot').getBoundingClientRect().right])"""
    )
    assert ends and all(right <= edge + 1 for right, edge in ends), "no label is cut off"
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tab.set_viewport_size({"width": 1400, "height": 900})


def test_charts_out_of_sight_are_drawn_once_they_come_near_or_for_paper(tab, page):
    tab.set_viewport_size({"width": 1360, "height": 500})
    visit(tab, page, "runs")
    undrawn = "[...document.querySelectorAll('.mixdesk-plot')].filter(one => !one._fullLayout).length"
    expect(tab.locator(".mixdesk-plot[data-out-of-sight]").last).to_be_attached()
    left = tab.evaluate(undrawn)
    assert left > 0
    tab.locator(".mixdesk-plot[data-out-of-sight]").first.scroll_into_view_if_needed()
    tab.wait_for_function(f"{undrawn} < {left}")
    all_drawn(tab)
    assert tab.evaluate(undrawn) == 0
