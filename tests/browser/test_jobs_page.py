"""The page Jobs in a real browser: live without a reload, silent when nothing runs; every button does what it says."""

import pytest
from playwright.sync_api import expect

from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.jobs.events import JobFailed, JobFinished, JobNote, JobProgress, JobStarted, RunFinished, RunsProgress
from engine.jobs.journal import write_event
from engine.jobs.spool import Job, Spool
from engine.spec.study import StudySpec
from store.database import Store
from tests.service.test_notices import MEASURED
from tests.support.running import PATIENCE, Page, until, visit
from tests.support.working import place, read_events

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def spool(tmp_path_factory) -> Spool:
    """A study whose only job runs (this process plays it), two jobs that wait, and one that failed."""
    workspace = Workspace.open(tmp_path_factory.mktemp("jobs") / "workspace")
    store = Store(workspace)
    spec = StudySpec.from_dict({"name": "Little", "corpus": "c", "runs": 8}).to_dict()
    store.write(StudyCreated(study="s", name="Little", spec=spec))
    run = {"id": "r1", "number": 1, "role": "design", "weights": [0.5, 0.5], "seed": 1, "job": "s-train"}
    job = {"job": "s-train", "spec": {"kind": "train", "study": "s"}}
    store.write(StudyPlanned(study="s", domains=["a", "b"], corpus={}, runs=[run], jobs=[job]))
    store.spool.submit(job["spec"], "s-train")
    for name in ("waits-a", "waits-b", "broken"):
        store.submit(name, {"kind": "corpus", "corpus": name, "source": {"type": "folder", "path": "/nowhere"}})
    broken = store.spool.find("broken")
    (broken / "log.txt").write_text("Traceback: <b>bold</b> words\n")
    write_event(broken, JobStarted())
    write_event(broken, JobFailed(message="It ended without a result: its process exited with code 3."))
    store.spool.move(broken, "ended")
    store.spool.move(store.spool.find("s-train"), "active")
    store.close()
    return Spool(workspace.root)


@pytest.fixture(scope="module")
def server(spool):
    running = Page(spool.workspace)
    yield running
    running.stop()


@pytest.fixture
def tab(browser, server):
    context = browser.new_context(viewport={"width": 1360, "height": 2000})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.frames_seen = []
    opened.on("websocket", lambda socket: socket.on("framereceived", lambda data: opened.frames_seen.append(len(data))))
    server.show(opened, "jobs")
    expect(opened.get_by_role("heading", name="Queue")).to_be_visible()
    yield opened
    context.close()


def test_running_jobs_are_live_without_a_reload(tab, spool, server):
    job = Job(spool.find("s-train"), spool.workspace, {})
    job.emit(JobStarted(pid=1, host="node-7"))
    job.emit(JobProgress(done=25, total=100, note="step 25"))
    expect(tab.get_by_text("step 25")).to_be_visible()
    progress = {"runs": ["r1"], "step": 50, "steps": 100, "tokens": 50, "loss": [2.5], "tokens_per_second": 12_345.0}
    job.emit(RunsProgress(**progress))
    job.emit(JobProgress(done=50, total=100, note="step 50"))
    expect(tab.get_by_text("step 50")).to_be_visible()
    expect(tab.get_by_text("12,345 tokens/s")).to_be_visible()
    expect(tab.get_by_text("node-7")).to_be_visible()
    for path in ("jobs", "corpus"):  # and every other page
        visit(tab, server, path)
        expect(tab.get_by_text("No worker is running")).to_be_visible()


def test_a_failure_says_why_and_what_to_do_and_shows_its_log_as_it_was_printed(tab, spool):
    expect(tab.get_by_text("exited with code 3. Find the cause in its log")).to_be_visible()
    tab.get_by_text("Log", exact=True).last.click()
    expect(tab.get_by_text("<b>bold</b> words")).to_be_visible()
    tab.get_by_role("button", name="Retry").click()
    until(lambda: place(spool, "broken") == "queued", 20)
    assert read_events(spool.find("broken"))[-1]["kind"] == "job.requeued"


def test_a_job_that_waits_is_moved_to_the_front_and_cancelled(tab, spool):
    box = tab.get_by_role("combobox", name="Job")
    box.click()
    tab.get_by_role("option", name="waits-b").click()
    tab.get_by_role("button", name="To the front").click()
    until(lambda: (spool.find("waits-b") / "priority").exists(), 20)
    assert float((spool.find("waits-b") / "priority").read_text()) == -1.0
    expect(tab.get_by_test_id("stStatusWidget")).to_have_count(0)
    tab.get_by_role("button", name="Cancel").last.click()
    until(lambda: place(spool, "waits-b") in ("ended", "sealed"), 20)


def test_a_study_is_paused_and_goes_on(tab, spool):
    tab.get_by_role("button", name="Pause").click()
    until(lambda: spool.paused() == {"s"}, 20)
    tab.get_by_role("button", name="Resume").click()
    until(lambda: spool.paused() == set(), 20)


def test_the_end_of_a_study_is_a_toast_and_then_nothing_polls(tab, spool):
    for name in ("waits-a", "broken"):
        spool.cancel(name)
    job = Job(spool.find("s-train"), spool.workspace, {})
    job.emit(JobNote("Trained on <i>one</i> core"))
    job.emit(RunFinished(run="r1", **MEASURED))
    job.emit(JobFinished())
    spool.move(job.folder, "ended")
    expect(tab.get_by_test_id("stToast")).to_contain_text("Study Little has finished: 1 of 1 runs done")
    expect(tab.get_by_text("No active jobs")).to_be_visible()
    expect(tab.get_by_text("Trained on <i>one</i> core")).to_be_visible()  # what it said can be read when it is done
    tab.wait_for_timeout(3000)
    before = len(tab.frames_seen)
    tab.wait_for_timeout(6000)
    assert len(tab.frames_seen) == before, "an idle page asked the server for something"
