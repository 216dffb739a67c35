"""`python -m store.rebuild`: a new database from the journals (store/from_journals.py)."""

import signal
import sys


def main() -> int:
    """Rebuild; returns the exit code. A Ctrl-C ends it quietly, and leaves the database that there was."""
    try:
        from store import from_journals

        from_journals.main()
    except KeyboardInterrupt as interrupt:
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
