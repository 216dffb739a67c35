"""Whole ways through the page in a real browser, with a worker beside it: from the first start, from a folder of one's
own, from a merge file, and through a review by two people, each to the file that somebody takes away."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect
from safetensors.numpy import load_file

from dashboard.views.shared.text import JOINER
from engine.jobs.spool import Spool
from tests.browser.test_sign_in import provider, sign_in  # noqa: F401  (a fixture)
from tests.support.access_files import EXAMPLE, write_access
from tests.support.running import Page, copied, free_port, settled, watched_tab, write_domains
from tests.support.working import worker

pytestmark = [pytest.mark.browser, pytest.mark.soak]
TRAINING = 1_200_000  # milliseconds for studies that are trained in front of the page


@pytest.fixture
def tab(browser):
    yield from watched_tab(browser, 1800)


@pytest.fixture
def other_tab(browser):
    """A colleague's browser."""
    for opened in watched_tab(browser, 1800, reduced_motion="reduce"):
        yield without_network(opened)


def without_network(tab: Tab) -> Tab:
    """The sign-in provider's own pages take their looks from the network."""
    tab.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))
    return tab


@contextmanager
def working(workspace: Path, **more) -> Iterator[Page]:
    """The page on a workspace, and a worker."""
    page = Page(workspace, **more)
    try:
        with worker(Spool(workspace)):
            yield page
    finally:
        page.stop()


def go(tab: Tab, page: str, heading: str | None = None) -> None:
    """To another page, by its link in the navigation."""
    tab.get_by_test_id("stSidebarNav").get_by_role("link", name=page, exact=True).click()
    expect(tab.locator("h1")).to_have_text(heading or page)
    settled(tab)


def taken(tab: Tab, button: str, folder: Path) -> str:
    """The text of a file that is downloaded."""
    with tab.expect_download() as download:
        tab.get_by_role("button", name=button).click()
    download.value.save_as(folder / "taken")
    return (folder / "taken").read_text()


def exported_shares(tab: Tab, folder: Path) -> list[float]:
    """The shares of the recipe on *Export*, taken as the weights of DoReMi."""
    go(tab, "Export")
    tab.get_by_role("combobox", name="Format").click()
    tab.get_by_role("option", name=re.compile("DoReMi")).click()
    settled(tab)
    return list(json.loads(taken(tab, "Download draft_doremi.json", folder))["train_domain_weights"].values())


def nominate(tab: Tab, name: str, why: str) -> None:
    """The position of the faders, under a name and for a reason; its own page opens."""
    tab.get_by_role("button", name="Nominate").first.click()
    form = tab.get_by_test_id("stPopoverBody")
    form.get_by_label("Name").fill(name)
    form.get_by_label(re.compile("Why should it be")).fill(why)
    form.get_by_role("button", name="Nominate").click()
    expect(tab.locator("h1")).to_have_text(re.compile(name))


def test_from_the_first_start_to_an_export(tab, tmp_path):
    """The demo trains, gives its answer, and the mixture leaves."""
    with working(tmp_path / "workspace", demo=True) as page:
        page.show(tab)
        expect(tab.get_by_role("button", name="New study")).to_be_visible()
        expect(tab.get_by_text("natural mixture").first).to_be_visible(timeout=TRAINING)
        shares = exported_shares(tab, tmp_path)
        assert sum(shares) == pytest.approx(1, abs=1e-6) and min(shares) >= 0


def test_from_a_folder_of_ones_own_to_a_recipe(tab, tmp_path):
    write_domains(tmp_path / "text")
    with working(tmp_path / "workspace") as page:
        page.show(tab, "corpus")
        tab.get_by_role("button", name="New corpus").click()
        form = tab.get_by_role("dialog")
        form.get_by_label("Name").fill("mine")
        form.get_by_role("textbox", name="Folder").fill(str(tmp_path / "text"))
        form.get_by_role("textbox", name="Folder").press("Enter")
        expect(form.get_by_text("3 domains found")).to_be_visible()
        form.get_by_role("button", name="Build").click()
        expect(tab.get_by_text("Built in")).to_be_visible(timeout=TRAINING)
        go(tab, "Studies")
        tab.get_by_role("button", name="New study").click()
        form.get_by_label("Name").fill("Mine")
        form.get_by_label("Name").press("Enter")
        form.get_by_role("tab", name="Proxies").click()
        for label, value in (("Tokens per proxy", "32768"), ("Context, tokens", "32"), ("Layers", "1")):
            form.get_by_role("spinbutton", name=label).fill(value)
            form.get_by_role("spinbutton", name=label).press("Enter")
            settled(tab)
        form.get_by_role("button", name="Start").click()
        expect(tab.get_by_text("Mine").first).to_be_visible()
        go(tab, "Studies")
        expect(tab.get_by_text("natural mixture").first).to_be_visible(timeout=TRAINING)
        shares = exported_shares(tab, tmp_path)
        assert len(shares) == 3 and sum(shares) == pytest.approx(1, abs=1e-6)


MERGE_FILE = """
merge_method: task_arithmetic
base_model: base
models:
  - {model: prose, parameters: {weight: 0.625}}
  - {model: python, parameters: {weight: 0.25}}
"""


def test_from_a_merge_file_to_a_checkpoint(tab, merged, tmp_path):
    copied(merged, tmp_path / "workspace")
    with working(tmp_path / "workspace") as page:
        page.show(tab)
        tab.get_by_role("combobox", name="Study").click()
        tab.get_by_role("option", name="Small merge").click()
        settled(tab)
        go(tab, "Explore")
        tab.get_by_text("Open a merge file").click()
        given = {"name": "merge.yml", "mimeType": "application/yaml", "buffer": MERGE_FILE.encode()}
        tab.locator("input[type=file]").set_input_files(given)
        tab.get_by_role("button", name="Set faders to this file").click()
        expect(tab.get_by_role("slider", name="prose", exact=True)).to_have_attribute("aria-valuenow", "0.625")
        settled(tab)
        nominate(tab, "From a file", "It was merged so before.")
        settled(tab)
        tab.get_by_role("button", name="Export").click()
        expect(tab.locator("h1")).to_have_text("Export")
        settled(tab)
        tab.get_by_label("Name").fill("mine")
        tab.get_by_label("Name").press("Enter")
        tab.get_by_role("button", name="Write checkpoint").click()
        expect(tab.get_by_text("Written to")).to_be_visible()
    written = load_file(tmp_path / "workspace/exports/mine.safetensors")
    base, _, prose, python = [load_file(one) for one in sorted(tmp_path.glob("workspace/experts/*/*.safetensors"))]
    for name, tensor in written.items():
        wanted = base[name] + 0.625 * (prose[name] - base[name]) + 0.25 * (python[name] - base[name])
        assert abs(tensor - wanted).max() < 1e-5


def test_a_review_by_two(tab, other_tab, finished, provider, tmp_path):  # noqa: F811
    """An operator nominates, a reviewer approves, and what is exported says so."""
    workspace, port = copied(finished, tmp_path / "workspace"), free_port()
    write_access(workspace, EXAMPLE.format(url=f"http://127.0.0.1:{port}", provider=provider))
    page = Page(workspace, port=port)
    try:
        sign_in(without_network(tab), page, "olga@example.org", "explore?mix=0.2,0.3,0.5")
        expect(tab.locator("h1")).to_have_text("Explore")
        settled(tab)
        nominate(tab, "For two", "To hold others against it.")
        link = tab.url.removeprefix(f"{page.url}/")
        sign_in(other_tab, page, "rob@example.org", link)
        expect(other_tab.locator("h1")).to_have_text(re.compile("For two"))
        settled(other_tab)
        other_tab.get_by_role("button", name="Approve", exact=True).click()
        expect(tab.get_by_text("approved").first).to_be_visible()  # without a reload
        tab.get_by_role("button", name="Export").click()
        expect(tab.get_by_text("Approved by")).to_contain_text(f"rob@{JOINER}example.org")
    finally:
        page.stop()
