"""The token for a job's endpoint in the page's HTTP API, valid for one attempt at one job only.

It is derived from the workspace's secret, so it survives a restart of the page; a cluster's node that has it can write
that job's journal and no other.
"""

import hashlib
import hmac
from pathlib import Path

from engine.core.secret import secret


def job_token(workspace: Path, job_id: str, attempt: str) -> str:
    """The token of one attempt at a job."""
    return hmac.new(secret(workspace), f"{job_id}\n{attempt}".encode(), hashlib.sha256).hexdigest()
