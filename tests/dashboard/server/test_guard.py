"""Requests and web sockets of other sites' pages are refused, by scheme, host and port."""

import asyncio

import pytest

from dashboard.server.guard import SameOrigin


def answered(kind: str, method: str, origin: str | None, host: str = "127.0.0.1:8501") -> list[dict]:
    """What is sent to a client; "asked" where the request reaches the app."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "asked"})

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    scope = {"type": kind, "method": method, "headers": headers, "path": "/"}
    asyncio.run(SameOrigin(app)(scope, None, send))
    return sent


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "127.0.0.1:8501"),
        ("http://127.0.0.1:8501", "127.0.0.1:8501"),
        ("http://localhost:9000", "localhost:9000"),
        ("https://desk.example.org", "desk.example.org"),
        ("https://desk.example.org:443", "desk.example.org"),
        ("http://[::1]:8501", "[::1]:8501"),
    ],
)
def test_the_pages_own_requests_pass(origin, host):
    assert answered("websocket", "", origin, host) == [{"type": "asked"}]
    assert answered("http", "POST", origin, host) == [{"type": "asked"}]


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:8502",  # another program of this machine
        "http://localhost:8501",
        "http://evil.example.org",
        "http://127.0.0.1:8501.evil.org",
        "https://127.0.0.1:notaport",
        "null",
        "",
        "file://",
    ],
)
def test_those_of_others_do_not(origin):
    assert answered("websocket", "", origin) == [{"type": "websocket.close", "code": 1008}]
    assert answered("http", "PUT", origin)[0]["status"] == 403
    assert answered("http", "GET", origin) == [{"type": "asked"}], "looking is not theirs to see, and changes nothing"
