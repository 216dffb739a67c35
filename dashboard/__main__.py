"""Start the page: `python -m dashboard` (the `web` line of the Procfile). Says what is in the way before it starts.

$PORT (8501), $MIXDESK_ADDRESS (127.0.0.1) and $MIXDESK_WORKSPACE (./workspace) say where.
"""

import os
import socket
import sys
from pathlib import Path

from engine.errors import Problem
from engine.supervisor import ONE_THREAD
from engine.workspace import Workspace

LOCAL = ("127.0.0.1", "localhost")


def main() -> None:
    address, port = os.environ.get("MIXDESK_ADDRESS", "127.0.0.1"), os.environ.get("PORT", "8501")
    try:
        check_address(address)
        check_port(address, port)
        workspace = Workspace.open()
        os.close(workspace.lock("owner"))  # taken again by the server; here it only shows that it is free
    except Problem as problem:
        sys.exit(f"web: {problem}")
    print(f"\n  Mixdesk is at http://{address}:{port}\n  Its workspace is {workspace.root}\n", flush=True)
    os.environ["MIXDESK_WORKSPACE"] = str(workspace.root)
    os.environ |= ONE_THREAD  # a prediction is quick with one, and two pools on two cores spin against each other
    os.environ["MIXDESK_URL"] = f"http://{address}:{port}"
    root = Path(__file__).parents[1]
    os.chdir(root)  # streamlit reads .streamlit/config.toml from here
    options = ["--server.address", address, "--server.port", port]
    arguments = ["-m", "streamlit", "run", "dashboard/app.py", *options]
    os.execv(sys.executable, [sys.executable, *arguments])


def check_address(address: str) -> None:
    """Only this machine, until somebody can sign in: an open port without sign-in is everybody's desk."""
    if address not in LOCAL:
        raise Problem(
            f"Cannot serve on {address}: this version has no sign-in, so it serves 127.0.0.1 only. "
            "Unset MIXDESK_ADDRESS, and reach it from elsewhere through an SSH tunnel."
        )


def check_port(address: str, port: str) -> None:
    """Raises Problem when the port is no port, or somebody listens there."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise Problem(f"Cannot serve on port {port!r}: a port is a number from 1 to 65535. Set PORT to one.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(port)))
        except OSError as error:
            raise Problem(
                f"Cannot serve on {address}:{port}: {error.strerror}. Stop what uses the port, "
                f"or choose another one: PORT={int(port) + 1} make run."
            ) from error


if __name__ == "__main__":
    main()
