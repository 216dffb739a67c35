"""datatrove's files: raw tokens in NAME.ds, 64-bit ends of documents in NAME.ds.index; NAME.ds.metadata may tell their
width. Nanotron reads them."""

from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.token_formats.base import WIDTHS, Flat, Format, How, checked, head_of, raw

ABOUT = 4096  # bytes of a .metadata that are read
BY_WIDTH = {"2": "uint16", "4": "uint32"}


def opened(path: Path, how: How) -> Flat:
    """NAME.ds with its NAME.ds.index."""
    index, about = path.with_name(path.name + ".index"), path.with_name(path.name + ".metadata")
    if not path.is_file() or not index.is_file():
        missing = index if path.is_file() else path
        raise Problem(f"Cannot read {path}: there is no {missing.name}. Give the .ds file, with its index beside it.")
    if index.stat().st_size % 8:
        raise Problem(
            f"Cannot read {index}: its {index.stat().st_size:,} bytes are not whole 64-bit numbers. It was cut."
        )
    ends = np.memmap(index, "<u8", "r").astype(np.int64) if index.stat().st_size else np.zeros(0, np.int64)
    if len(ends) and (np.diff(ends, prepend=0) < 0).any():
        raise Problem(f"Cannot read {index}: the ends of its documents do not rise. It is damaged, or another file's.")
    told = head_of(about, ABOUT).decode("utf-8", "replace").split("\n")[0].rpartition("|")[2] if about.is_file() else ""
    total = int(ends[-1]) if len(ends) else 0
    fitting = [name for name in BY_WIDTH.values() if total * WIDTHS[name].itemsize == path.stat().st_size]
    width = how.dtype or BY_WIDTH.get(told.strip()) or next(iter(fitting), None)
    return checked(Flat(path, raw(path, how._replace(dtype=width), total), ends), how)


FORMAT = Format("datatrove", ".ds", opened)
