"""Data-driven merge methods, one file each; their table is engine/spec/merge_learners.py."""
