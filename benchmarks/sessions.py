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
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

from engine import adopt, steward
from engine.owner import Owner
from engine.review import acts
from engine.search_job import draws_file
from engine.workspace import Workspace
from store import jobs, reviews, studies
from store.database import Store

ROOT = Path(__file__).parents[1]
DOMAINS = ["docs", "python", "cpp", "javascript", "maths", "web"]
REVIEWED, CANDIDATES = 10, 3  # studies with candidates; candidates each
TARGET = 0.5  # seconds, for 95% of the interactions
PAGES = ("", "runs", "explore", "league", "search", "next-runs", "candidates", "candidates", "export", "jobs")
WATCHING = "(looks whether somebody acted)"  # by the page itself, every second: no interaction of a person
ROLES = ["operator", "reviewer", "viewer"]


# The workspace ---------------------------------------------------------------------------------------------


def write_workspace(root: Path, count: int, each: int) -> None:
    """`count` studies of `each` runs, fitted and searched; the first ones have candidates."""
    workspace = Workspace.open(root)
    (root / "imports").mkdir(exist_ok=True)
    (root / "imports" / "runs.csv").write_text(table(each))
    owner = Owner(workspace)
    try:
        first = import_one(owner.store, 0)
        worker = subprocess.Popen([sys.executable, "-m", "engine.worker", "--workspace", str(root)], cwd=ROOT)
        try:
            while not any(job.kind == "search" and job.state == "done" for job in jobs.of_study(owner.store, first)):
                time.sleep(0.5)
        finally:
            worker.terminate()
            worker.wait()
        for number in range(1, count):
            import_one(owner.store, number)
            print(f"\r{number + 1} studies", end="", file=sys.stderr, flush=True)
        copy_results(owner.store, first)
        for study in studies.all_studies(owner.store)[-REVIEWED:]:
            for number, point in enumerate(np.random.default_rng(0).dirichlet(np.ones(len(DOMAINS)), CANDIDATES)):
                acts.put_forward(owner.store, study, point, f"candidate {number}", "It was drawn by lot.")
    finally:
        owner.close()


def table(each: int) -> str:
    """Runs of a known law with noise."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.full(len(DOMAINS), 0.8), each)
    losses = 2.5 + 0.4 * np.log1p(1 / (shares + 0.03)) / 3 + 0.02 * shares @ rng.normal(size=(len(DOMAINS),) * 2)
    losses += 0.01 * rng.normal(size=losses.shape)
    rows = [",".join(["run", *(f"share/{d}" for d in DOMAINS), *(f"metric/{d}_loss" for d in DOMAINS)])]
    for number, values in enumerate(np.hstack([shares, losses]).tolist()):
        rows.append(",".join([f"r{number}", *map(repr, values)]))
    return "\n".join(rows) + "\n"


def import_one(store: Store, number: int) -> str:
    return adopt.adopt(store, f"Study {number:03d}", "flat", "runs.csv")["study"]


def copy_results(store: Store, first: str) -> None:
    """Give every study what the jobs of the first one found: their runs are the same."""
    print_of = studies.league(store, first)["fingerprint"]
    for kind in ("fit", "search"):
        done = next(job.id for job in jobs.of_study(store, first) if job.kind == kind)
        events = (store.spool.find(done) / "events.jsonl").read_text()
        store.ingest()
        for study in studies.all_studies(store):
            for job in jobs.of_study(store, study.id):
                if job.kind == kind and job.state == "queued":
                    mine = json.loads((store.spool.find(job.id) / "spec.json").read_text())
                    own = mine.get("fingerprint") or mine["settings"]["fingerprint"]
                    text = events.replace(first, study.id).replace(print_of, own)
                    copy_files(store, first, print_of, study.id, own, done, job.id)
                    (store.spool.find(job.id) / "events.jsonl").write_text(text)
                    store.spool.move(store.spool.find(job.id), "ended")
        store.ingest()
        steward.advance(store)


def copy_files(store, first, print_of, study, own, done, job) -> None:
    source, target = store.workspace.surrogates(first, print_of), store.workspace.surrogates(study, own)
    if not target.exists():
        shutil.copytree(source, target)
    root = store.workspace.root
    if (root / draws_file(done)).exists():
        (root / draws_file(job)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / draws_file(done), root / draws_file(job))


# A browser's side of a session -----------------------------------------------------------------------------


class Session:
    """One signed-in tab, without the browser: it sends what a browser sends, and reads what it is sent."""

    def __init__(self, url: str, who: str):
        self.url, self.who, self.query, self.page, self.pages = url, who, "", "", {}
        self.cookies, self.socket, self.seconds = {}, None, defaultdict(list)
        self.states: dict[str, dict] = {}  # of widgets, by their ids
        self.elements: list = []  # that the last run drew
        self.watched: dict[str, float] = {}  # fragments that the page wants drawn again, and every how many seconds

    async def sign_in(self) -> None:
        """As a person does: open the page, press the button, name oneself to the provider, come back."""
        async with httpx.AsyncClient(follow_redirects=True, timeout=60) as web:
            await web.get(f"{self.url}/_stcore/health")
            self.cookies = dict(web.cookies)
            await self.open()
            button = next(one for one in self.elements if one.WhichOneof("type") == "button")
            way = await self.ask({button.button.id: {"trigger_value": True}}, redirect=True)
            await self.socket.close()
            form = await web.get(self.url + way)
            await web.post(form.url, data={"sub": self.who})
            self.cookies = {cookie.name: cookie.value for cookie in web.cookies.jar}
        await self.open()

    async def open(self) -> None:
        token = self.cookies["_streamlit_xsrf"]
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.socket = await connect(
            self.url.replace("http", "ws") + "/_stcore/stream", subprotocols=["streamlit", token],
            origin=self.url, additional_headers={"Cookie": cookie}, max_size=None, compression=None,
        )  # fmt: skip
        await self.ask({})

    async def ask(self, states: dict, redirect: bool = False, fragment: str = "") -> str | None:
        """Send one rerun, of the page or of a fragment, and read until the script has finished."""
        message = BackMsg()
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, bool(fragment)
        if not fragment:
            self.watched = {}
        client = message.rerun_script
        client.query_string, client.page_script_hash = self.query, self.pages.get(self.page, "")
        kept = {one: value for one, value in self.states.items() if one not in states}
        for one, value in {**kept, **states}.items():
            state = client.widget_states.widgets.add(id=one)
            for field, content in value.items():
                setattr(state, field, content)
        self.states |= {one: value for one, value in states.items() if "trigger_value" not in value}
        await self.socket.send(message.SerializeToString())
        return await self.read(redirect, whole=not fragment)

    async def read(self, redirect: bool, whole: bool) -> str | None:
        """Read to the end of the script's run, and of the next one where it asks for one."""
        self.way, self.refused, found = None, None, []
        async with asyncio.timeout(120):
            while True:
                told = ForwardMsg.FromString(await self.socket.recv())
                kind = told.WhichOneof("type")
                if kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                    found.append(told.delta.new_element)
                elif kind == "script_finished" and told.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    found, whole = [], True
                elif kind == "script_finished":
                    break
                else:
                    self.hear(kind, told)
        wrong = [one.exception.message for one in found if one.WhichOneof("type") == "exception"]
        if wrong:
            raise RuntimeError(f"{self.who} on {self.page}: {wrong[0]}")
        if whole:
            self.elements = found
        return self.way if redirect else None

    def hear(self, kind: str, told: ForwardMsg) -> None:
        """What the page says beside what it draws."""
        if kind == "navigation":
            self.pages = {page.url_pathname: page.page_script_hash for page in told.navigation.app_pages}
        elif kind == "page_info_changed":
            self.query = told.page_info_changed.query_string
        elif kind == "auth_redirect":
            self.way = told.auth_redirect.url
        elif kind == "auto_rerun":
            self.watched[told.auto_rerun.fragment_id] = told.auto_rerun.interval

    async def idle(self, seconds: float) -> None:
        """Look at the page for a while: what it wants drawn again is asked for, as a browser does by itself."""
        until, due = time.monotonic() + seconds, {one: time.monotonic() + every for one, every in self.watched.items()}
        while due and min(due.values()) < until:
            fragment = min(due, key=due.get)
            await asyncio.sleep(max(0.0, due[fragment] - time.monotonic()))
            began = time.perf_counter()
            await self.ask({}, fragment=fragment)
            self.seconds[WATCHING].append(time.perf_counter() - began)
            due = {one: due.get(one, time.monotonic()) for one in self.watched}
            if fragment in due:
                due[fragment] = time.monotonic() + self.watched[fragment]
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def timed(self, kind: str, states: dict) -> None:
        began = time.perf_counter()
        await self.ask(states)
        self.seconds[kind].append(time.perf_counter() - began)

    async def visit(self, page: str, study: str, candidate: str = "") -> None:
        """Choose a study by its name in the sidebar, and open a page."""
        box = next(one for one in self.all("selectbox") if one.label == "Study")
        self.page, self.states = page, {}
        self.query = f"candidate={candidate}" if candidate else ""
        await self.timed(f"open {page or 'studies'}", {box.id: {"string_value": study}})

    def all(self, kind: str) -> list:
        return [getattr(one, kind) for one in self.elements if one.WhichOneof("type") == kind]

    async def choose(self) -> None:
        """Change a select box or a row of pills of the page, as it comes."""
        boxes = [one for one in self.all("selectbox") if len(one.options) > 1 and not one.form_id and not one.disabled]
        if boxes:
            box = random.choice([one for one in boxes if one.label != "Study"] or boxes)
            await self.timed(f"choose: {box.label}", {box.id: {"string_value": random.choice(box.options)}})


async def reader(session: Session, links: list[tuple[str, str]], until: float, pause: float) -> None:
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


async def commenter(session: Session, link: tuple[str, str], until: float, every: float) -> list[str]:
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
    sessions = [Session(url, who) for who in people]
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
            before, waited, began = cpu(page.pid), pressure(), time.monotonic()
            found = asyncio.run(measure(url, people, store_links, options))
            took = time.monotonic() - began
            found |= {"cpu": (cpu(page.pid) - before) / took, "waited": (pressure() - waited) / took}
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


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        line["body"]["text"] for line in lines
        if line["kind"] == "review.added" and line["what"] == "comment" and line["by"] == author
    ]  # fmt: skip
    store = Store(Workspace.open(root))
    try:
        study = reviews.get(store, candidate).study
        events = reviews.history(store, study)
        kept = [one.body["text"] for one in events if one.what == "comment" and one.author == author]
    finally:
        store.close()
    counts = Counter(kept)
    return {
        "written": len(said), "in the journal": sum(text in said for text in journal),
        "in the tables": sum(text in said for text in kept), "missing": [text for text in said if counts[text] != 1],
    }  # fmt: skip


def report(found: dict, options) -> str:
    every = np.array([value for kind, values in found["kinds"].items() if kind != WATCHING for value in values])
    rows = [
        f"| {kind} | {len(values)} | {1000 * np.median(values):.0f} | {1000 * np.percentile(values, 95):.0f} | "
        f"{1000 * max(values):.0f} |" for kind, values in sorted(found["kinds"].items())
    ]  # fmt: skip
    within = 100 * np.mean(every < TARGET)
    kept = found["lost"]
    words = " ".join(sys.argv[1:])
    return "\n".join([
        "# Twenty people at once", "",
        f"`python -m benchmarks.sessions {words}`, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"{options.sessions} signed-in sessions for {options.seconds:.0f} s, {options.studies} studies of "
        f"{options.runs} runs, a pause of about {options.pause:g} s between interactions.", "",
        f"**{within:.1f}% of {len(every)} interactions under {1000 * TARGET:.0f} ms** (target: 95%); median "
        f"{1000 * np.median(every):.0f} ms, 95th percentile {1000 * np.percentile(every, 95):.0f} ms, slowest "
        f"{1000 * every.max():.0f} ms. The server used {100 * found['cpu']:.0f}% of one core; for "
        f"{100 * found['waited']:.0f}% of the time some process of this machine waited for a core (sessions and "
        "provider share the cores with the server, and so does whatever else runs).", "",
        f"Comments: {kept['written']} written, {kept['in the journal']} in the journal, {kept['in the tables']} in the "
        f"tables, {len(kept['missing'])} missing or doubled.", "",
        "| interaction | times | median, ms | 95%, ms | slowest, ms |", "|---|---|---|---|---|", *rows, "",
    ])  # fmt: skip


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


def write_links(root: Path) -> None:
    """[(a study's name, a candidate of it), ...] that sessions go to."""
    store = Store(Workspace.open(root))
    try:
        found = [
            (study.name, candidate.id) for study in studies.all_studies(store)
            for candidate in reviews.of_study(store, study.id)
        ]  # fmt: skip
    finally:
        store.close()
    (root / "links.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
