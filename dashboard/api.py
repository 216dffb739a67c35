"""The HTTP routes beside the page: engine.commands for headless clients, plotly.js for the page's charts."""

import hmac
import logging
from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import state
from engine.commands import COMMANDS
from engine.errors import Problem

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
    Route("/api/v1/{name}", command, methods=["POST"]),
    Route("/assets/plotly.min.js", plotly_js),
]
