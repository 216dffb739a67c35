"""What opens a job's door to the page's HTTP API: a token for one attempt at one job, and for nothing else.

It is made from a secret of the workspace, so it outlives a restart of the page, and a node of a cluster that holds it
can write that job's journal and no other.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path


def job_token(workspace: Path, job_id: str, attempt: str) -> str:
    """The token of one attempt at a job."""
    return hmac.new(secret(workspace), f"{job_id}\n{attempt}".encode(), hashlib.sha256).hexdigest()


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
