"""A server that is told to end ends in a few seconds, in the middle of a query of minutes or of work without end."""

import signal
import subprocess
import sys

import pytest

from engine.core.errors import Unavailable
from tests.support.running import ROOT, free_port, until

LONG = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 3"
# A server on a workspace, one of whose answers takes for ever; what runs there is printed.
SERVER = """
import sys, time
from contextlib import asynccontextmanager
from pathlib import Path
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from dashboard.server import ending
from engine.core.workspace import Workspace
from engine.service.owner import Owner

root, port, query = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


@asynccontextmanager
async def lifespan(app):
    app.state.owner = owner = Owner(Workspace.open(root))
    ending.end_soon(owner.store.interrupt, lambda: print("by force", flush=True))
    print("up", flush=True)
    yield
    owner.close()
    print("by itself", flush=True)


def answer(request):
    print("asked", flush=True)
    request.app.state.owner.store.rows(query) if query else time.sleep(1000)
    return PlainTextResponse("done")


uvicorn.run(Starlette(routes=[Route("/", answer)], lifespan=lifespan), port=port, log_level="error")
"""


@pytest.mark.parametrize(("query", "way"), [(LONG, "by itself"), ("", "by force")])
@pytest.mark.slow
def test_a_server_at_something_long_ends_when_told_to(workspace, tmp_path, query, way):
    port, log = free_port(), tmp_path / "log"
    with open(log, "w") as out:
        command = [sys.executable, "-c", SERVER, str(workspace.root), str(port), query]
        server = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL)
    until(lambda: "up" in log.read_text())
    ask = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/')"
    asking = subprocess.Popen([sys.executable, "-c", ask], stderr=subprocess.DEVNULL)
    until(lambda: "asked" in log.read_text())
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=60) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    asking.wait()
    assert log.read_text().split("\n")[-2] == way


def test_an_interrupted_query_is_refused_with_a_sentence_and_the_next_one_is_answered(store):
    import threading

    told = []

    def ask():
        with pytest.raises(Unavailable, match="is being stopped") as refused:
            store.rows(LONG)
        told.append(refused)

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        store.interrupt()
    assert told and store.rows("SELECT 1") == [(1,)] and store.arrow("SELECT 1 AS a").num_rows == 1
