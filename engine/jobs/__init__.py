"""Jobs: folders in a spool, the worker that runs them, and its backends. Standard library only."""
