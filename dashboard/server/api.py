"""The HTTP routes beside the page: engine.commands for headless clients (docs/API.md), and plotly.js for its charts."""

import asyncio
import base64
import errno
import functools
import gzip
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.server import state
from dashboard.server.paths import under
from engine.commands import contract
from engine.core import system
from engine.core.errors import Conflict, Missing, Problem, TooLarge, Unavailable
from engine.core.people import NotSignedIn, Person, Refused, as_person, local_user, need
from engine.core.shown import bounded, storable
from engine.jobs import journal_upload
from engine.jobs.tokens import job_token
from engine.service import api_tokens
from engine.studies import imports

log = logging.getLogger("mixdesk.api")

UNREAD = 32 << 20  # bytes of a body beyond its limit that are read and thrown away
LARGEST_FILE = 200 << 20  # bytes of a file to import
LARGE = asyncio.Semaphore(2)  # requests with many rows that are read at once, and journals that are handed out
DIGITS = 18  # of an offset
STATUS = {
    NotSignedIn: 401,
    Refused: 403,
    Missing: 404,
    Conflict: 409,
    TooLarge: 413,
    Unavailable: 503,
}  # of a Problem; 400 for any other


class Failures:
    """Counts invalid tokens, so that guessing shows in the log: one line per minute and address."""

    def __init__(self):
        self.since, self.counts = 0.0, Counter()

    def add(self, address: str) -> None:
        if time.monotonic() - self.since > 60:
            for other, count in self.counts.items():
                if count > 1:
                    log.warning("%d requests from %s within a minute had no valid token", count, other)
            self.since, self.counts = time.monotonic(), Counter()
        self.counts[address] += 1
        if self.counts[address] == 1:
            log.warning("a request from %s had no valid token", address)


failures = Failures()


def bearer(request: Request) -> str:
    """The token of a request, from a header only: no other site can make a browser send that."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def person_of(request: Request) -> Person:
    """Who sent a request. Raises NotSignedIn for an invalid token, Refused for somebody without a role."""
    token = bearer(request)
    if hmac.compare_digest(token.encode(), state.TOKEN.encode()):
        return local_user()  # a command on this machine, by who can read web.json
    try:
        return api_tokens.person_of(state.store(), token, state.access())
    except NotSignedIn:
        failures.add(request.client.host if request.client else "somewhere")
        raise


async def body_of(request: Request, most: int) -> bytes:
    """The posted bytes. Raises TooLarge."""
    data, size = bytearray(), 0
    async for part in request.stream():
        size += len(part)
        if size > most + UNREAD:
            raise TooLarge(contract.TOO_LARGE)
        if size <= most:
            data += part
    if size > most:  # read to its end, so that the answer is heard: who still sends does not listen
        raise TooLarge(contract.TOO_LARGE)
    return bytes(data)


async def ask_first(request: Request, person: Person, check: Callable[[], object]) -> None:
    """Ask whether somebody may do something before anything of what they send is kept. Raises what `check` does.

    It is read to its end all the same, so that the answer is heard: who still sends does not listen.
    """
    try:
        with as_person(person):
            check()
    except Problem:
        await thrown_away(request)
        raise


async def thrown_away(request: Request) -> None:
    """Read what is sent, and keep nothing of it: who still sends does not hear an answer."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > UNREAD:
            break


def refused_by_system(error: OSError) -> JSONResponse:
    """What the system refused: a name that it cannot have, say, or a disk that is full."""
    log.warning("the system refused: %s", error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return JSONResponse({"error": storable(bounded(system.sentence_of(error)))}, 503 if full else 400)


def answering(handler):
    """An endpoint of the API: it finds out who asks, and turns every failure into a sentence with a status."""

    async def endpoint(request: Request) -> Response:
        try:
            try:
                person = await run_in_threadpool(person_of, request)
            except Problem:
                await thrown_away(request)
                raise
            return await handler(request, person)
        except Problem as problem:
            status = next((code for kind, code in STATUS.items() if isinstance(problem, kind)), 400)
            return JSONResponse({"error": storable(str(problem))}, status)
        except OSError as error:
            return refused_by_system(error)
        except (TypeError, ValueError, RecursionError) as error:
            return JSONResponse({"error": storable(bounded(str(error)))}, 400)
        except Exception as error:
            log.exception("%s failed", request.url.path)
            sentence = f"Unexpected {type(error).__name__}: {bounded(str(error))}. The page's output has the traceback."
            return JSONResponse({"error": sentence}, 500)

    return endpoint


async def called(person: Person, name: str, body: bytes | dict, key: str | None = None):
    """The result of a command. body: its arguments, or their JSON, which is read where no other request waits."""

    def call():
        arguments = body if isinstance(body, dict) else contract.arguments_in(body)
        with as_person(person):
            return contract.call(state.store(), name, arguments, key)

    async with LARGE if len(body) > contract.SMALL else nullcontext():
        return await run_in_threadpool(call)


@answering
async def command(request: Request, person: Person) -> JSONResponse:
    """POST /api/v1/<command> with its arguments as a JSON object."""
    name = request.path_params["name"]
    await ask_first(request, person, lambda: contract.check_role(name))
    body = await body_of(request, contract.body_limit(name))
    result = await called(person, name, body, request.headers.get("idempotency-key"))
    return await run_in_threadpool(JSONResponse, {"result": result})  # of many rows: nobody waits while it is written


def number_of(text: str) -> float:
    """The tokens of a query. Raises Problem where it is not one."""
    try:
        return float(text)
    except ValueError:
        raise Problem(f"Cannot export for a budget of {text[:80]!r} tokens: give a number of at least 1.") from None


@answering
async def recipe(request: Request, person: Person) -> Response:
    """GET /api/v1/recipe/<study>?format=...&candidate=...&tokens=...&file=...: one file, as a trainer takes it.

    A name that no path may hold (it has a part of "..") is asked for as recipe?study=<study>.
    """
    asked = dict(request.query_params)
    file, name = asked.pop("file", None), request.path_params.get("study") or asked.pop("study", "")
    arguments = {"name": name, **asked}
    if "tokens" in arguments:
        arguments["tokens"] = number_of(arguments["tokens"])
    made = await called(person, "export", arguments)
    files = {**made["files"], **{name: base64.b64decode(text) for name, text in made["binary"].items()}}
    name = file or next(iter(made["binary"] or files))
    if name not in files:
        raise Missing(f"Cannot find {name!r} in this recipe: its files are {', '.join(files)}.")
    kind = "application/octet-stream" if name in made["binary"] else "text/plain; charset=utf-8"
    return Response(files[name], media_type=kind, headers={"x-files": ", ".join(files), "x-state": made["state"]})


@answering
async def upload(request: Request, person: Person) -> JSONResponse:
    """PUT /api/v1/imports/<file>: store a file where `import_runs` and `preview_import` find it."""
    await ask_first(request, person, lambda: need("operator", "upload files"))
    data = await body_of(request, LARGEST_FILE)

    def keep():
        with as_person(person):
            return imports.keep_file(state.store().workspace, request.path_params["file"], [data])

    return JSONResponse({"result": {"file": await run_in_threadpool(keep)}})


async def journal(request: Request) -> JSONResponse:
    """GET or POST /api/v1/journal/<job>?offset=N: a node fetches its job, or posts bytes of the job's journal; with
    ?log=1 it posts the end of the job's output.

    The token opens one attempt at one job (engine/jobs/tokens.py); no other token opens anything here.
    """
    spool, job_id = state.store().spool, request.path_params["job"]
    attempt = request.headers.get("x-attempt", "")
    wanted = job_token(state.store().workspace.root, job_id, attempt)
    if not hmac.compare_digest(bearer(request).encode(), wanted.encode()):
        failures.add(request.client.host if request.client else "somewhere")
        return JSONResponse({"error": "Cannot accept this journal: the token does not belong to this attempt."}, 401)
    try:
        if request.method == "GET":
            async with LARGE:
                found = await run_in_threadpool(journal_upload.hand_out, spool, job_id, attempt)
                return await run_in_threadpool(JSONResponse, found)
        data = await body_of(request, journal_upload.LARGEST)
        if request.query_params.get("log"):
            await run_in_threadpool(journal_upload.take_log, spool, job_id, attempt, data)
            return JSONResponse({"have": 0})
        offset = request.query_params.get("offset", "")
        if not offset.isdecimal() or len(offset) > DIGITS:
            return JSONResponse({"error": f"Cannot accept this journal: the offset {offset[:80]!r} is invalid."}, 400)
        have = await run_in_threadpool(journal_upload.receive, spool, job_id, attempt, int(offset), data)
        return JSONResponse({"have": have})
    except TooLarge:
        return JSONResponse(
            {"error": f"Cannot accept this journal: send at most {journal_upload.LARGEST} bytes at once."}, 413
        )
    except journal_upload.Gone as gone:
        return JSONResponse({"error": str(gone)}, 410)
    except (OSError, Problem) as error:
        return JSONResponse({"error": f"Cannot write the journal: {error}. Post it again."}, 503)


async def document(request: Request) -> JSONResponse:
    """GET /api/v1/openapi.json: every command, what it takes and how it answers (OpenAPI 3.1)."""
    return JSONResponse(contract.openapi(under("")))


async def health(request: Request) -> JSONResponse:
    """GET /api/v1/health: whether the journals are being read."""
    trouble = state.owner().trouble
    shown = trouble if state.access() is None else trouble and "see the page, or the server's output"
    return JSONResponse({"ok": trouble is None, "trouble": shown}, 200 if trouble is None else 503)


@functools.cache
def plotly_scripts() -> dict[str, bytes]:
    """Encoding -> plotly.js as the plotly package ships it. Compressed once: 4.8 MB take .2 CPU seconds each time."""
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return {"gzip": gzip.compress(script), "identity": script}


async def plotly_js(request: Request) -> Response:
    """plotly.js, cached by the browser: charts need no network."""
    from plotly import __version__

    encoding = "gzip" if "gzip" in request.headers.get("accept-encoding", "") else "identity"
    tag = f'"{__version__}-{encoding}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304)
    headers = {"cache-control": "max-age=86400", "etag": tag, "vary": "accept-encoding"}
    if encoding == "gzip":
        headers["content-encoding"] = encoding
    script = (await run_in_threadpool(plotly_scripts))[encoding]
    return Response(script, media_type="text/javascript", headers=headers)


ROUTES = [
    Route(under("/api/v1/health"), health),
    Route(under("/api/v1/openapi.json"), document),
    Route(under("/api/v1/journal/{job}"), journal, methods=["GET", "POST"]),
    Route(under("/api/v1/imports/{file:path}"), upload, methods=["PUT"]),
    Route(under("/api/v1/recipe"), recipe, methods=["GET"]),
    Route(under("/api/v1/recipe/{study:path}"), recipe, methods=["GET"]),
    Route(under("/api/v1/{name}"), command, methods=["POST"]),
    Route(under("/assets/plotly.min.js"), plotly_js),
]
