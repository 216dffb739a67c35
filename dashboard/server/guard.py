"""Middleware of the server: secure headers and cookies, and sign-in for Streamlit's own endpoints."""

import json
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from dashboard.server import state
from dashboard.server.paths import under
from engine.core.errors import Problem
from engine.core.people import Person

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss: data: blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'; object-src 'none'"
)
# What Streamlit serves without a sign-in: uploads, downloads, metrics, its agents' API.
ENDPOINTS = tuple(map(under, ("/_stcore/upload_file", "/media", "/_stcore/metrics", "/_stcore/agent")))


class PageHeaders:
    """Adds headers that Streamlit lacks: nothing is loaded from other sites, no site may frame the page, and browsers
    fetch plotly.js while the page starts. With HTTPS, cookies are sent over HTTPS only."""

    PRELOAD = (b"link", f"<{under('/assets/plotly.min.js')}>; rel=preload; as=script".encode())
    HEADERS = (
        (b"content-security-policy", POLICY.encode()),
        (b"x-frame-options", b"DENY"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )

    def __init__(self, app, secure: bool):
        self.app, self.secure = app, secure

    async def __call__(self, scope, receive, send):
        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                sent = [self.safe(*pair) for pair in message["headers"]]
                is_page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in sent)
                message["headers"] = [*sent, *self.HEADERS, *([self.PRELOAD] if is_page else [])]
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def safe(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """A header as it is, or a cookie that is sent over HTTPS only."""
        if self.secure and name == b"set-cookie" and b"; secure" not in value.lower():
            value += b"; Secure"
        return name, value


class OwnAddress:
    """Tells the page where its server is. Streamlit's would ask for it below each part of the address in turn, and
    what is not there is an error in the browser's console."""

    TELLS = (
        f"<head><script>window.__streamlit = {{ BACKEND_BASE_URL: location.origin + {json.dumps(under('') + '/')} }}"
        "</script>"
    ).encode()

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        held: list[dict] = []  # the page's messages, until all of it is there
        if scope["type"] == "http" and b"text/html" in dict(scope["headers"]).get(b"accept", b""):  # not compressed
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}

        async def send_with_address(message):
            if message["type"] == "http.response.start" and self.is_page(message["headers"]):
                held.append(message)
            elif not held:
                await send(message)
            else:
                held.append(message)
                if not message.get("more_body"):
                    await self.send_page(held, send)

        await self.app(scope, receive, send_with_address)

    @staticmethod
    def is_page(headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether it is a page as text; one that is compressed is left alone."""
        found = dict(headers)
        return found.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in found

    async def send_page(self, held: list[dict], send) -> None:
        """Send a page whose messages are all there, with the script in its head."""
        body = b"".join(message.get("body", b"") for message in held[1:])
        if body:  # a HEAD has none
            body = body.replace(b"<head>", self.TELLS, 1)
            kept = [pair for pair in held[0]["headers"] if pair[0] != b"content-length"]
            held[0]["headers"] = [*kept, (b"content-length", str(len(body)).encode())]
        await send(held[0])
        await send({"type": "http.response.body", "body": body})


class SameOrigin:
    """Refuses what a page of another site, or of another port of this host, sends with somebody's cookies: requests
    that change something, and web sockets."""

    SAFE = ("GET", "HEAD", "OPTIONS")

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        asks = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in self.SAFE)
        if asks and not self.allowed(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                sentence = "Cannot do that: another site's page asked for it. Open Mixdesk's own address."
                await JSONResponse({"error": sentence}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    @staticmethod
    def allowed(scope) -> bool:
        """Whether the page that asks is Mixdesk's own: its origin is the host asked, or the url in access.toml."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None:  # not from a browser's page
            return True
        access = state.access()
        own = {netloc(f"{scheme}://{headers.get(b'host', b'').decode('latin-1')}") for scheme in ("http", "https")}
        return netloc(origin.decode("latin-1")) in own | ({netloc(access.url)} if access else set()) - {None}


def netloc(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address, (scheme, host, port); None for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port else None


class Guard:
    """Requires a sign-in at Streamlit's own endpoints; the page asks by itself, and the API requires a token."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith(ENDPOINTS):
            try:
                person_of(HTTPConnection(scope).cookies)
            except Problem as problem:
                await JSONResponse({"error": str(problem)}, 401)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def person_of(cookies: dict[str, str]) -> Person | None:
    """Who signed in with these cookies; None if nobody has to. Raises Problem as state.person_of does."""
    if state.access() is None:
        return None

    def one(name: str) -> bytes | None:
        value = cookies.get(name)
        return value and decode_signed_value(get_cookie_secret(), name, value.encode("latin-1"))

    claims = get_cookie_with_chunks(one, USER_COOKIE_NAME)
    return state.person_of(json.loads(claims) if claims else {})
