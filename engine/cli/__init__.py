"""The command line: one file per subject, each with `add(command)`; command_line.py puts them together."""
