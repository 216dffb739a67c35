"""Analysis: what a surrogate says around a point, and how far it can be trusted. numpy."""
