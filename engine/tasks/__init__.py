"""Tasks: sets of items that models answer, read from files, generated, or cut from a corpus' own text."""
