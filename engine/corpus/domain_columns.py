"""Own data whose records say their domain: one file with 64 values in a column is 64 domains.

One pass over the columns alone finds the values; each domain is then read by its own value. With two columns, such as
source and topic, a domain is called `source.topic`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.corpus.json_records import records_of
from engine.corpus.labels import Label, label_of
from engine.corpus.layouts import Left, Scan, SourceFile, kind_of
from engine.corpus.records import Unreadable
from engine.corpus.streams import opened, stream_of

MOST = 512  # domains: with more values a column names the records
READ = (".parquet", ".jsonl", ".ndjson", ".json")
ODD = re.compile(r"[^A-Za-z0-9._-]+")
NAMED = 5


def apart(scan: Scan, columns: Sequence[str]) -> Scan:
    """The scan with a domain for each value of the columns, over all of its files.

    Raises Problem for files that have no columns, for one without any value, for too many values, and for two that
    would be one name.
    """
    found: dict[str, list[SourceFile]] = {}
    labels: dict[str, Label] = {}
    left = list(scan.left)
    for file in [file for files in scan.domains.values() for file in files]:
        counts = labels_in(file, columns)
        if unsaid := counts.pop(None, 0):
            left.append(Left(file.name, f"{counted(unsaid, 'record')} of it name no domain in {listed(list(columns))}"))
        if not counts:
            raise Problem(f"Cannot tell domains apart in {file.name}: no record has {listed(list(columns))}.")
        for label in counts:
            name = name_of(label)
            if labels.setdefault(name, label) != label:
                raise Problem(
                    f"Cannot tell {'.'.join(labels[name])!r} from {'.'.join(label)!r} in {file.name}: both would be "
                    f"the domain {name!r}. Rename one."
                )
            found.setdefault(name, []).append(file._replace(only=label))
    if len(found) > MOST:
        raise Problem(
            f"Cannot make {len(found):,} domains of {listed(list(columns))}: that is more than {MOST}. Name a column "
            "with fewer values."
        )
    return Scan(dict(sorted(found.items())), left)


def name_of(label: Label) -> str:
    """A domain's name: what no name may hold is a dash."""
    return ".".join(ODD.sub("-", part).strip("-._") or "other" for part in label)[:64]


def labels_in(file: SourceFile, columns: Sequence[str]) -> Counter[Label | None]:
    """How many records of a file have each value. Raises Problem for a file without columns, or that is damaged."""
    stat = file.path.stat()
    return Counter(_labels_in(file.path, file.name, tuple(columns), stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=4096)
def _labels_in(path: Path, name: str, columns: Label, size: int, written: int) -> Counter[Label | None]:
    kind = kind_of(path)
    if kind not in READ:
        raise Problem(f"Cannot tell domains apart in {name}: columns are read of {', '.join(READ)} files.")
    try:
        with opened(path) as raw:
            records = parquet_records(raw, columns) if kind == ".parquet" else json_records(raw, path, kind, columns)
            found: Counter[Label | None] = Counter()
            for record in records:
                found[label_of(record, columns)] += 1
                if len(found) > MOST + 1:
                    break
            return found
    except (Unreadable, OSError, ValueError) as error:
        raise Problem(f"Cannot tell domains apart in {name}: {error}.") from error


def parquet_records(raw: Any, columns: Label) -> Iterator[dict[str, Any]]:
    """The columns alone, a record for each row. Raises Unreadable where one is missing."""
    from pyarrow import parquet

    with parquet.ParquetFile(raw) as file:
        outer = [one.partition(".")[0] for one in columns]
        there = file.schema_arrow.names
        if missing := [one for one, top in zip(columns, outer, strict=True) if one not in there and top not in there]:
            raise Unreadable(f"it has no column {missing[0]!r}; its columns are {listed(list(there), NAMED)}")
        read = [one if one in there else top for one, top in zip(columns, outer, strict=True)]
        for batch in file.iter_batches(columns=list(dict.fromkeys(read))):
            yield from batch.to_pylist()


def json_records(raw: Any, path: Path, kind: str, columns: Label) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON; what is none is told where the text is read."""
    stream, _ = stream_of(raw, path)
    for one in records_of(stream, kind, set(columns)):
        if isinstance(one.value, dict) and not one.fault:
            yield one.value
