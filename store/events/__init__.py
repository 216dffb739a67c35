"""Apply the events of journals to the tables."""
