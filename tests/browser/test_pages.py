"""The pages in a real browser: what a person sees, moves, filters, links and takes away."""

import re

import pytest
import yaml
from playwright.sync_api import expect

from tests.support.running import answer, engine, settled, until, visit, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture
def tab(browser, page):
    """A browser tab of its own; nothing may be written to the console as an error."""
    yield from watched_tab(browser, 1400)


def test_the_studies_page_shows_the_answer_with_its_noise(tab, page):
    visit(tab, page, "")
    expect(tab.get_by_text("natural mixture")).to_contain_text(re.compile(r"bits per byte.*\d% sure"))
    tab.get_by_text("Where the numbers come from").click()
    expect(tab.get_by_text("is the probability that the mixture is truly better")).to_be_visible()
    expect(tab.get_by_text("22 of 22 runs")).to_be_visible()
    expect(tab.get_by_text("22 runs (3 baselines, 16 design points, 3 repeats)")).to_be_visible()


def test_the_targets_fader_moves_the_epochs_and_is_kept_in_the_link(tab, page):
    visit(tab, page, "explore")
    epochs = tab.locator("p", has=tab.locator("strong", has_text="Epochs at "))
    before = epochs.inner_text()
    fader = tab.get_by_role("slider", name="Target: tokens of the real run")
    fader.focus()
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
    expect(epochs).not_to_have_text(before)
    settled(tab)
    moved, link = epochs.inner_text(), tab.url
    assert re.search("target=", link)
    tab.goto(link)
    expect(epochs).to_have_text(moved)
    visit(tab, page, "explore?target=1e15&size=7e9")
    expect(tab.get_by_text("No mixture keeps to it")).to_be_visible()
    expect(tab.get_by_text("7B", exact=True)).to_be_visible()
    visit(tab, page, "explore?target=nonsense&size=-3")
    expect(epochs).to_have_text(before)


def test_a_fader_moves_the_others_and_the_predictions(tab, page):
    visit(tab, page, "explore")
    metric = tab.get_by_test_id("stMetricValue").first
    before, tracks = metric.inner_text(), tab.get_by_role("slider", name="Share of")
    shares = [float(tracks.nth(i).get_attribute("aria-valuenow")) for i in range(3)]
    tracks.nth(0).focus()
    for _ in range(3):
        tab.keyboard.press("PageDown" if shares[0] > 50 else "PageUp")
    expect(metric).not_to_have_text(before)
    moved = [float(tracks.nth(i).get_attribute("aria-valuenow")) for i in range(3)]
    assert sum(moved) == pytest.approx(100, abs=0.2)
    assert moved[1] / moved[2] == pytest.approx(shares[1] / shares[2], rel=0.1)
    assert re.search("mix=", tab.url)


def test_one_domain_gives_way(tab, page):
    visit(tab, page, "explore?mix=0.4,0.3,0.3&from=prose")
    tracks = tab.get_by_role("slider", name="Share of")
    expect(tracks).to_have_count(3)
    before = {t.get_attribute("aria-label"): float(t.get_attribute("aria-valuenow")) for t in tracks.all()}
    tab.get_by_role("slider", name="Share of python").focus()
    tab.keyboard.press("PageUp")
    settled(tab)
    after = {t.get_attribute("aria-label"): float(t.get_attribute("aria-valuenow")) for t in tracks.all()}
    moved = {name.split()[-1]: after[name] - before[name] for name in before}
    assert moved == pytest.approx({"python": 10, "prose": -10, "digits": 0}, abs=0.2)
    expect(tab).to_have_url(re.compile("from=prose"))


def test_the_leaderboard_says_what_to_believe_and_is_found_by_old_links(tab, page):
    visit(tab, page, "league?surrogate=ridge")
    expect(tab).to_have_url(re.compile("/leaderboard"))
    expect(tab.get_by_text("is the default")).to_contain_text("Its held-out rank correlation is")
    expect(
        tab.get_by_text("More runs are worth it:")
        .or_(tab.get_by_text("would have been enough"))
        .or_(tab.get_by_text("More runs have not made"))
        .first
    ).to_be_visible()
    expect(tab.locator(".mixdesk-plot")).to_have_count(6)
    expect(tab.get_by_text("run only once, being slow")).to_be_visible()
    expect(tab).to_have_url(re.compile("surrogate=ridge"))


def test_the_first_page_opens_by_its_own_path_too(tab, page):
    page.show(tab, "studies")
    expect(tab.get_by_role("heading", name="Studies", exact=True)).to_be_visible()
    expect(tab.get_by_text("Page not found")).to_have_count(0)


def test_a_locked_fader_stays(tab, page):
    visit(tab, page, "explore")
    tracks, locks = tab.get_by_role("slider", name="Share of"), tab.get_by_role("button", name=re.compile("^Lock"))
    locks.nth(1).click()
    expect(tab).to_have_url(re.compile("lock="))
    held, unmoved = tracks.nth(1).get_attribute("aria-valuenow"), tab.url
    tracks.nth(0).focus()
    tab.keyboard.press("ArrowUp")
    assert tracks.nth(1).get_attribute("aria-valuenow") == held
    expect(tab).not_to_have_url(unmoved)  # the losses are of the new position from here on
    settled(tab)
    number = tab.get_by_test_id("stMetricValue").first.inner_text()
    shown = [tracks.nth(i).get_attribute("aria-valuenow") for i in range(3)]
    link = tab.url
    tab.goto("about:blank")
    tab.goto(link)
    expect(tab.locator("h1")).to_be_visible()
    settled(tab)
    expect(locks.nth(1)).to_have_attribute("aria-pressed", "true")
    assert [tracks.nth(i).get_attribute("aria-valuenow") for i in range(3)] == shown
    expect(tab.get_by_test_id("stMetricValue").first).to_have_text(number)


def test_a_mouse_drags_a_fader(tab, page):
    visit(tab, page, "explore")
    track = tab.get_by_role("slider", name="Share of python")
    box = track.bounding_box()
    low, high = ({"x": box["width"] / 2, "y": box["height"] * part} for part in (0.9, 0.25))
    track.drag_to(track, source_position=low, target_position=high)  # once it stands still
    assert float(track.get_attribute("aria-valuenow")) == pytest.approx(75, abs=2)


def test_a_link_restores_the_view(tab, page, browser):
    visit(tab, page, "explore?study=&mix=0.5,0.3,0.2&surrogate=ridge&look=Response")
    tracks = tab.get_by_role("slider", name="Share of")
    assert [tracks.nth(i).get_attribute("aria-valuenow") for i in range(3)] == ["50.0", "30.0", "20.0"]
    expect(tab.get_by_text("Quadratic ridge on 19 runs")).to_be_visible()
    expect(tab.get_by_text("come from the others proportionally")).to_be_visible()


def test_a_passage_is_tinted_as_the_nearest_run_reads_it(tab, page):
    visit(tab, page, "explore?look=Passages&mix=0.8,0.1,0.1")
    tokens = tab.locator(".mixdesk-passage span")
    expect(tokens).to_have_count(33)
    expect(tokens.nth(5)).to_have_attribute("title", re.compile(r"\d+\.\d\d bits"))
    near = tab.get_by_text("Measured by the run")
    before = near.inner_text()
    tab.get_by_role("slider", name="Share of python").focus()
    tab.keyboard.press("End")
    expect(near).not_to_have_text(before)


def test_a_tampered_link_is_harmless(tab, page):
    visit(tab, page, "explore?study=<script>alert(1)</script>&mix=1,nan,x&surrogate=../../etc&priorities=a:b,python:9")
    expect(tab.get_by_text("No study here has the id in this link")).to_be_visible()
    expect(tab.get_by_test_id("stMetricValue").first).to_be_visible()


def test_brushing_filters_the_table_and_keeps_the_chart(tab, page):
    visit(tab, page, "runs")
    count = tab.get_by_text(re.compile(r"\d+ of \d+ runs\. Losses"))
    before = count.inner_text()
    axis = tab.locator(".mixdesk-plot .parcoords .axis-brush").first
    box = axis.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.5, steps=6)
    tab.mouse.up()
    expect(count).not_to_have_text(before)
    shown, everything = map(int, re.match(r"(\d+) of (\d+)", count.inner_text()).groups())
    assert 0 < shown < everything
    expect(tab.get_by_text(f"{shown} of {everything} runs, those that are brushed")).to_be_visible()
    brushes = tab.evaluate(
        "[...document.querySelectorAll('.mixdesk-plot')].flatMap(e => e._fullData ?? [])"
        ".filter(t => t.type === 'parcoords')[0].dimensions.filter(d => d.constraintrange).length"
    )
    assert brushes == 1
    expect(tab).to_have_url(re.compile("brush="))
    words, link = count.inner_text(), tab.url
    tab.goto("about:blank")
    tab.goto(link)
    expect(count).to_have_text(words)


def test_every_detail_is_drawn(tab, page):
    visit(tab, page, "explore")
    looks = ("Response", "Interactions", "Ternary", "Contributions", "Residuals", "Fit diagnostics", "Influence")
    for look in looks:
        tab.get_by_role("radio", name=look).or_(tab.get_by_role("button", name=look)).first.click()
        settled(tab)
        expect(tab.get_by_test_id("stException")).to_have_count(0)
    expect(tab.locator(".mixdesk-plot .heatmaplayer")).to_have_count(1)
    tab.get_by_role("radio", name="Repetition").or_(tab.get_by_role("button", name="Repetition")).first.click()
    expect(tab.get_by_text("What repetition does is unknown here: all runs had one budget")).to_be_visible()


def test_an_export_is_the_mixture_on_the_page(tab, page):
    visit(tab, page, "export?candidate=uniform")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download draft_mixture.yaml").click()
    with open(download.value.path()) as file:
        shares = yaml.safe_load(file)["train"]
    assert shares == pytest.approx({"digits": 1 / 3, "prose": 1 / 3, "python": 1 / 3}, abs=1e-6)


def test_the_form_says_what_a_study_costs_and_refuses_nonsense(tab, page):
    visit(tab, page, "")
    tab.get_by_role("button", name="New study").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_text("Estimated time")).to_be_visible()
    name = dialog.get_by_label("Name")
    name.fill(" ")
    name.press("Enter")
    expect(dialog.get_by_text("Cannot use ' ' as a study's name")).to_be_visible()


# A chart that is not drawn yet has none: those who wait ask until it has.
AXES = "[...document.querySelectorAll('.mixdesk-plot')].map(e => e._fullLayout?.yaxis?.title?.text ?? '').join(' ')"


def test_figures_carry_the_unit_that_is_in_the_link_or_chosen(tab, page):
    visit(tab, page, "runs?unit=perplexity")
    tab.wait_for_selector(".mixdesk-plot .main-svg")
    settled(tab)
    assert "perplexity per byte" in tab.evaluate(AXES) and "bits per byte" not in tab.evaluate(AXES)
    tab.get_by_role("combobox", name="Unit of losses").click()
    tab.get_by_role("option", name="nats per byte").click()
    expect(tab).to_have_url(re.compile("unit=nats"))
    tab.wait_for_function(f"{AXES}.includes('training loss, nats per byte')")
    tab.get_by_role("link", name="Explore").click()
    expect(tab.get_by_text("Mean loss, predicted (nats per byte)")).to_be_visible()
    assert "unit=nats" in tab.url


@pytest.fixture
def attack(page):
    """A name for a study; what the test calls so is cancelled and deleted, since others look at this page too."""
    name = "<img src=x onerror=alert(1)> **bold** https://a.example www.b.example"
    yield name
    answer(page.workspace, "cancel", name)
    until(lambda: engine(page.workspace, "delete", name, "--called", name, check=False).returncode == 0, 30)


def test_names_are_shown_as_they_are_written(tab, page, attack):
    """A study that is called like an attack is listed as text, and can be cancelled."""
    visit(tab, page, "")
    tab.get_by_role("button", name="New study").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Name").fill(attack)
    dialog.get_by_role("button", name="Start").click()
    card = tab.get_by_text("<img src=x onerror=alert(1)>").first
    expect(card).to_be_visible()
    assert tab.locator("img[src='x']").count() == 0
    assert tab.locator("a[href*='example']").count() == 0
    tab.get_by_role("button", name="Cancel").first.click()
    expect(tab.get_by_text("Its measurements are kept")).to_be_visible()
    visit(tab, page, "runs")  # a study of which nothing is measured yet
    expect(tab.get_by_text("Curves appear a few seconds after")).to_be_visible()
    expect(tab.get_by_test_id("stException")).to_have_count(0)
