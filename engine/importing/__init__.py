"""Import runs: tables -> column mapping -> checked runs. Atomic; errors name row and column.

`read_table` reads a file, `guess` says what its columns are (and can be corrected), `read_runs` checks and joins.
"""

from engine.importing.mapping import FORMATS, Mapping, guess
from engine.importing.points import read_points
from engine.importing.runs import ImportedRuns, read_runs
from engine.importing.tables import Table, read_table

__all__ = ["FORMATS", "ImportedRuns", "Mapping", "Table", "guess", "read_points", "read_runs", "read_table"]
