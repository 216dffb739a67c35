"""Own data: texts out of columns of Parquet and Arrow files.

A column may hold text in any of Arrow's forms, bytes that are UTF-8, a dictionary of either, or lists of them, which
are joined by line ends. A text that rows refer to by number stands in memory once, however often they do.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

from engine.core.row_groups import batches
from engine.corpus.arrow_sizes import check_unpacked
from engine.corpus.document import Written
from engine.corpus.fields import EMPTY, Fields
from engine.corpus.labels import is_label
from engine.corpus.records import MOST_LINE, NOT_UTF8, Faults, Unreadable, column_place, columns_wanted

ROWS = 256  # of a Parquet file read at a time


def parquet_texts(raw: BinaryIO, fields: Fields, faults: Faults) -> Iterator[tuple[Written, float]]:
    """(text, fraction of the file's rows read so far) of each row. Raises Unreadable."""
    import pyarrow
    from pyarrow import parquet

    try:
        about = parquet.read_metadata(raw)
        leaves = [about.schema.column(i) for i in range(about.num_columns)]
        texts = [one.path for one in leaves if one.physical_type == "BYTE_ARRAY"]
        with parquet.ParquetFile(raw, metadata=about, read_dictionary=texts) as file:
            schema = about.schema.to_arrow_schema()
            read, done = columns_read(schema, fields), 0
            named = [] if fields.only else label_fields(schema)
            own = [one if one in schema.names else one.partition(".")[0] for one in fields.domain if fields.only]
            columns = list(dict.fromkeys([*read, *named, *own]))
            for batch in batches(file, ROWS, partial(delta_batches, raw, file, columns), columns=columns):
                see_labels(batch, named, faults)
                kept = [fields.keeps(row) for row in batch.select(own).to_pylist()] if own else [True] * len(batch)
                told = Kept(faults, kept, done) if own else faults
                for text, keeps in zip(batch_texts(batch, read, fields, told, done), kept, strict=True):
                    done += 1
                    if text.text and keeps:
                        yield text, done / about.num_rows
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:  # names that are not UTF-8
        raise Unreadable(damage(error)) from error


class Kept:
    """Faults of those rows of a batch that belong to the domain. before: rows of the file before the batch."""

    def __init__(self, faults: Faults, kept: list[bool], before: int):
        self.faults, self.kept, self.before = faults, kept, before

    def add(self, reason: str, number: int) -> None:
        if self.kept[number - self.before - 1]:
            self.faults.add(reason, number)


def delta_batches(raw: BinaryIO, file: Any, columns: list[str], group: int) -> Iterator[Any]:
    """Batches of a group of rows whose texts continue each other: no one is longer than the group, so few are read at
    once. Raises Unreadable for lists of them, of which one row may hold any number."""
    from pyarrow import parquet

    if any(is_list(file.schema_arrow.field(one.partition(".")[0]).type) for one in columns):
        raise Unreadable("its lists of texts are in a delta encoding: write it without that encoding")
    rows = max(1, min(ROWS, MOST_LINE // (file.metadata.row_group(group).total_byte_size + 1)))
    yield from parquet.ParquetFile(raw).iter_batches(batch_size=rows, row_groups=[group], columns=columns)


def arrow_texts(raw: BinaryIO, fields: Fields, faults: Faults) -> Iterator[tuple[Written, float]]:
    """(text, fraction of the file read so far) of each row of an Arrow file, or of a stream in a file."""
    import pyarrow

    size = raw.seek(0, 2)
    raw.seek(0)
    begins = 8 if raw.read(6) == b"ARROW1" else 0  # a file is a stream between its first and its last bytes
    check_unpacked(raw, begins)
    raw.seek(begins)
    try:
        with pyarrow.ipc.open_stream(raw) as stream:
            read, done, named = columns_read(stream.schema, fields), 0, label_fields(stream.schema)
            for batch in stream:
                see_labels(batch, named, faults)
                for text in batch_texts(batch, read, fields, faults, done):
                    done += 1
                    if text.text:
                        yield text, raw.tell() / size
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:  # names that are not UTF-8
        raise Unreadable(damage(error)) from error


def columns_read(schema: Any, fields: Fields) -> list[str]:
    """The column of the text, if there is one, and those of conversations, which rows without a text may have. Raises
    Unreadable."""
    read = columns_wanted(schema.names, fields)
    if read[0] == fields.column and not holds_messages(schema.field(column_place(schema.names, read[0])).type):
        check_column(schema, fields.column)
    return read


def batch_texts(batch: Any, read: list[str], fields: Fields, faults: Faults | Kept, before: int) -> Iterator[Written]:
    """The text of each row of a batch that may be damaged; "" where it has none, which is counted."""
    own = batch.select([batch.schema.get_field_index(name) for name in read])
    if read[0] == fields.column and not holds_messages(own.schema.field(0).type):
        without = Without() if len(read) > 1 else None
        for column in own.columns[1:]:
            column.validate(full=True)
        texts = column_texts(checked(own.column(0)), faults if without is None else without, before)
        for place, text in enumerate(texts):
            fault = "" if without is None else without.reasons.pop(before + place + 1, "")
            yield Written(text) if not fault else row_text(own, place, fault, fields, faults, before)
        return
    own.validate(full=True)
    for place, row in enumerate(own.to_pylist()):
        text, fault = fields.written(row)
        if fault:
            faults.add(fault, before + place + 1)
        yield text


def row_text(batch: Any, place: int, fault: str, fields: Fields, faults: Faults | Kept, before: int) -> Written:
    """The conversation of a row that has no text, as `fault` says."""
    text = Written("")
    if fault == EMPTY:
        (row,) = batch.slice(place, 1).to_pylist()
        text, fault = fields.written(row)
    if fault:
        faults.add(fault, before + place + 1)
    return text


class Without:
    """Why rows have no text, by their numbers, until it is known whether they have a conversation."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}

    def add(self, reason: str, number: int) -> None:
        self.reasons[number] = reason


def label_fields(schema: Any) -> list[str]:
    """The columns of text, and fields of one level inside a struct, that are named like domains; of single names."""
    from pyarrow import types

    found = []
    for field in schema:
        if schema.names.count(field.name) > 1 or "." in field.name:
            continue
        if types.is_struct(field.type):
            inner = [field.type.field(place) for place in range(field.type.num_fields)]
            found += [f"{field.name}.{one.name}" for one in inner if is_label(one.name) and holds_text(one.type)]
        elif is_label(field.name) and holds_text(field.type):
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
            at = value_at(compute.struct_field(values, inner) if inner else values)
        except (pyarrow.ArrowException, ValueError):
            continue
        for place in range(len(batch)):
            if name in faults.labels.closed:
                break
            try:
                label = at(place)
            except Unreadable:
                break
            if label is not None:
                faults.labels.count(name, label.decode("utf-8", "replace"))


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


def holds_messages(kind: Any) -> bool:
    """Whether values of an Arrow type are lists of objects, as messages are."""
    from pyarrow import types

    return is_list(kind) and types.is_struct(kind.value_type)


def is_list(kind: Any) -> bool:
    """Whether values of an Arrow type are lists."""
    from pyarrow import types

    forms = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(form(kind) for form in forms)


def checked(values: Any) -> Any:
    """An array of a file that may be damaged, if its parts fit together. Raises ArrowInvalid.

    In a column of texts, what is not UTF-8 is found after all else, and costs its row only; inside lists it is found
    before, and the rest of the file is not read.
    """
    import pyarrow

    if pyarrow.types.is_dictionary(values.type):
        values.indices.validate(full=True)
        checked(values.dictionary)
        return values
    try:
        values.validate(full=True)
    except pyarrow.ArrowInvalid as error:
        if "UTF8" not in str(error) or is_list(values.type):
            raise
    return values


def column_texts(values: Any, faults: "Faults | Kept | Without", before: int) -> Iterator[str]:
    """The text of each row; "" where it has none, which is counted."""
    nested = is_list(values.type)
    at = None if nested else value_at(values)
    for place in range(len(values)):
        data, fault = list_bytes(values[place]) if at is None else (at(place) or b"", "")
        try:
            text, fault = data.decode("utf-8"), fault or ("" if data else EMPTY)
        except UnicodeDecodeError:
            text, fault = "", NOT_UTF8
        if fault:
            faults.add(fault, before + place + 1)
        yield text


def value_at(values: Any) -> Callable[[int], bytes | None]:
    """A function from a place in an array of texts to the bytes there; no text is copied before it is asked for."""
    from pyarrow import types

    if types.is_dictionary(values.type):
        inner, places, count = value_at(values.dictionary), values.indices, len(values.dictionary)

        def at(place: int) -> bytes | None:
            found = places[place].as_py()
            if found is not None and not 0 <= found < count:
                raise Unreadable(f"it refers to text {found:,} of {count:,}: it is damaged")
            return None if found is None else inner(found)

        return at
    data = as_bytes(values)
    return lambda place: data[place].as_py()


def as_bytes(values: Any) -> Any:
    """An array of texts as one of bytes, which need not be UTF-8; the same memory."""
    import pyarrow as pa

    same = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    return values.cast(same[values.type]) if values.type in same else values


def list_bytes(row: Any) -> tuple[bytes, str]:
    """(the texts of a list joined by line ends, why not)."""
    if not row.is_valid:
        return b"", ""
    at, parts, size = value_at(row.values), [], 0
    for place in range(len(row.values)):
        part = at(place)
        if part is not None:
            parts.append(part)
            size += len(part) + 1
        if size > MOST_LINE:
            return b"", f"longer than {MOST_LINE:,} bytes"
    return b"\n".join(parts), ""
