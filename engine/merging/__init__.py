"""Merging: checkpoints, merge files, methods (methods/), learned merges (learning/), measuring (measuring/)."""
