"""The default corpus: six domains of text that every installation already has, in its packages.

A domain is a function that lists candidates without reading them, and a line in DOMAINS. Candidates are then
read in the order of a hash of their path until the cap is reached: a sample spread over all packages, the
same on every machine with the same packages.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from engine.corpus.cleaning import (
    Blocks,
    decoded,
    is_clean,
    prose,
    split_docstrings,
    without_licence,
    without_trailing_blanks,
)
from engine.corpus.document import Document, Tally, pieces, salted_hash
from engine.corpus.packages import STANDARD_LIBRARY, files_of

# Only these, by name, so that whatever else is installed does not change the corpus.
LIBRARIES = (
    STANDARD_LIBRARY,
    "torch",
    "scipy",
    "scikit-learn",
    "numpy",
    "pandas",
    "networkx",
    "streamlit",
    "joblib",
    "fsspec",
    "huggingface-hub",
    "narwhals",
    "Jinja2",
    "starlette",
    "uvicorn",
    "anyio",
    "requests",
    "urllib3",
    "click",
    "jsonschema",
    "packaging",
    "lightgbm",
    "duckdb",
    "pyarrow",
    "tqdm",
    "watchdog",
)
MATHEMATICS = ("sympy", "mpmath")
BINARIES = ("torch", "pyarrow", "duckdb", "scipy", "numpy", "scikit-learn", "lightgbm", "tokenizers")
WITH_HEADERS = ("torch", "pyarrow", "numpy")
SOURCE_MAP = "pydeck/nbextension/static/index.js.map"  # holds the sources that pydeck's widget is made of

PYTHON_FILE = re.compile(r"(?!.*(^|/)(tests?|testing|_?vendor(ed)?|_generated|benchmarks?|examples?)/).+\.py$")
CPP_FILE = re.compile(r"(?!.*(/ATen/ops/|RegistrationDeclarations|/protobuf/|/pthreadpool)).+\.(h|hpp|cuh|cc|cpp|inl)$")
PROSE_FILE = re.compile(r".*\.(md|rst)$")
METADATA_FILE = re.compile(r".*/METADATA$")
BINARY_FILE = re.compile(r".*\.(so[.\d]*|dylib|pyd|dll)$")
# mapbox-gl is left out: maplibre-gl is its fork, and most of its text stands there as well.
JS_FILE = re.compile(r"(?!.*/mapbox-gl/).*/(src|lib|dist|modules|esm)/.*\.(m?js|ts)$")
LARGEST_FILE = 1_000_000  # larger source files are generated or data
CHUNK = 144 * 57  # bytes of a shared object to a junk document; 57 make a line of base64
SMALLEST = 100  # bytes; what is left of a file after cleaning and has less is no document


class Candidate(NamedTuple):
    """A text that could be read: its path, its size as stored, and how to get it (None: not fit for use)."""

    path: str
    size: int
    text: Callable[[], str | None]


def candidates(packages: tuple[str, ...], wanted: re.Pattern, clean: Callable[[str], str | None]):
    """The files of packages whose path is wanted, to be decoded and then cleaned by `clean(text)`."""

    def read(file: str) -> str | None:
        text = decoded(Path(file).read_bytes())
        return None if text is None else clean(text)

    return [
        Candidate(path, size, lambda file=file: read(file))
        for package in packages
        for path, size, file in files_of(package) or ()
        if wanted.match(path) and SMALLEST <= size <= LARGEST_FILE
    ]


def python() -> list[Candidate]:
    """Python code without docstrings, licence headers and tests."""

    def clean(text: str) -> str | None:
        return without_licence(split_docstrings(text)[0]) if is_clean(text) else None

    return candidates(LIBRARIES, PYTHON_FILE, clean)


def docs() -> list[Candidate]:
    """English: the sentences of docstrings, and of Markdown, reStructuredText and package descriptions."""

    def of_code(text: str) -> str:
        return "\n\n".join(filter(None, map(prose, split_docstrings(text)[1])))

    def of_description(text: str) -> str:
        return prose(text.partition("\n\n")[2])

    return (
        candidates(LIBRARIES, PYTHON_FILE, of_code)
        + candidates(LIBRARIES, PROSE_FILE, prose)
        + candidates(LIBRARIES, METADATA_FILE, of_description)
    )


def cpp() -> list[Candidate]:
    """C++ of headers and sources that people wrote; the thousands of generated operators are left out."""
    return candidates(WITH_HEADERS, CPP_FILE, clean_code)


def math() -> list[Candidate]:
    """Computer algebra: code of sympy and mpmath with its docstrings, which are full of formulas."""
    return candidates(MATHEMATICS, PYTHON_FILE, clean_code)


def js() -> list[Candidate]:
    """JavaScript and TypeScript as written, before bundling, out of a source map."""
    listed = [entry for entry in files_of("pydeck") or () if entry.path == SOURCE_MAP]
    found = []
    for _, _, file in listed:
        bundle = json.loads(Path(file).read_bytes())
        for name, text in zip(bundle["sources"], bundle.get("sourcesContent", ()), strict=False):
            path = str(PurePosixPath(*(part for part in PurePosixPath(name).parts if part != "..")))
            if text and JS_FILE.match(path):
                found.append(Candidate(path, len(text), lambda text=text: clean_code(without_trailing_blanks(text))))
    return found


def clean_code(text: str) -> str | None:
    """Code as people wrote it, without its licence; None for what a tool wrote."""
    return without_licence(text) if is_clean(text) else None


def junk() -> list[Candidate]:
    """Base64 of shared objects: a control that a good mixture must refuse."""

    def read(file: str, start: int) -> str | None:
        with open(file, "rb") as binary:
            binary.seek(start)
            chunk = binary.read(CHUNK)
        return base64.encodebytes(chunk).decode() if chunk.count(0) < CHUNK // 5 else None

    return [
        Candidate(f"{path}@{start}", CHUNK * 4 // 3, lambda file=file, start=start: read(file, start))
        for package in BINARIES
        for path, size, file in files_of(package) or ()
        if BINARY_FILE.match(path)
        for start in range(0, size - CHUNK, CHUNK)
    ]


class Domain(NamedTuple):
    """candidates: lists what there is to read; part: how much of the cap the domain takes."""

    candidates: Callable[[], list[Candidate]]
    part: float


# The domains, slowest first, so that two processes end together. Their sizes are uneven, as in real corpora: where
# the natural mixture is the uniform one, there is one baseline less.
DOMAINS = {
    "docs": Domain(docs, 0.75),
    "python": Domain(python, 1.0),
    "cpp": Domain(cpp, 0.75),
    "js": Domain(js, 0.5),
    "math": Domain(math, 0.5),
    "junk": Domain(junk, 0.5),
}
PACKAGES = tuple(dict.fromkeys((*LIBRARIES, *MATHEMATICS, *BINARIES, *WITH_HEADERS, "pydeck")))


def documents(domain: str, tally: Tally) -> Iterator[Document]:
    """The documents of a default domain, in the order of their hashes, cleaned, without repeated blocks."""
    listed = DOMAINS[domain].candidates()
    tally.listed = sum(candidate.size for candidate in listed)
    blocks = Blocks()
    for candidate in sorted(listed, key=lambda candidate: salted_hash("sample", candidate.path)):
        tally.read += candidate.size
        try:
            text = candidate.text()
        except OSError as error:
            tally.skip(candidate.path, f"{type(error).__name__}: {error}")
            continue
        text = blocks.fresh(text) if text and domain != "junk" else text
        tally.repeated_blocks = blocks.dropped
        if not text or len(text) < SMALLEST:
            tally.filtered += 1
            continue
        for piece in pieces(text.encode("utf-8", "replace")):
            yield Document(candidate.path, piece)
