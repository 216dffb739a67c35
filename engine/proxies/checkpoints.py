"""Checkpoints of stacks in training: what they are called, and what they say of themselves."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

CHECKPOINTS = "checkpoint-*.safetensors"


def notes_of(path: Path) -> dict | None:
    """What a checkpoint says of itself: "step", "ids" and what it has cost; None for one that cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            found: dict = json.loads(file.metadata()["training"])
            return found
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
