"""The report of a candidate."""
