"""Import runs: tables -> what each column is, and questions -> checked runs. Atomic; errors name row and column.

`read_table` reads a file, `read` says what its columns are (and can be corrected and answered), `read_runs` checks.
"""

from engine.importing.files import read_table
from engine.importing.mapping import FORMATS, Mapping
from engine.importing.points import read_points
from engine.importing.questions import refuse_open
from engine.importing.reading import Reading, read
from engine.importing.runs import ImportedRuns, read_runs
from engine.importing.tables import Table

__all__ = [
    "FORMATS",
    "ImportedRuns",
    "Mapping",
    "Reading",
    "Table",
    "read",
    "read_points",
    "read_runs",
    "read_table",
    "refuse_open",
]
