"""How a command reaches the store: in its own process, or through the page or another command that owns it."""

import http.client
import json
import secrets
import urllib.error
import urllib.request
from contextlib import nullcontext
from typing import TYPE_CHECKING

from engine.commands import SECRET
from engine.core.errors import Problem
from engine.core.shown import huge_in
from engine.core.workspace import Workspace

if TYPE_CHECKING:
    from engine.commands.local import Local

PATIENCE = 60  # seconds for an answer of the process that owns the workspace


class Remote:
    """Asks the process that owns a workspace."""

    def __init__(self, url: str, token: str):
        self.url, self.token = url.rstrip("/"), token

    @classmethod
    def owner_of(cls, workspace: Workspace) -> "Remote":
        """The process on this machine, with the token that only this user can read."""
        try:
            server = json.loads((workspace.root / "web.json").read_text())
            return cls(server["url"], server["token"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise Problem(
                f"Cannot use {workspace.root}: another command owns it at the moment. Wait until it has ended."
            ) from error

    def call(self, command: str, /, **arguments):
        if (huge := huge_in(arguments)) is not None:  # JSON has none
            raise Problem(f"Cannot ask for {command}: a number of it is {huge}. Give a finite number.")
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if command not in SECRET:  # asked again where the answer was lost, and done once
            headers["Idempotency-Key"] = secrets.token_hex(16)
        request = urllib.request.Request(f"{self.url}/api/v1/{command}", json.dumps(arguments).encode(), headers)
        try:
            return self.answer(request)
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            return self.answer(request)

    def answer(self, request: urllib.request.Request):
        """The result of a request. Raises Problem with the server's sentence."""
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            raise Problem(reason(error)) from error
        except urllib.error.URLError as error:
            raise Problem(
                f"Cannot reach the process that owns this workspace, at {self.url}: {error.reason}. It is still "
                "starting, or has ended. Try again."
            ) from error
        except TimeoutError as error:
            raise Problem(
                f"The process that owns this workspace, at {self.url}, has not answered for {PATIENCE} seconds: it is "
                "busy, or what was asked for is large. Try again when less is running."
            ) from error

    def open_endpoint(self) -> nullcontext:
        """Whoever owns the workspace answers others already."""
        return nullcontext()

    def close(self) -> None:
        pass


def reason(error: urllib.error.HTTPError) -> str:
    """The page's answer, in words."""
    try:
        return json.load(error)["error"]
    except (ValueError, LookupError, TypeError):  # not from a command: a proxy's page, a server that stops
        return f"The page answered {error.code} {error.reason}. Its output has more. Try again."


def connect(workspace: Workspace) -> "Local | Remote":
    """The client for this workspace's store."""
    if workspace.is_held("owner"):
        return Remote.owner_of(workspace)
    from engine.commands.local import Local  # reads the files of all commands, and the database

    return Local(workspace)
