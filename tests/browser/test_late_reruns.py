"""A click that leads to another page arrives there, though a part of the page that was left asked to be drawn again."""

import subprocess
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.support.running import ROOT, STARTS_WITHIN, free_port

pytestmark = pytest.mark.browser

APP = """
import time
import streamlit as st

@st.fragment(run_every=0.1)
def clock():
    st.caption(str(time.monotonic()))

def first():
    clock()
    if st.button("Go"):
        time.sleep(1)  # a busy server: the clock asks meanwhile, for this page
        st.switch_page(other)

def second():
    time.sleep(1)
    st.title("There")

other = st.Page(second, url_path="second")
st.navigation([st.Page(first), other]).run()
"""
SERVER = """
import sys
from streamlit.web import cli
if {drops}:
    from dashboard.server.late_reruns import drop_late_reruns
    drop_late_reruns()
options = ["--server.port", "{port}", "--server.headless", "true", "--browser.gatherUsageStats", "false"]
cli.main(["run", sys.argv[1], *options], standalone_mode=False)
"""


@pytest.fixture
def served(tmp_path, request):
    """The address of a small page of two, by Streamlit alone or with late requests dropped."""
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    code = SERVER.format(port=port, drops=request.param)
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "app.py")], cwd=ROOT, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def tab(browser, served):
    """A tab in which the button was pressed."""
    opened = browser.new_page()
    opened.goto(served)
    opened.get_by_role("button", name="Go").click()
    yield opened
    opened.close()


@pytest.mark.parametrize("served", [True], indirect=True)
def test_a_page_stays_that_was_switched_to(tab):
    expect(tab.locator("h1")).to_have_text("There")
    tab.wait_for_timeout(2000)
    assert tab.locator("h1").count() == 1


@pytest.mark.parametrize("served", [False], indirect=True)
def test_streamlit_alone_still_clears_it(tab):
    """Where this fails, Streamlit was mended: dashboard/server/late_reruns.py may go."""
    tab.wait_for_timeout(5000)
    assert tab.locator("h1").count() == 0
