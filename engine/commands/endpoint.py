"""The endpoint of a command that waits: other commands on this machine reach the workspace that it owns through it."""

import hmac
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from engine.commands.contract import LARGE, arguments_in, call
from engine.core.errors import Problem
from engine.core.files import write_json
from engine.core.workspace import Workspace
from store.database import Store


class Endpoint:
    """Answers commands on a port of this machine, for who can read its token in web.json, while the block runs."""

    def __init__(self, workspace: Workspace, store: Store):
        self.file, self.token = workspace.root / "web.json", secrets.token_urlsafe(32)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), answering(store, self.token))
        self.server.daemon_threads = True

    def __enter__(self) -> "Endpoint":
        threading.Thread(target=self.server.serve_forever, name="endpoint", daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_port}"
        write_json(self.file, {"url": url, "token": self.token}, mode=0o600)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.unlink(missing_ok=True)
        self.server.shutdown()
        self.server.server_close()


def answering(store: Store, token: str) -> type[BaseHTTPRequestHandler]:
    """The handler of an endpoint's requests: POST /api/v1/<command>, as the page's API takes them."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), token.encode()):
                return self.answer(401, {"error": "Cannot open the workspace: the token is not this command's."})
            length = int(self.headers.get("content-length") or 0)
            if not 0 <= length <= LARGE:
                return self.answer(413, {"error": f"Cannot accept {length} bytes: at most {LARGE} are allowed."})
            try:
                name, arguments = self.path.removeprefix("/api/v1/"), arguments_in(self.rfile.read(length))
                self.answer(200, {"result": call(store, name, arguments, self.headers.get("idempotency-key"))})
            except Problem as problem:
                self.answer(400, {"error": str(problem)})
            except (LookupError, TypeError, ValueError) as error:
                self.answer(400, {"error": f"{type(error).__name__}: {error}"})

        def answer(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass  # the terminal belongs to the command

    return Handler
