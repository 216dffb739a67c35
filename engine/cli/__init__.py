"""The command line: one file a subject, each with `add(command)`; engine/__main__.py puts them together."""
