"""Events: what each line of a journal does to the tables."""
