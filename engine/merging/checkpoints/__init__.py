"""Checkpoints: models on disk, read and written. torch."""
