"""Parquet files read a group of rows at a time, with their texts by number where the encoding has numbers."""

from collections.abc import Callable, Iterator
from typing import Any


def batches(file: Any, rows: int, instead: Callable[[int], Iterator[Any]], **options: Any) -> Iterator[Any]:
    """Batches of at most `rows` rows of a pyarrow ParquetFile that was opened with `read_dictionary`.

    options: of its iter_batches; instead: the batches of a group whose texts have no numbers (delta encodings), by the
    group's place. A batch of two groups would hold two dictionaries, which lists cannot, so each is of one.
    """
    for group in range(file.num_row_groups):
        begun = False
        try:
            for batch in file.iter_batches(rows, row_groups=[group], **options):
                begun = True
                yield batch
        except OSError as error:
            if begun or "Not yet implemented" not in str(error):
                raise
            yield from instead(group)
