"""The merge half: checkpoints, merge files, merge studies, their searches; the methods are in engine/merge_methods."""
