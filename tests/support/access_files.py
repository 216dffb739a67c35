"""A real access.toml for tests: who signs in where, and who may do what."""

import os
from pathlib import Path

EXAMPLE = """
url = "{url}"

[sign_in]
server_metadata_url = "{provider}/.well-known/openid-configuration"
client_id = "mixdesk"
client_secret = "known to both"

[roles]
"Olga@example.org" = "operator"
"rob@example.org" = "reviewer"
"@example.org" = "viewer"
"""


def write_access(workspace: Path, text: str) -> None:
    """access.toml, readable by its owner only."""
    workspace.mkdir(parents=True, exist_ok=True)
    with open(os.open(workspace / "access.toml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
