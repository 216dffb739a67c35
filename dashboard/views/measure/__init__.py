"""Pages that measure."""
