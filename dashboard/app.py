"""The server: Streamlit's page, the HTTP API and the owner of the database, in one process."""

import gc
import os
import sys
import threading
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dashboard.charts import style
from dashboard.server import api, ending, guard, session, state
from engine.core import access, people
from engine.core.files import write_json
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from engine.studies import lifecycle
from store import studies


@asynccontextmanager
async def lifespan(app):
    """Own the workspace while the server runs; a new workspace gets the demo study."""
    workspace = WORKSPACE
    owner = Owner(workspace)
    state.use(owner, WATCHED)
    people.ask_first(session.who)
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    endpoint = workspace.root / "web.json"  # for commands on this machine, readable by this user only
    write_json(endpoint, {"url": os.environ.get("MIXDESK_URL", ""), "token": state.TOKEN}, mode=0o600)
    if os.environ.get("MIXDESK_DEMO", "1") != "0" and not studies.all_studies(owner.store):
        with people.as_person(people.SYSTEM):
            lifecycle.create_demo(owner.store)
    ending.end_soon(owner.store.interrupt, lambda: endpoint.unlink(missing_ok=True))
    try:
        yield
    finally:
        endpoint.unlink(missing_ok=True)
        state.use(None)
        owner.close()


def warm_up() -> None:
    """Load what the first visit needs while the browser still loads the page's scripts (about 2 CPU seconds)."""
    from dashboard.views import PAGES

    style.figure(100).to_json()
    for page in PAGES:
        page.function()
    import lightgbm  # noqa: F401

    # Streamlit collects garbage after every run: without this it looks through all modules each time, 0.1 to 0.2 s.
    gc.collect()
    gc.freeze()
    # Each database query releases the interpreter and waits to get it back: by default 5 ms each time while another
    # thread computes, which adds up when several sessions draw at once.
    sys.setswitchinterval(0.0005)


WORKSPACE = Workspace.open()
WATCHED = access.Watched(WORKSPACE.root)
FOUND = WATCHED.now()
HOSTS = {*access.LOCAL, os.environ.get("MIXDESK_ADDRESS", ""), FOUND.host if FOUND else ""} - {"", "0.0.0.0", "::"}

app = st.App(
    "page.py",
    secrets=FOUND and FOUND.secrets(WORKSPACE.root),
    lifespan=lifespan,
    routes=api.ROUTES,
    middleware=[
        # First, so that refusals carry the headers as well.
        Middleware(guard.PageHeaders, secure=FOUND is not None and FOUND.secure),
        # A page elsewhere whose name resolves to this address must not reach this one.
        Middleware(TrustedHostMiddleware, allowed_hosts=sorted(HOSTS)),
        Middleware(guard.SameOrigin),
        Middleware(guard.Guard),
        Middleware(guard.OwnAddress),
    ],
)
