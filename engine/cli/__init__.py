"""The command line: one file per subject, each with `add(command)`; command_line.py puts them together, and of the
subjects reads only the one that is asked for (catalogue.py)."""
