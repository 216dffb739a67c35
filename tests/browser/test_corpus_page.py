"""The page Corpus in a real browser: a failed build is changed and queued again; text is uploaded and looked at."""

import json

import pytest
from playwright.sync_api import expect

from engine.core.workspace import Workspace
from engine.jobs.events import JobFailed, JobStarted
from engine.jobs.journal import write_event
from engine.jobs.spool import Spool
from engine.studies.corpora import build_corpus
from store.database import Store
from tests.support.running import PATIENCE, Page, until, watched_tab
from tests.support.working import small_text

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A page on a workspace whose only corpus could not be built: one of its domains held no text."""
    root = tmp_path_factory.mktemp("corpora")
    text = small_text(root / "text")
    (text / "empty.jsonl").write_text('{"content": "no text"}\n')
    store = Store(Workspace.open(root / "workspace"))
    job = build_corpus(store, "mine", {"source": {"type": "folder", "path": str(text)}}).id
    folder = store.spool.find(job)
    write_event(folder, JobStarted())
    write_event(folder, JobFailed(message="Cannot use the domain 'empty'."))
    store.spool.move(folder, "ended")
    store.close()
    running = Page(root / "workspace")
    running.spool = Spool(store.workspace.root)
    yield running
    running.stop()


def test_a_build_that_failed_is_changed_under_its_name(browser, server):
    for tab in watched_tab(browser, 1600):
        server.show(tab, "corpus")
        tab.get_by_role("button", name="Change").click(timeout=PATIENCE)
        expect(tab.get_by_label("Name")).to_have_value("mine")
        tab.get_by_role("combobox", name="Without").click()
        tab.get_by_role("option", name="empty").click()
        tab.keyboard.press("Escape")  # closes the list of domains, not the dialog
        tab.get_by_role("dialog").get_by_text("Private").click()
        tab.get_by_role("dialog").get_by_role("button", name="Build").click(timeout=10_000)
        until(lambda: len(server.spool.folders("queued")) == 1, 20)
        expect(tab.get_by_role("dialog")).to_have_count(0)
    (folder,) = server.spool.folders("queued")
    told = json.loads((folder / "spec.json").read_text())
    assert told["corpus"] == "mine" and told["source"]["without"] == ["empty"] and told["private"] is True


def test_uploaded_text_is_shown_by_domain_before_it_is_built(browser, server):
    kind = {"mimeType": "text/plain", "buffer": b"x" * 200_000}
    files = [{"name": name, **kind} for name in ("web.txt", "code.txt", "LICENSE")]
    for tab in watched_tab(browser, 1600):
        server.show(tab, "corpus")
        tab.get_by_role("button", name="New corpus").click(timeout=PATIENCE)
        dialog = tab.get_by_role("dialog")
        dialog.get_by_role("combobox", name="Source").click()
        tab.get_by_role("option", name="Files from this computer").click()
        dialog.locator("input[type=file]").set_input_files(files)
        expect(dialog.get_by_text("2 domains found")).to_be_visible()
        expect(dialog.get_by_text("Left out: LICENSE")).to_be_visible()
        dialog.get_by_label("Name").fill("no good/name")
        dialog.get_by_role("button", name="Build").click()
        expect(dialog.get_by_test_id("stAlertContentError")).to_be_in_viewport()
        dialog.get_by_label("Name").fill("uploaded")
        dialog.get_by_role("button", name="Build").click()
        expect(tab.get_by_role("dialog")).to_have_count(0)
    (folder,) = [one for one in server.spool.folders("queued") if "uploaded" in one.name]
    path = json.loads((folder / "spec.json").read_text())["source"]["path"]
    assert path.startswith(str(server.workspace / "uploads"))
