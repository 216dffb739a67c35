"""OLMo's files (dolma tokens): unsigned numbers under the name .npy, raw or with NumPy's own header; a token ends a
document."""

from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.token_formats.base import Flat, Format, How, checked, head_of, raw

NUMPY = b"\x93NUMPY"


def opened(path: Path, how: How) -> Flat:
    """A .npy of raw numbers, or of NumPy's own."""
    if not path.is_file():
        raise Problem(f"Cannot read {path}: there is no such file.")
    if head_of(path, len(NUMPY)) != NUMPY:
        return checked(Flat(path, raw(path, how, None), None, how.end), how)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Problem(f"Cannot read {path}: its header is damaged ({error}).") from error
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise Problem(f"Cannot read {path}: it holds {array.dtype} of {array.ndim} dimensions, and tokens are whole.")
    return checked(Flat(path, array, None, how.end), how)


FORMAT = Format("OLMo", ".npy", opened)
