"""Where the server's paths begin: at /, or below a path of a host that a proxy shares with others."""

import os


def under(path: str) -> str:
    """A path of the server as browsers and programs ask for it; `python -m dashboard` sets MIXDESK_BASE_PATH."""
    return os.environ.get("MIXDESK_BASE_PATH", "") + path
