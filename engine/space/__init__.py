"""Spaces: what may vary, and the first points of it. numpy."""
