"""`python -m engine`, and `mixdesk`: the command line (engine/cli/command_line.py)."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code. A Ctrl-C while Python still reads the files ends as quietly as later."""
    try:
        from engine.core.system import hold_standard_streams

        hold_standard_streams()
        from engine.cli import command_line

        return command_line.main(arguments)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
