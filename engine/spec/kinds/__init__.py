"""Kinds of jobs, one file each: the task, its own events, and the name of the function that does the work.

The table is in engine/jobs/kinds.py. Nothing here imports the functions themselves.
"""
