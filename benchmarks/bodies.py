"""Whether others are answered while large bodies come in: five of 14 MB at once by a viewer, beside one who asks.

    python -m benchmarks.bodies --out benchmarks/results/bodies.md

A page is served on an empty workspace. One client asks `list_studies` again and again, first alone, then while five
others send 900,000 numbers each to `predict`, which a viewer may call. A page that reads bodies where all requests are
served lets nobody through until they are read: the longest wait is then about as long as all of them take, and the
part of it is what is told. A wait beside them is longer in any case, as the machine's cores are shared.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
BODIES, NUMBERS, QUIET = 5, 900_000, 5.0  # QUIET: seconds that are asked alone
STALLED = 0.5  # part of the bodies' time from which on one wait is a stall of everybody


@contextmanager
def served(root: Path):
    """(address, token of who sits here) of a page on a new workspace."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MIXDESK_WORKSPACE": str(root), "PORT": str(port), "MIXDESK_DEMO": "0"}
    page = subprocess.Popen([sys.executable, "-m", "dashboard"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/api/v1", json.loads((root / "web.json").read_text())["token"]
    finally:
        page.kill()
        page.wait()


def ask(url: str, token: str, body: bytes = b"{}") -> tuple[int, dict]:
    """(status, answer) of a command."""
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError as error:
        return 0, {"error": str(error)}


def waits(url: str, token: str, until) -> np.ndarray:
    """Seconds of each request of one who asks again and again until something is so."""
    found = []
    while not until():
        began = time.monotonic()
        status, _ = ask(f"{url}/list_studies", token)
        assert status == 200, status
        found.append(time.monotonic() - began)
        time.sleep(0.02)
    return np.array(found)


def large_body(numbers: int) -> bytes:
    """The arguments of `predict` with so many shares, about 15 bytes each, of a study that is not there."""
    shares = np.random.default_rng(0).uniform(0.1, 0.9, numbers).round(6)
    rows = ",".join(f'{{"a{n % 1000:03}":{share}}}' for n, share in enumerate(shares[: numbers // 2].tolist()))
    return f'{{"name":"nothing","weights":[{rows}]}}'.encode().ljust(14_000_000)


def measure(bodies: int, numbers: int, quiet: float = QUIET) -> dict:
    """Waits alone, for so many seconds, and beside the bodies."""
    folder = Path(tempfile.mkdtemp(prefix="bodies"))
    try:
        with served(folder / "workspace") as (url, owner):
            status, made = ask(f"{url}/create_token", owner, b'{"label":"viewer","role":"viewer"}')
            assert status == 200, made
            token, body = made["result"]["secret"], large_body(numbers)
            alone_until = time.monotonic() + quiet
            alone = waits(url, owner, lambda: time.monotonic() > alone_until)
            answers: list[int] = []
            senders = [
                threading.Thread(target=lambda: answers.append(ask(f"{url}/predict", token, body)[0]))
                for _ in range(bodies)
            ]
            began = time.monotonic()
            for sender in senders:
                sender.start()
            beside = waits(url, owner, lambda: not any(sender.is_alive() for sender in senders))
            took = time.monotonic() - began
        return told(alone, beside, took, len(body), answers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def told(alone: np.ndarray, beside: np.ndarray, took: float, size: int, answers: list[int]) -> dict:
    """The report."""
    return {
        "bodies": len(answers),
        "MB of each": round(size / 1e6, 1),
        "statuses of the bodies": sorted(answers),
        "seconds until all bodies were answered": round(took, 2),
        "others answered meanwhile": len(beside),
        "wait alone, median and longest, ms": [round(1e3 * float(one)) for one in (np.median(alone), alone.max())],
        "wait beside, median and longest, ms": [round(1e3 * float(one)) for one in (np.median(beside), beside.max())],
        "longest wait beside, as a part of the bodies' time": round(float(beside.max()) / took, 3),
        "stalled": bool(beside.max() > STALLED * took),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=BODIES)
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="shares in each body (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    options = parser.parse_args()
    report = measure(options.bodies, options.numbers) | {
        "load average of the last minute": round(os.getloadavg()[0], 1)
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        words = " ".join(sys.argv[1:])
        options.out.write_text(
            f"# Large bodies\n\n`python -m benchmarks.bodies {words}` ({date.today()})\n\n```json\n{text}\n```\n"
        )
    sys.exit(report["stalled"])


if __name__ == "__main__":
    main()
