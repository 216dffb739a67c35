"""The HTTP routes beside the page: engine.commands for headless clients, plotly.js for the page's charts."""

import hmac
import logging
from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import state
from engine import posting
from engine.commands import COMMANDS
from engine.errors import Problem
from engine.tokens import job_token

log = logging.getLogger("mixdesk.api")

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss: data: blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)


class PageHeaders:
    """Adds the headers that Streamlit leaves out: nothing is loaded from elsewhere, nobody frames the page, and the
    browser fetches what draws the charts while it still starts the page."""

    PRELOAD = (b"link", b"</assets/plotly.min.js>; rel=preload; as=script")
    HEADERS = (
        (b"content-security-policy", POLICY.encode()),
        (b"x-frame-options", b"DENY"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                sent = list(message["headers"])
                is_page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in sent)
                message["headers"] = [*sent, *self.HEADERS, *([self.PRELOAD] if is_page else [])]
            await send(message)

        await self.app(scope, receive, send_with_headers)


async def command(request: Request) -> JSONResponse:
    """POST /api/v1/<command> with its arguments as a JSON object and the workspace's token."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(token.encode(), state.TOKEN.encode()):
        return JSONResponse({"error": "Cannot do that: the token is missing or wrong. It is in web.json."}, 401)
    function = COMMANDS.get(request.path_params["name"])
    if function is None:
        return JSONResponse({"error": f"There is no such command. Commands: {', '.join(COMMANDS)}."}, 404)
    try:
        arguments = await request.json()
        result = await run_in_threadpool(lambda: function(state.store(), **arguments))
    except (Problem, TypeError, ValueError) as problem:
        return JSONResponse({"error": str(problem)}, 400)
    except Exception as error:
        log.exception("the command %s failed", function.__name__)
        sentence = f"Unexpected {type(error).__name__}: {error}. The page's output has the traceback."
        return JSONResponse({"error": sentence}, 500)
    return JSONResponse({"result": result})


async def journal(request: Request) -> JSONResponse:
    """GET or POST /api/v1/journal/<job>?offset=N: a node fetches its job, or posts bytes of the job's journal; with
    ?log=1 it posts the end of what the job printed.

    The token opens one attempt at one job (engine/tokens.py); the page's own token opens nothing here.
    """
    spool, job_id = state.store().spool, request.path_params["job"]
    attempt = request.headers.get("x-attempt", "")
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(token.encode(), job_token(state.store().workspace.root, job_id, attempt).encode()):
        return JSONResponse({"error": "Cannot take that journal: the token is not one of this attempt."}, 401)
    try:
        if request.method == "GET":
            return JSONResponse(await run_in_threadpool(posting.hand_out, spool, job_id, attempt))
        if request.query_params.get("log"):
            await run_in_threadpool(posting.take_log, spool, job_id, attempt, await body_of(request) or b"")
            return JSONResponse({"have": 0})
        offset, data = request.query_params.get("offset", ""), await body_of(request)
        if not offset.isdecimal() or data is None:
            said = f"Cannot take that: offset is {offset!r}, and at most {posting.LARGEST} bytes come at once."
            return JSONResponse({"error": said}, 400)
        have = await run_in_threadpool(posting.receive, spool, job_id, attempt, int(offset), data)
        return JSONResponse({"have": have})
    except posting.Gone as gone:
        return JSONResponse({"error": str(gone)}, 410)
    except (OSError, Problem) as error:
        return JSONResponse({"error": f"Cannot write the journal: {error}. Post it again."}, 503)


async def body_of(request: Request) -> bytes | None:
    """The posted bytes; None where there are too many."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > posting.LARGEST:
            return None
    return bytes(data)


async def health(request: Request) -> JSONResponse:
    """GET /api/v1/health: whether the journals are being read."""
    trouble = state.owner().trouble
    return JSONResponse({"ok": trouble is None, "trouble": trouble}, 200 if trouble is None else 503)


async def plotly_js(request: Request) -> Response:
    """plotly.js as the plotly package ships it, cached by the browser: charts need no network."""
    from plotly import __version__

    if request.headers.get("if-none-match") == __version__:
        return Response(status_code=304)
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    headers = {"cache-control": "max-age=86400", "etag": __version__}
    return Response(script, media_type="text/javascript", headers=headers)


ROUTES = [
    Route("/api/v1/health", health),
    Route("/api/v1/journal/{job}", journal, methods=["GET", "POST"]),
    Route("/api/v1/{name}", command, methods=["POST"]),
    Route("/assets/plotly.min.js", plotly_js),
]
