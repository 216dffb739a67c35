"""Studies: what is asked of them becomes jobs, and what jobs measured becomes answers. Uses the store."""
