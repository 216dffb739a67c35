"""Merge methods that need text or models in the loop, one file each; their table is engine/spec/merge_learners.py."""
