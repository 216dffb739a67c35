"""The API in this process: its routes on a store, without a server, for tests of what it takes and answers."""

from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.server import api, state
from engine.core.workspace import Workspace
from engine.service.owner import Owner


@contextmanager
def opened(root):
    """A client of the API of a workspace, with the token of whoever sits at this machine."""
    owner = Owner(Workspace.open(root))
    state.use(owner)
    try:
        with TestClient(Starlette(routes=api.ROUTES), raise_server_exceptions=False) as client:
            client.headers["Authorization"] = f"Bearer {state.TOKEN}"
            client.store = owner.store
            yield client
    finally:
        state.use(None)
        owner.close()
