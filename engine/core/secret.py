"""The secret of a workspace, from which tokens and the cookies' key are made."""

import os
import secrets
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import open_regular

BYTES, LARGEST = 32, 4096


def secret(workspace: Path) -> bytes:
    """The workspace's secret, made when it is first asked for; only this user can read it."""
    path = workspace / "secret"
    if not path.exists():
        temporary = workspace / f".secret.{secrets.token_hex(4)}"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(BYTES))
        try:
            os.link(temporary, path)  # the first one wins: page and worker may both be making it
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    try:
        with open_regular(path) as file:
            found = file.read(LARGEST)
    except OSError as error:
        raise Problem(f"Cannot read {path}: {error.strerror}. Tokens and sign-ins are checked with it.") from error
    if len(found) < BYTES:
        raise Problem(
            f"Cannot use {path}: it has {len(found)} bytes, and with fewer than {BYTES} tokens and sign-ins could be "
            "guessed. Put a copy of it back; or remove it: a new one is made, and everybody signs in and makes tokens "
            "again."
        )
    return found
