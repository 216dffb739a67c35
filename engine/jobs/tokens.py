"""What opens a job's endpoint in the page's HTTP API: a token for one attempt at one job, and for nothing else.

It is made from a secret of the workspace, so it outlives a restart of the page, and a node of a cluster that holds it
can write that job's journal and no other.
"""

import hashlib
import hmac
from pathlib import Path

from engine.core.secret import secret


def job_token(workspace: Path, job_id: str, attempt: str) -> str:
    """The token of one attempt at a job."""
    return hmac.new(secret(workspace), f"{job_id}\n{attempt}".encode(), hashlib.sha256).hexdigest()
