"""Mixdesk as its users run it: the command line, the page, a browser tab; and a small study to run it on."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zlib

from engine.cli import command_line
from tests.support.warm import warm_worker

ROOT = pathlib.Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
HEADLESS, WHOLE = "/usr/bin/chromium-headless-shell", "/usr/bin/chromium"
CHROMIUM = HEADLESS if os.path.exists(HEADLESS) else WHOLE  # the first draws no window
STARTS_WITHIN = 300  # seconds, or ends: a page that cannot start ends by itself, and is not waited for
DRAWN = "chart => chart._fullLayout || 'outOfSight' in chart.dataset"
PATIENCE = 90_000  # milliseconds for what the page will show: other tests share the cores

STUDY = """
name = "Small"
corpus = "small"
runs = 16
repeats = 3
priorities = {digits = 0.0}
surrogates = ["log_linear", "ridge", "gp", "stack"]
[fidelity]
width = 16
layers = 1
heads = 1
context = 32
tokens = 32768
eval_tokens = 2048
learning_rate = 0.01
[compute]
group = 11
"""


TINY = STUDY.replace("Small", "Tiny").replace("runs = 16", "runs = 8").replace("repeats = 3", "repeats = 0")
MERGE = STUDY.replace('"Small"', '"Small merge"').replace("[fidelity]", '[merge]\nof = "Small"\n[fidelity]')


def engine(
    workspace: pathlib.Path, *arguments: str, check: bool = True, folder: pathlib.Path = ROOT
) -> subprocess.CompletedProcess:
    """Run `python -m engine` on a workspace, from a folder; in this process, as starting Python each time would be a
    tenth of all tests' time. Jobs that it waits for are forked for the same reason."""
    words, out, errors = ["--workspace", str(workspace), *arguments], io.StringIO(), io.StringIO()
    served = warm_worker(workspace) if "--wait" in arguments and workspace.exists() else contextlib.nullcontext()
    with served, contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            code = command_line.main(words)
        except SystemExit as end:  # the command line was wrong
            code = end.code
    done = subprocess.CompletedProcess(words, code, out.getvalue(), errors.getvalue())
    assert code == 0 or not check, done.stderr
    return done


def answer(workspace: pathlib.Path, *arguments: str):
    """What a command printed, as JSON."""
    return json.loads(engine(workspace, *arguments).stdout)


def said(workspace: pathlib.Path, *arguments: str) -> str:
    """The sentence of a command that cannot be done."""
    done = engine(workspace, *arguments, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def copied(workspace: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A copy of a workspace that nobody serves, for tests that change it."""
    return shutil.copytree(workspace, folder, ignore=shutil.ignore_patterns("*.lock", "web.json"))


# Packages that `make test` installs, whose licences are prose: by name, so that what else is installed changes no text.
LICENSED = set(
    [
        "absl_py",
        "accelerate",
        "aiohappyeyeballs",
        "aiohttp",
        "aiohttp_cors",
        "aiosignal",
        "altair",
        "annotated_doc",
        "annotated_types",
        "anyio",
        "ast_serialize",
        "attrs",
        "authlib",
        "axe_playwright_python",
        "babel",
        "backrefs",
        "bidict",
        "blinker",
        "certifi",
        "cffi",
        "charset_normalizer",
        "click",
        "cloudpickle",
        "cmaes",
        "colorama",
        "colorful",
        "contourpy",
        "cryptography",
        "cycler",
        "datasets",
        "dill",
        "distlib",
        "duckdb",
        "execnet",
        "filelock",
        "flask",
    ]
)


def write_domains(folder: pathlib.Path) -> None:
    """Three domains of real text, clearly different: Python, English prose, numbers."""
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    sources = [path for path in sorted(library.glob("*.py")) if path.stat().st_size > 20_000][:16]
    packages = pathlib.Path(sysconfig.get_path("purelib"))
    licences = sorted(packages.rglob("*.dist-info/**/*LICENSE*"))
    prose = [path for path in licences if path.relative_to(packages).parts[0].split("-")[0] in LICENSED]
    for name in ("python", "prose", "digits"):
        (folder / name).mkdir(parents=True)
    for path in sources:
        (folder / "python" / path.name).with_suffix(".txt").write_text(path.read_text(), "utf-8")
        digits = " ".join(str(zlib.crc32(f"{path.name} {i}".encode()) % 10**6) for i in range(3000))
        (folder / "digits" / path.name).with_suffix(".txt").write_text(digits)
    for i, path in enumerate(prose[:40]):
        (folder / "prose" / f"{i}.txt").write_text(path.read_text("utf-8", "replace"), "utf-8")


def until(condition, seconds: float = 120):
    """Wait until the condition holds and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Page:
    """A running `python -m dashboard`."""

    def __init__(
        self,
        workspace: pathlib.Path,
        demo: bool = False,
        port: int | None = None,
        base: str = "",
        checkout: pathlib.Path = ROOT,
    ):
        self.workspace, self.checkout = workspace, checkout
        self.port, self.log = port or free_port(), workspace.parent / "web.log"
        self.url = f"http://127.0.0.1:{self.port}{base}"
        settings = {"MIXDESK_WORKSPACE": str(workspace), "PORT": str(self.port), "MIXDESK_DEMO": str(int(demo))}
        settings["MIXDESK_BASE_PATH"] = base
        self.environment = {**os.environ, **settings}
        self.visitors = set()
        self.restart()

    def restart(self) -> None:
        """Start the server, again on the same port, and wait until it answers."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashboard"], cwd=self.checkout, env=self.environment, stdout=log, stderr=log
            )
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(f"{self.url}/api/v1/health", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the page did not start: {self.log.read_text()}")

    def show(self, tab, path: str = "") -> None:
        """Open a path of it in a tab."""
        self.visitors.add(tab)
        tab.goto(f"{self.url}/{path}")

    def stop(self) -> None:
        """End the server, after the tabs have left: a page whose server goes complains to its console."""
        for tab in self.visitors:
            if not tab.is_closed():
                tab.goto("about:blank")
        self.process.terminate()
        self.process.wait(timeout=STARTS_WITHIN)  # its worker ends first, and other tests share the cores


def watched_tab(browser, height: int, **options):
    """A tab, for a fixture; nothing may be written to its console as an error.

    Tests take one in turn: it has compiled the page's scripts before, which halves what it costs to open a page. Each
    finds it empty, without cookies or drafts. options: of a browser of its own instead, such as offline=True.
    """
    context = browser.new_context(**options) if options else browser.contexts[0]
    context.set_default_timeout(PATIENCE)
    opened, errors = context.pages[0] if context.pages else context.new_page(), []
    listeners = {
        "console": lambda message: errors.append(message.text) if message.type == "error" else None,
        "pageerror": lambda error: errors.append(str(error)),
    }
    opened.set_viewport_size({"width": 1360, "height": height})
    for event, listener in listeners.items():
        opened.on(event, listener)
    yield opened
    opened.evaluate("location.protocol.startsWith('http') && [localStorage, sessionStorage].forEach(s => s.clear())")
    opened.goto("about:blank")
    for event, listener in listeners.items():
        opened.remove_listener(event, listener)
    left_as_found(opened)
    if options:
        context.close()
    assert errors == [], errors[:3]


def left_as_found(tab) -> None:
    """Close what a tab has opened, and forget its cookies, its looks and what was put in its network's way."""
    for other in tab.context.pages:
        if other != tab:
            other.close()
    tab.context.clear_cookies()
    tab.emulate_media(color_scheme="null")
    tab.unroute_all()


def visit(tab, page: Page, path: str) -> None:
    """Open a page and wait until it is drawn."""
    from playwright.sync_api import expect  # not every process of the tests has a browser

    page.show(tab, path)
    expect(tab.locator("h1")).to_be_visible()
    settled(tab)


def all_drawn(tab) -> None:
    """Have charts drawn that are out of sight, too, as for paper."""
    settled(tab)  # a chart whose script is still on its way hears of no paper
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")


def settled(tab) -> None:
    """Wait until the script has run and every chart in sight, or nearly so, is drawn."""
    from playwright.sync_api import expect

    tab.wait_for_timeout(200)  # that a click takes to reach the server
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    tab.wait_for_function(f"[...document.querySelectorAll('.mixdesk-plot')].every({DRAWN})")
