"""`python -m dashboard`, the `web` line of the Procfile: starts the page (dashboard/server/start.py)."""

import sys


def main() -> int:
    """Start the page; returns the exit code where it does not. A Ctrl-C meanwhile ends it quietly."""
    try:
        from dashboard.server import start

        start.main()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
