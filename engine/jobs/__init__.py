"""Jobs: folders in a spool, the worker that runs them, and where. Standard library only."""
