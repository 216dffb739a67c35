"""`python -m engine.worker`: serves one workspace until it is stopped (engine/jobs/serving.py)."""

import sys


def main() -> int:
    """Serve; returns the exit code. A Ctrl-C before the worker is up ends it quietly: nothing has begun."""
    try:
        from engine.jobs import serving

        serving.main()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
