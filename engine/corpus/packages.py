"""The files of installed packages, listed without walking or importing them, with versions and licences."""

import csv
import os
import platform
import re
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

STANDARD_LIBRARY = "python"  # stands for the standard library in a list of packages

# Folders of the standard library that are tests, programs, tables, or not the library at all.
NOT_LIBRARY = re.compile(
    r"__pycache__|site-packages|dist-packages|tests?|idlelib|lib2to3|turtledemo|ensurepip|encodings|config-.*"
)


class Listed(NamedTuple):
    """A file of a package: its path as the package names it, its size in bytes, where it lies."""

    path: str
    size: int
    file: str  # not a Path: there are tens of thousands


def files_of(package: str) -> list[Listed] | None:
    """The files of an installed package, from its RECORD; None when it is not installed that way."""
    if package == STANDARD_LIBRARY:
        return standard_library()
    try:
        installed = distribution(package)
    except PackageNotFoundError:
        return None
    record = installed.read_text("RECORD")
    if record is None:
        return None
    rows = (row for row in csv.reader(record.splitlines()) if len(row) == 3)
    root = installed.locate_file("")
    return [
        Listed(path, int(size), f"{root}/{path}")
        for path, _, size in rows
        if size and not path.startswith(("/", ".."))  # outside: scripts in bin/
    ]


def standard_library() -> list[Listed]:
    """The Python files of the standard library, as paths below "python/"."""
    root = Path(sysconfig.get_path("stdlib"))
    listed = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not NOT_LIBRARY.fullmatch(name))
        for name in sorted(names):
            file = Path(folder, name)
            if name.endswith(".py"):
                listed.append(Listed(f"python/{file.relative_to(root).as_posix()}", file.stat().st_size, str(file)))
    return listed


def describe(package: str) -> dict:
    """{"name", "version", "licence"} of an installed package, as its metadata say."""
    if package == STANDARD_LIBRARY:
        return {"name": "Python", "version": platform.python_version(), "licence": "PSF-2.0"}
    installed = distribution(package)
    return {"name": package, "version": installed.version, "licence": licence_of(installed)}


def licence_of(installed: Distribution) -> str:
    """The SPDX expression of a distribution, else its classifiers or the first line of its licence field."""
    metadata = installed.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        line.split(" :: ")[-1] for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")
    ]
    free_text = (metadata.get("License") or "").strip().split("\n")[0]
    return " and ".join(classifiers) or free_text[:80] or "not stated"
