"""Spaces of mixtures and merges, and initial designs in them. numpy."""
