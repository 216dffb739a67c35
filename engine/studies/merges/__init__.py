"""Merge studies. Uses the store."""
