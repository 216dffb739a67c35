"""Analysis: a surrogate's local behaviour, and how reliable it is. numpy."""
