"""Twenty people at once: `python -m benchmarks.sessions --out benchmarks/results/sessions.md`.

A workspace of 100 studies and 20,000 runs, all fitted and searched; 20 sessions, each signed in as somebody else
through a real OIDC provider on loopback, over real WebSockets, with the messages that a browser sends. One of them
comments on a candidate every second through the page's own form. The others open pages, change studies, surrogates,
baselines and formats, and read candidates, with a pause of `--pause` seconds between. An interaction's time is from the
message that asks until the script has finished: server time, with the wait for the other sessions and for whatever else
the machine does. Nothing lost: what every session wrote is counted and compared with the journal and the tables.

The workspace takes about two minutes to make; `--keep FOLDER` keeps it for another run. Only one study is fitted and
searched by real jobs: the others hold the same runs, and get copies of what those jobs found.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import httpx
import numpy as np
from oidc_provider_mock import User, run_server_in_thread

from benchmarks.pages import cpu_seconds
from benchmarks.sessions_workspace import write_links, write_workspace
from benchmarks.tabs import WATCHING, Tab
from engine.core.workspace import Workspace
from store import reviews
from store.database import Store

ROOT = Path(__file__).parents[1]
TARGET = 0.5  # seconds, for 95% of the interactions
PAGES = ("", "runs", "explore", "league", "search", "next-runs", "candidates", "candidates", "export", "jobs")
ROLES = ["operator", "reviewer", "viewer"]


async def reader(session: Tab, links: list[tuple[str, str]], until: float, pause: float) -> None:
    """Open pages of studies and candidates, and change what can be chosen on them; nobody begins with the others."""
    await session.idle(random.uniform(0, 2) * pause)
    while time.monotonic() < until:
        study, candidate = random.choice(links)
        page = random.choice(PAGES)
        await session.visit(page, study, candidate if page == "candidates" and random.random() < 0.7 else "")
        for _ in range(2):
            await session.idle(random.uniform(0.5, 1.5) * pause)
            await session.choose()
        await session.idle(random.uniform(0.5, 1.5) * pause)


async def commenter(session: Tab, link: tuple[str, str], until: float, every: float) -> list[str]:
    """Comment through the page's form, once every `every` seconds; returns what was written and taken."""
    await session.visit("candidates", *link)
    said, due = [], time.monotonic()
    while time.monotonic() < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += every
        boxes = [one for one in session.all("text_area") if one.label.startswith("Comment as")]
        if not boxes:
            texts = [str(one)[:200] for one in session.elements]
            raise RuntimeError(f"{session.who} finds no box to comment in: {texts}")
        box, button = boxes[0], next(one for one in session.all("button") if one.label == "Comment")
        text = f"comment {len(said)} at {time.time():.3f}"
        session.states = {}
        await session.timed("comment", {box.id: {"string_value": text}, button.id: {"trigger_value": True}})
        said.append(text)
    return said


# Measuring -------------------------------------------------------------------------------------------------


async def measure(url: str, people: list[str], links: list, options) -> dict:
    sessions = [Tab(url, who) for who in people]
    for first in range(0, len(sessions), 5):
        await asyncio.gather(*(session.sign_in() for session in sessions[first : first + 5]))
    warm = time.monotonic() + options.warm
    await asyncio.gather(*(reader(session, links, warm, options.pause) for session in sessions[1:]))
    for session in sessions:
        session.seconds.clear()
    until = time.monotonic() + options.seconds
    said, *_ = await asyncio.gather(
        commenter(sessions[0], links[0], until, options.every),
        *(reader(session, links, until, options.pause) for session in sessions[1:]),
    )
    for session in sessions:
        await session.socket.close()
    kinds = defaultdict(list)
    for session in sessions:
        for kind, values in session.seconds.items():
            kinds[kind] += values
    return {"kinds": kinds, "said": said}


def served(root: Path, options) -> dict:
    """Start provider and page, let them come, and compare what they wrote with what is kept."""
    people = [f"person-{number:02d}@example.org" for number in range(options.sessions)]
    with run_server_in_thread(user_claims=[User(sub=who, claims={"email": who}) for who in people]) as provider:
        url = f"http://127.0.0.1:{options.port}"
        write_access(root, url, provider.server_port, people)
        environment = {**os.environ, "MIXDESK_WORKSPACE": str(root), "PORT": str(options.port), "MIXDESK_DEMO": "0"}
        with open(root.parent / "web.log", "w") as log:
            page = subprocess.Popen(
                [sys.executable, "-m", "dashboard"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        try:
            wait_for(url, page)
            time.sleep(6)  # it loads what pages need
            store_links = json.loads((root / "links.json").read_text())
            before, waited, began = cpu_seconds(page.pid), pressure(), time.monotonic()
            found = asyncio.run(measure(url, people, store_links, options))
            took = time.monotonic() - began
            found |= {"cpu": (cpu_seconds(page.pid) - before) / took, "waited": (pressure() - waited) / took}
        finally:
            page.send_signal(signal.SIGTERM)
            page.wait(timeout=30)
    found["lost"] = lost(root, store_links[0][1], people[0], found["said"])
    return found


def write_access(root: Path, url: str, port: int, people: list[str]) -> None:
    text = [f'url = "{url}"', "[sign_in]", 'client_id = "mixdesk"', 'client_secret = "known"']
    text.append(f'server_metadata_url = "http://localhost:{port}/.well-known/openid-configuration"')
    text += ["[roles]", *(f'"{who}" = "{ROLES[number % len(ROLES)]}"' for number, who in enumerate(people))]
    path = root / "access.toml"
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text("\n".join(text) + "\n")


def wait_for(url: str, page) -> None:
    for _ in range(600):
        if page.poll() is not None:
            sys.exit("The page did not start: the reason is above.")
        try:
            if httpx.get(f"{url}/api/v1/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    sys.exit("The page did not answer.")


def pressure() -> float:
    """Seconds for which some process of this machine has waited for a core (Linux's pressure stall information)."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except OSError:
        return float("nan")


def lost(root: Path, candidate: str, author: str, said: list[str]) -> dict:
    """What was written and taken, against the journal and the tables."""
    lines = [json.loads(line) for line in (root / "journal/owner/events.jsonl").read_text().splitlines()]
    journal = [
        line["body"]["text"]
        for line in lines
        if line["kind"] == "review.added" and line["what"] == "comment" and line["by"] == author
    ]
    store = Store(Workspace.open(root))
    try:
        study = reviews.get(store, candidate).study
        events = reviews.history(store, study)
        kept = [one.body["text"] for one in events if one.what == "comment" and one.author == author]
    finally:
        store.close()
    counts = Counter(kept)
    return {
        "written": len(said),
        "in the journal": sum(text in said for text in journal),
        "in the tables": sum(text in said for text in kept),
        "missing": [text for text in said if counts[text] != 1],
    }


def report(found: dict, options) -> str:
    every = np.array([value for kind, values in found["kinds"].items() if kind != WATCHING for value in values])
    rows = [
        f"| {kind} | {len(values)} | {1000 * np.median(values):.0f} | {1000 * np.percentile(values, 95):.0f} | "
        f"{1000 * max(values):.0f} |"
        for kind, values in sorted(found["kinds"].items())
    ]
    within = 100 * np.mean(every < TARGET)
    kept = found["lost"]
    words = " ".join(sys.argv[1:])
    return "\n".join(
        [
            "# Twenty people at once",
            "",
            f"`python -m benchmarks.sessions {words}`, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
            f"{options.sessions} signed-in sessions for {options.seconds:.0f} s, {options.studies} studies of "
            f"{options.runs} runs, a pause of about {options.pause:g} s between interactions.",
            "",
            f"**{within:.1f}% of {len(every)} interactions under {1000 * TARGET:.0f} ms** (target: 95%); median "
            f"{1000 * np.median(every):.0f} ms, 95th percentile {1000 * np.percentile(every, 95):.0f} ms, slowest "
            f"{1000 * every.max():.0f} ms. The server used {100 * found['cpu']:.0f}% of one core; for "
            f"{100 * found['waited']:.0f}% of the time some process of this machine waited for a core (sessions and "
            "provider share the cores with the server, and so does whatever else runs).",
            "",
            f"Comments: {kept['written']} written, {kept['in the journal']} in the journal, "
            f"{kept['in the tables']} in the tables, {len(kept['missing'])} missing or doubled.",
            "",
            "| interaction | times | median, ms | 95%, ms | slowest, ms |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--runs", type=int, default=200, help="of each study")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm", type=float, default=20.0, help="seconds before measuring")
    parser.add_argument("--pause", type=float, default=6.0, help="seconds between a person's interactions, about")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between comments")
    parser.add_argument("--port", type=int, default=8641)
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    parser.add_argument("--keep", type=Path, help="use this folder, and leave it")
    options = parser.parse_args()
    random.seed(0)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the provider's
    folder = options.keep or Path(tempfile.mkdtemp(prefix="sessions"))
    try:
        root = folder / "workspace"
        if not (folder / "made").exists():
            write_workspace(root, options.studies, options.runs)
            (folder / "made").touch()
        write_links(root)
        text = report(served(root, options), options)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
