"""Kinds of jobs, one file each: the task, the events that no other kind tells, and what does the work.

The table is in engine/jobs/kinds.py. Nothing here imports what does the work.
"""
