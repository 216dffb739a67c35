"""Own data: texts out of columns of Parquet and Arrow files.

A column may hold text in any of Arrow's forms, bytes that are UTF-8, a dictionary of either, or lists of them, which
are joined by line ends.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from engine.corpus.labels import is_label
from engine.corpus.records import EMPTY, NOT_UTF8, Faults, Unreadable, column_place

ROWS = 256  # of a Parquet file read at a time


def parquet_texts(raw: BinaryIO, column: str, faults: Faults) -> Iterator[tuple[str, float]]:
    """(text, share of the file's rows read so far) of each row. Raises Unreadable."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(raw) as file:
            check_column(file.schema_arrow, column)
            done, named = 0, label_fields(file.schema_arrow)
            for batch in file.iter_batches(batch_size=ROWS, columns=[column, *named]):
                see_labels(batch, named, faults)
                for text in column_texts(batch.column(batch.schema.get_field_index(column)), faults, done):
                    done += 1
                    if text:
                        yield text, done / file.metadata.num_rows
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:  # names that are not UTF-8
        raise Unreadable(damage(error)) from error


def arrow_texts(raw: BinaryIO, column: str, faults: Faults) -> Iterator[tuple[str, float]]:
    """(text, share of the file read so far) of each row of an Arrow file, or of a stream in a file."""
    import pyarrow

    size = raw.seek(0, 2)
    raw.seek(0)
    is_file = raw.read(6) == b"ARROW1"
    raw.seek(0)
    try:
        with pyarrow.ipc.open_file(raw) if is_file else pyarrow.ipc.open_stream(raw) as file:
            place = check_column(file.schema, column)
            count = file.num_record_batches if is_file else None
            batches = map(file.get_batch, range(count)) if is_file else file
            done, named = 0, label_fields(file.schema)
            for number, batch in enumerate(batches, 1):
                see_labels(batch, named, faults)
                for text in column_texts(checked(batch.column(place)), faults, done):
                    done += 1
                    if text:
                        yield text, number / count if count else raw.tell() / size
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:  # names that are not UTF-8
        raise Unreadable(damage(error)) from error


def label_fields(schema: Any) -> list[str]:
    """The columns of text, and fields of one level inside a struct, that are named like domains; of single names."""
    from pyarrow import types

    found = []
    for field in schema:
        if schema.names.count(field.name) > 1 or "." in field.name:
            continue
        if types.is_struct(field.type):
            inner = [field.type.field(place) for place in range(field.type.num_fields)]
            found += [f"{field.name}.{one.name}" for one in inner if is_label(one.name) and types.is_string(one.type)]
        elif is_label(field.name) and types.is_string(field.type):
            found.append(field.name)
    return found


def see_labels(batch: Any, named: list[str], faults: Faults) -> None:
    """Count what the rows of a batch say in such columns; what is damaged in them says nothing."""
    import pyarrow
    from pyarrow import compute

    for name in named:
        outer, _, inner = name.partition(".")
        try:
            values = batch.column(batch.schema.get_field_index(outer))
            values.validate(full=True)
            texts = (compute.struct_field(values, inner) if inner else values).to_pylist()
        except (pyarrow.ArrowException, ValueError):
            continue
        for text in texts:
            if text is not None:
                faults.labels.count(name, text)


def damage(error: Exception) -> str:
    """What is wrong with a file, in a line. A damaged one may claim more than any memory holds."""
    return str(error).split("\n")[0] or "it needs more memory than there is, or is damaged"


def check_column(schema: Any, column: str) -> int:
    """The place of a column of text. Raises Unreadable if there is none."""
    place = column_place(schema.names, column)
    kind = schema.field(place).type
    if not holds_text(kind) and not (is_list(kind) and holds_text(kind.value_type)):
        raise Unreadable(f"its column {column!r} holds {str(kind)[:200]}, not text")
    return place


def holds_text(kind: Any) -> bool:
    """Whether values of an Arrow type are texts, or bytes."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return holds_text(kind.value_type)
    forms = (types.is_string, types.is_large_string, types.is_string_view)
    return any(form(kind) for form in (*forms, types.is_binary, types.is_large_binary, types.is_binary_view))


def is_list(kind: Any) -> bool:
    """Whether values of an Arrow type are lists."""
    from pyarrow import types

    forms = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(form(kind) for form in forms)


def checked(values: Any) -> Any:
    """An array of a file that may be damaged, if its parts fit together. Raises ArrowInvalid.

    In a column of texts, what is not UTF-8 is found after all else, and costs its row only; inside lists and
    dictionaries it is found before, and the rest of the file is not read.
    """
    import pyarrow

    try:
        values.validate(full=True)
    except pyarrow.ArrowInvalid as error:
        if "UTF8" not in str(error) or is_list(values.type) or pyarrow.types.is_dictionary(values.type):
            raise
    return values


def column_texts(values: Any, faults: Faults, before: int) -> Iterator[str]:
    """The text of each row; "" where it has none, which is counted."""
    import pyarrow

    nested = is_list(values.type)
    rows = values if nested else values.cast(pyarrow.large_binary())
    for number, row in enumerate(rows, before + 1):
        if nested:
            parts = row.values.cast(pyarrow.large_binary()).to_pylist() if row.is_valid else []
            data = b"\n".join(part for part in parts if part is not None)
        else:
            data = row.as_py() or b""
        try:
            text, fault = data.decode("utf-8"), "" if data else EMPTY
        except UnicodeDecodeError:
            text, fault = "", NOT_UTF8
        if fault:
            faults.add(fault, number)
        yield text
