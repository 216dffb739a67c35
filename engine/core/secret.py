"""The secret of a workspace, from which tokens and the cookies' key are made."""

import os
import secrets
from pathlib import Path


def secret(workspace: Path) -> bytes:
    """The workspace's secret, made when it is first asked for; only this user can read it."""
    path = workspace / "secret"
    if not path.exists():
        temporary = workspace / f".secret.{secrets.token_hex(4)}"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(temporary, path)  # the first one wins: page and worker may both be making it
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_bytes()
