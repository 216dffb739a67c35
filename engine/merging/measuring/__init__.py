"""Measuring: merges built in memory and evaluated. torch."""
