"""Studies: turn requests into jobs, and results of jobs into answers. Uses the store."""
