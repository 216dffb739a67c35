"""Spaces: what may be turned, and the first points of it. numpy."""
