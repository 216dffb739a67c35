"""Own data: which files belong to which domain.

A folder may hold a sub-folder per domain, or a file per domain, or numbered files (`web-0.jsonl`, ...). All
of it may stand in `train/` with validation in `valid/`, which is how RegMix lays out its data
(https://github.com/sail-sg/regmix, model_training/preprocess).
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from engine.core.errors import Problem

KINDS = (".txt", ".md", ".jsonl", ".csv", ".parquet")
PACKED = (".gz", ".zst")
VALID_FOLDERS = ("valid", "validation", "val")
NUMBER = re.compile(r"(.+?)[-_.]\d+(?:-of-\d+)?")


class SourceFile(NamedTuple):
    """A file of a domain: where it is, what it is called in the manifest, its side ("" : by hash)."""

    path: Path
    name: str
    side: str = ""


def kind_of(path: Path) -> str:
    """The kind of a file by its name, without its packing: ".jsonl" for web.jsonl.gz; "" for other files."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in KINDS else ""


def stem_of(path: Path) -> str:
    """The name of a file without its kind and packing."""
    name = path.name
    for suffix in path.suffixes[::-1]:
        if suffix.lower() in PACKED or suffix.lower() in KINDS:
            name = name.removesuffix(suffix)
        else:
            break
    return name


def of_folder(folder: str) -> dict[str, list[SourceFile]]:
    """The files of each domain below a folder, domains by name. Raises Problem when there are none."""
    root = existing(folder, "the folder")
    if not root.is_dir():
        raise Problem(f"Cannot read {root} as a folder: it is a file. Give the folder that it stands in.")
    sides = {"": root}
    if (root / "train").is_dir():
        sides = {"train": root / "train"}
        if valid := next((root / name for name in VALID_FOLDERS if (root / name).is_dir()), None):
            sides["valid"] = valid
    domains = grouped(root, sides)
    if not domains:
        raise Problem(
            f"Cannot find text in {root}: no file below it ends in {', '.join(KINDS)} "
            f"(or those with {' or '.join(PACKED)}). Put a sub-folder, or a file, for each domain there."
        )
    return {domain: domains[domain] for domain in sorted(domains)}


def of_files(chosen: dict) -> dict[str, list[SourceFile]]:
    """The files of each domain from {domain: a path or a list of paths}; a folder stands for all in it."""
    domains = {}
    for domain, paths in chosen.items():
        paths = [paths] if isinstance(paths, str) else paths
        if not isinstance(paths, list) or not paths:
            raise Problem(f"Cannot read the domain {domain!r} from {paths!r}. Give a path or a list of paths.")
        found = [existing(path, f"a file of {domain!r}") for path in paths]
        files = [
            SourceFile(path, str(path)) for place in found for path in (walk(place) if place.is_dir() else [place])
        ]
        domains[domain] = files
        if wrong := next((file.name for file in files if not kind_of(file.path)), None):
            raise Problem(f"Cannot read {wrong}: its name ends in none of {', '.join(KINDS)} (or with .gz, .zst).")
        if not files:
            raise Problem(f"Cannot read the domain {domain!r}: {paths[0]} holds no text. Put files there.")
    return domains


def existing(path, what: str) -> Path:
    """The path, if it is there. Raises Problem otherwise."""
    found = Path(path).expanduser() if isinstance(path, str) and path else None
    if found is None or not found.exists():
        raise Problem(f"Cannot find {what} {path!r} on the machine that Mixdesk runs on. Check the path.")
    return found


def grouped(root: Path, sides: dict[str, Path]) -> dict[str, list[SourceFile]]:
    """The domains in the folders of the sides: their sub-folders where those hold text, else their files."""
    found = [
        (place.name, SourceFile(path, path.relative_to(root).as_posix(), side))
        for side, folder in sides.items()
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith(".")
        for path in walk(place)
    ]
    if not found:
        files = [
            SourceFile(path, path.relative_to(root).as_posix(), side)
            for side, folder in sides.items()
            for path in sorted(folder.iterdir())
            if path.is_file() and readable(path)
        ]
        found = list(zip(names_of([file.path for file in files]), files, strict=True))
    domains: dict[str, list[SourceFile]] = {}
    for domain, file in found:
        domains.setdefault(domain, []).append(file)
    return domains


def names_of(files: list[Path]) -> list[str]:
    """The domain of each file: numbers that end names count parts, unless all would be one domain then."""
    stems = [stem_of(path) for path in files]
    numbered = [match.group(1) if (match := NUMBER.fullmatch(stem)) else stem for stem in stems]
    return numbered if len(set(numbered)) > 1 else stems


def walk(folder: Path) -> list[Path]:
    """All readable files below a folder; hidden ones and links to folders are passed over."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(path for name in names if readable(path := Path(place, name)))
    return sorted(found)


def readable(path: Path) -> bool:
    """Whether a file's name says that it holds text."""
    return not path.name.startswith(".") and kind_of(path) != ""
