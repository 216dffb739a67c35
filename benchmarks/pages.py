"""Page latency: `python -m benchmarks.pages [WORKSPACE [STUDY]]` (./workspace demo).

Takes about seven minutes. STUDY is the id of a finished study of WORKSPACE, and no page serves it meanwhile. Chromium
visits a real server. First paint is the time from the start of the navigation until the heading stands, and until
every chart in sight is drawn as well: cold where it is the first visit of a server that has only just come up, warm
for a browser that is new to a server at work. The time of an interaction is read off the browser's websocket: from the
message that tells the server of a click to the last frame of the answer. Browser, server and whatever else runs share
the cores, so these are upper bounds; beside them stands the CPU time that the server spent (from /proc: Linux only),
which hardly depends on the load. Without a GPU, Chromium draws WebGL in software: parallel coordinates (New study,
Runs) then hold its main thread for .6 to .9 s, and frames that wait behind them are late. The 95th percentile is of
each kind of interaction by itself, by the nearest rank, so that fast and frequent ones do not cover for slow ones.
Writes results/pages.json and .md; of a study of 64 domains (benchmarks/many_domains.py makes one) pages_64.json, .md.
"""

import base64
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from engine.proxies.cpu_matmul import processor

ROOT = Path(__file__).parents[1]
HEADLESS = "/usr/bin/chromium-headless-shell"
CHROMIUM = os.environ.get("CHROMIUM", HEADLESS if os.path.exists(HEADLESS) else "/usr/bin/chromium")
TARGETS = {"first paint": 2.0, "interaction": 0.2, "interaction, many domains": 0.3}  # seconds; the last two: p95
MANY = 64  # domains from which on the last one holds
CHARTS = {"Studies": 1, "Corpus": 1, "Runs": 2, "Explore": 1, "Search": 2, "Export": 1}  # of a finished study
LOOKS = ("Influence", "Response", "Ternary", "Fit diagnostics")
REPEATS = 20  # of each kind: fewer have no 95th percentile
HEADING = "() => document.querySelector('h1')?.checkVisibility() && performance.now() / 1000"
DRAWN = """charts => {
    const plots = [...document.querySelectorAll('.mixdesk-plot')];
    const drawn = plots.length >= charts && plots.every(e => 'outOfSight' in e.dataset || e.querySelector('.main-svg'));
    return drawn && performance.now() / 1000;
}"""


@contextmanager
def server(workspace: Path, study: str) -> Iterator[tuple[Callable[[str], str], int]]:
    """Links to the pages of a study by their names, and the server's process id, from the moment that it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"MIXDESK_WORKSPACE": str(workspace), "PORT": str(port), "MIXDESK_DEMO": "0"}
    command = [sys.executable, "-m", "dashboard"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and not answers(port):
                time.sleep(0.02)
            if process.returncode is not None:
                sys.exit("The page did not start: the reason is above.")
            yield lambda name: f"http://127.0.0.1:{port}/{path_of(name)}?study={study}", process.pid
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=1).status == 200
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, all threads, in steps of usually 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_paint(browser: Browser, link: Callable[[str], str], name: str) -> tuple[float, float]:
    """Seconds until a page's heading and its charts stand in a browser that has never seen it."""
    with browser.new_context(viewport={"width": 1360, "height": 1400}) as context:
        page = context.new_page()
        page.goto(link(name), wait_until="commit")
        heading = page.wait_for_function(HEADING, polling=20).json_value()
        return heading, page.wait_for_function(DRAWN, arg=CHARTS[name], polling=20).json_value()


def path_of(name: str) -> str:
    return "" if name == "Studies" else name.lower()


class Tab:
    """A browser tab whose websocket is listened to.

    seconds: kind of interaction -> [(time until the last frame of the answer, CPU time of the server), ...].
    """

    def __init__(self, page: Page, link: Callable[[str], str], pid: int):
        self.page, self.link, self.pid, self.seconds = page, link, pid, defaultdict(list)
        self.sent, self.received, self.finished = 0.0, 0.0, False
        frames = page.context.new_cdp_session(page)
        frames.send("Network.enable")
        frames.on("Network.webSocketFrameSent", self.on_sent)
        frames.on("Network.webSocketFrameReceived", self.on_received)

    def on_sent(self, event: dict) -> None:
        self.sent = self.sent or event["timestamp"]
        self.finished = False

    def on_received(self, event: dict) -> None:
        message = ForwardMsg.FromString(base64.b64decode(event["response"]["payloadData"]))
        self.received = event["timestamp"]
        self.finished |= message.WhichOneof("type") == "script_finished"

    def visit(self, name: str) -> None:
        self.page.goto(self.link(name))
        self.page.wait_for_function(DRAWN, arg=CHARTS[name])
        self.page.wait_for_timeout(1000)

    def time(self, kind: str, act) -> None:
        """Do something and note how long the server was at it."""
        self.sent, self.finished = 0.0, False
        before = cpu_seconds(self.pid)
        act()
        deadline = time.monotonic() + 20
        while not (self.sent and self.finished):
            self.page.wait_for_timeout(20)
            if time.monotonic() > deadline:
                sys.exit(f"The server did not answer: {kind}.")
        self.page.wait_for_timeout(250)  # the browser draws; what it asks for now belongs to the answer
        self.seconds[kind].append((self.received - self.sent, cpu_seconds(self.pid) - before))


def explore(tab: Tab) -> None:
    """Faders, presets and priorities, each look, each surrogate."""
    tab.visit("Explore")
    page = tab.page
    for _ in range(REPEATS):
        for look in (*LOOKS[1:], LOOKS[0]):
            tab.time(f"view: {look}", page.get_by_role("radio", name=look).first.click)
    for look in LOOKS:
        if look != LOOKS[0]:
            page.get_by_role("radio", name=look).first.click()
            page.wait_for_timeout(1500)
        page.get_by_role("slider", name="Share of").first.focus()
        for i in range(REPEATS):
            tab.time(f"fader, with {look}", lambda i=i: page.keyboard.press("ArrowUp" if i % 2 else "PageUp"))
    tab.visit("Explore")
    presets = page.locator("[class*='st-key-set-'] button")
    for i in range(max(REPEATS, presets.count())):
        tab.time("preset", presets.nth(i % presets.count()).click)
    page.get_by_test_id("stSidebar").get_by_text("Priorities").click()
    for i in range(REPEATS):
        page.get_by_test_id("stSidebar").get_by_role("slider").nth(i % 2).focus()
        key = "ArrowLeft" if i % 4 < 2 else "ArrowRight"  # there and back: at its end a slider tells nothing
        tab.time("priority", lambda key=key: page.keyboard.press(key))  # type: ignore[misc]
    for _ in range(2):
        choose_each(tab, "Surrogate", "surrogate")


def choose_each(tab: Tab, label: str, kind: str) -> None:
    """Every choice of a select box, from the second to the first."""
    box, option = tab.page.get_by_role("combobox", name=label), tab.page.get_by_role("option")
    box.evaluate("box => box.scrollIntoView({block: 'center'})")  # at the edge a click only scrolls
    tab.page.wait_for_timeout(300)
    box.click()
    option.first.wait_for()
    names = option.all_inner_texts()
    tab.page.keyboard.press("Escape")
    for name in (*names[1:], names[0]):
        box.click()
        tab.time(kind, option.get_by_text(name, exact=True).click)


def others(tab: Tab) -> None:
    """Filters on Runs, formats on Export, the form of a new study, and the way from page to page."""
    page = tab.page
    tab.visit("Runs")
    pills = page.get_by_test_id("stButtonGroup").get_by_role("button")
    for i in range(max(REPEATS, pills.count())):
        tab.time("filter of Runs", pills.nth(i % pills.count()).click)
    tab.visit("Export")
    for _ in range(2):
        choose_each(tab, "Format", "format of Export")
    tab.visit("Studies")
    for _ in range(REPEATS):
        tab.time("New study", page.get_by_role("button", name="New study").click)
        page.keyboard.press("Escape")
        page.wait_for_timeout(800)
    for _ in range(REPEATS):
        for name in (*list(CHARTS)[1:], "Studies"):
            link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True)
            tab.time(f"to the page {name}", link.click)
            page.wait_for_timeout(600)


def measure(workspace: Path, study: str, browser: Browser) -> dict:
    """First paints and interactions, in seconds."""
    paint = {}
    for name in CHARTS:
        with server(workspace, study) as (link, _):
            paint[name] = {"cold": first_paint(browser, link, name)}
    with server(workspace, study) as (link, pid):
        first_paint(browser, link, "Studies")
        for name in CHARTS:
            visits = [first_paint(browser, link, name) for _ in range(3)]
            paint[name]["warm"] = [statistics.median(times) for times in zip(*visits, strict=True)]
        tab = Tab(browser.new_page(viewport={"width": 1360, "height": 1400}), link, pid)
        explore(tab)
        domains = tab.page.get_by_role("slider", name="Share of").count()
        others(tab)
    interactions = {kind: summary(pairs) for kind, pairs in tab.seconds.items()}
    return {"domains": domains, "first paint": paint, "interactions": interactions}


def summary(pairs: list[tuple[float, float]]) -> dict:
    waits, cpu = zip(*pairs, strict=True)
    p95 = sorted(waits)[math.ceil(0.95 * len(waits)) - 1]
    times = {"median": statistics.median(waits), "p95": p95, "worst": max(waits)}
    return {**times, "cpu": statistics.median(cpu), "times": len(pairs)}


def target_of(found: dict) -> float:
    """The p95 that interactions must keep, in seconds, by how many domains the study has."""
    return TARGETS["interaction, many domains" if found["domains"] >= MANY else "interaction"]


def missed(found: dict) -> str:
    """Which targets were not kept, in a sentence."""
    paints = {name: max(row["cold"][0], row["warm"][0]) for name, row in found["first paint"].items()}
    slow = [f"first paint of {name}" for name, value in paints.items() if value > TARGETS["first paint"]]
    slow += [kind for kind, row in found["interactions"].items() if row["p95"] > target_of(found)]
    return f"Over the target: {', '.join(slow)}." if slow else "All targets are kept."


def report(found: dict) -> str:
    """The results as Markdown."""
    shown = ("median", "p95", "worst", "cpu")
    cores, load = found["cores"], ", ".join(f"{value:.1f}" for value in found["load"])
    paints = [
        "| " + " | ".join([name, *(f"{value:.2f}" for value in (*row["cold"], *row["warm"]))]) + " |"
        for name, row in found["first paint"].items()
    ]
    kinds = [
        "| " + " | ".join([name, *(f"{1000 * row[key]:.0f}" for key in shown), str(row["times"])]) + " |"
        for name, row in found["interactions"].items()
    ]
    return "\n".join(
        [
            "# How long a person waits for the page",
            "",
            f"`{found['command']}`, {found['date']}, {cores} cores, load averages {load}, {found['domains']} domains. "
            f"{missed(found)}",
            "",
            f"## First paint, seconds (target for the heading: under {TARGETS['first paint']:g})",
            "",
            "| page | heading, new server | charts | heading, new browser | charts |",
            "|---|---|---|---|---|",
            *paints,
            "",
            f"## Answer of the server, milliseconds (target for p95: under {1000 * target_of(found):.0f})",
            "",
            "| what | median | p95 | worst | CPU time of the server, median | times |",
            "|---|---|---|---|---|---|",
            *kinds,
            "",
        ]
    )


def main() -> None:
    folder, study = (*sys.argv[1:], *("workspace", "demo")[len(sys.argv) - 1 :])
    found = {
        "command": f"python -m benchmarks.pages WORKSPACE {study}",
        "machine": processor(),
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "targets": TARGETS,
    }
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        with playwright.chromium.launch(executable_path=CHROMIUM, args=arguments) as browser:
            found |= measure(Path(folder).resolve(), study, browser) | {"load": os.getloadavg()}
    results = ROOT / "benchmarks" / "results"
    name = f"pages_{found['domains']}" if found["domains"] >= MANY else "pages"
    (results / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (results / f"{name}.md").write_text(report(found))
    print(report(found))


if __name__ == "__main__":
    main()
