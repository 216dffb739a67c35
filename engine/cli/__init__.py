"""The command line: one file per subject, each with `add(command)`; engine/__main__.py puts them together."""
