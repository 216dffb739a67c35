"""The server's process: `python -m dashboard.server.run`, which dashboard/server/start.py becomes.

It runs the page by Streamlit until somebody stops it, and ends then quietly.
"""

import signal
import sys


def main(options: list[str]) -> int:
    """Run the page with options of `streamlit run`; returns the exit code."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held back while one program became the other
        from streamlit.web import cli

        from dashboard.server.late_reruns import drop_late_reruns

        drop_late_reruns()
        cli.main(["run", "dashboard/app.py", *options], prog_name="streamlit", standalone_mode=False)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:  # what Click makes of a Ctrl-C
        if isinstance(error.__cause__, KeyboardInterrupt):
            return 130
        raise
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    from engine.core.system import end_now

    end_now(code)
