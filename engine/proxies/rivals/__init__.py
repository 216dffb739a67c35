"""Methods that find a mixture from few runs, each in a file of its own; their table is engine/spec/rivals.py."""
