"""Start the page: `python -m dashboard` (the `web` line of the Procfile), after checking address, port and workspace.

$PORT (8501), $MIXDESK_ADDRESS (127.0.0.1) and $MIXDESK_WORKSPACE (./workspace) say where. The workspace's
access.toml says who may sign in (docs/SIGN_IN.md): without it, the page serves this machine only. Behind a proxy
that gives it a path such as /mixdesk, that path comes from the url in access.toml, or else from $MIXDESK_BASE_PATH.
"""

import os
import signal
import socket
import sys
from pathlib import Path

from engine.core import access
from engine.core.errors import Problem
from engine.core.files import check_room
from engine.core.system import hold_standard_streams
from engine.core.workspace import Workspace
from engine.jobs.supervisor import CHILD_ENVIRONMENT

WHERE = "$PORT, $MIXDESK_ADDRESS and $MIXDESK_WORKSPACE say where it is served, and from what."
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "localhost"}  # and how this machine reaches what listens there


def main() -> None:
    hold_standard_streams()
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    if sys.argv[1:]:
        sys.exit(f"web: Cannot use {sys.argv[1]!r}: the page takes no arguments. {WHERE}")
    address, port = os.environ.get("MIXDESK_ADDRESS", "127.0.0.1"), os.environ.get("PORT", "8501")
    try:
        workspace = Workspace.open()
        found = access.read(workspace.root)
        base = found.base if found else base_path(os.environ.get("MIXDESK_BASE_PATH", ""))
        check_address(address, found)
        check_port(address, port)
        check_room(workspace.root)
        os.close(workspace.lock("owner"))  # taken again by the server; here it only shows that it is free
    except Problem as problem:
        sys.exit(f"web: {problem}")
    here = f"http://{EVERYWHERE.get(address, address)}:{port}{base}"
    there = f", for this machine at {here}" if found and found.url != here else ""
    print(f"\n  Mixdesk is at {found.url if found else here}{there}\n  Its workspace is {workspace.root}\n", flush=True)
    os.environ["MIXDESK_WORKSPACE"] = str(workspace.root)
    os.environ |= CHILD_ENVIRONMENT  # a prediction is quick with one thread, and has jobs beside it
    os.environ |= {"MIXDESK_URL": here, "MIXDESK_ADDRESS": address, "MIXDESK_BASE_PATH": base}
    root = Path(__file__).parents[2]
    os.chdir(root)  # streamlit reads .streamlit/config.toml from here
    options = ["--server.address", address, "--server.port", port, "--server.baseUrlPath", base]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the new program can answer it
    os.execv(sys.executable, [sys.executable, "-m", "dashboard.server.run", *options])


def check_address(address: str, found: access.Access | None) -> None:
    """Refuse any address but this machine's if nobody has to sign in: anyone could use the page."""
    if found is None and address not in access.LOCAL:
        raise Problem(
            f"Cannot serve on {address}: without sign-in, only this machine is served. Put {access.FILE} into the "
            "workspace, which says how people sign in and who may do what (docs/SIGN_IN.md); or unset MIXDESK_ADDRESS "
            "and use an SSH tunnel."
        )


def base_path(asked: str) -> str:
    """The path below which the page is served, "" or such as "/mixdesk". Raises Problem for one that is invalid."""
    path = f"/{asked.strip('/')}".rstrip("/")
    if not access.BASE.fullmatch(path):
        raise Problem(
            f"Cannot serve below {asked!r}: MIXDESK_BASE_PATH must be a path of letters, digits, '-', '_' and '.', "
            "such as /mixdesk."
        )
    return path


def check_port(address: str, port: str) -> None:
    """Raises Problem if the port is invalid or in use."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise Problem(f"Cannot serve on port {port!r}: a port is a number from 1 to 65535. Set PORT to one.")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(port)))
        except OSError as error:
            raise Problem(
                f"Cannot serve on {address}:{port}: {error.strerror}. Stop what uses the port, "
                f"or choose another one: PORT={int(port) + 1} make run."
            ) from error
