"""Where the code lies, and how files are written atomically. Standard library only."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]  # the working directory of every process that runs `python -m engine...`
