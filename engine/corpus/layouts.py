"""Own data: which files belong to which domain, and what is left out and why.

A folder may hold a sub-folder per domain, a file per domain, numbered files (`web-0.jsonl`, ...), or some of each. All
of it may stand in `train/` with validation in `valid/`, which is how RegMix lays out its data
(https://github.com/sail-sg/regmix, model_training/preprocess); or each domain may come split (split_names.py). One scan
gives every path below the folder a verdict:
it belongs to a domain, or is left out for a reason. Links, pipes, devices and sockets are neither followed nor opened.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engine.core.errors import Problem
from engine.core.files import special
from engine.corpus.split_names import SPLITS, VALID, sides_of, split_files, split_of
from engine.corpus.streams import PACKED

PLAIN = (".txt", ".md")
RECORDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
TABLES = (".parquet", ".arrow", ".feather", ".ipc")  # they pack themselves
KINDS = (*PLAIN, *RECORDS, *TABLES)
READ = f"{', '.join(KINDS)}, all but the last {len(TABLES)} also packed as {', '.join(PACKED)}"
NUMBER = re.compile(r"(.+?)[-_.]\d+(?:-of-\d+)?")
NOTES = re.compile(  # files about a folder, not of it
    r"(readme|licen[cs]e|copying|notice|changelog|citation|contributing)([._-].*)?|dataset_(dict|infos?)\.json", re.I
)


class SourceFile(NamedTuple):
    """A file of a domain: where it is, what it is called in the manifest, its side ("" : by hash); only: the values by
    which records of it belong to the domain (domain_columns.py), none where all do."""

    path: Path
    name: str
    side: str = ""
    only: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Its bytes; 0 where it is gone."""
        return self.path.stat().st_size if self.path.exists() else 0


class Left(NamedTuple):
    """Something that is left out: its path, the reason, and the domain that it would belong to ("" : none)."""

    path: str
    reason: str
    domain: str = ""


@dataclass
class Scan:
    """What is below a folder: the files of each domain, and all else."""

    domains: dict[str, list[SourceFile]] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    @property
    def lost(self) -> dict[str, Left]:
        """The domains of which nothing can be read, each with the first thing that was left out."""
        found: dict[str, Left] = {}
        for one in self.left:
            if one.domain and one.domain not in self.domains:
                found.setdefault(one.domain, one)
        return found


def kind_of(path: Path) -> str:
    """The kind of a file by its name, without its packing: ".jsonl" for web.jsonl.gz; "" for other files."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in PACKED
    kind = suffixes[-1 - packed] if len(suffixes) > packed else ""
    return kind if kind in KINDS and not (packed and kind in TABLES) else ""


def stem_of(path: Path) -> str:
    """The name of a file without its kind and packing."""
    name = path.name
    for suffix in path.suffixes[::-1]:
        if suffix.lower() in PACKED or suffix.lower() in KINDS:
            name = name.removesuffix(suffix)
        else:
            break
    return name


def of_folder(folder: str) -> Scan:
    """What is below a folder, domains by name. Raises Problem when there is no text."""
    root = existing(folder, "the folder")
    if not root.is_dir():
        raise Problem(f"Cannot read {root} as a folder: it is a file. Give the folder that it is in.")
    sides = {"": root}
    if real_folder(root / "train"):
        sides = {"train": root / "train"}
        if valid := next((root / name for name in VALID if real_folder(root / name)), None):
            sides["valid"] = valid
    scan = grouped(root, sides)
    if not scan.domains:
        first = f" ({scan.left[0].path}: {scan.left[0].reason})" if scan.left else ""
        raise Problem(
            f"Cannot find text in {root}: no file below it can be read{first}. Put a sub-folder, or a file, for each "
            f"domain there. Formats: {READ}."
        )
    if set(scan.domains) | set(scan.lost) <= SPLITS:
        raise Problem(
            f"Cannot take {', '.join(scan.domains)} for domains: they are the splits of one data set. Put a "
            "sub-folder, or a file, for each domain into the folder, whose training and validation parts may stand in "
            "train/ and valid/; or name the field of the records that says their domain (`domain`)."
        )
    return scan


def of_levels(folder: str) -> Scan:
    """What is two levels below a folder: source/topic/... is the domain `source.topic`. Raises Problem when there is no
    text."""
    root, scan = existing(folder, "the folder"), Scan()
    for source in sorted(root.iterdir()):
        hidden = source.name.startswith(".")
        if hidden or not real_folder(source):
            note = hidden or NOTES.fullmatch(source.name)
            reason = reason_of(source) or "it is next to the folders of sources"
            scan.left.append(Left(source.name, reason, "" if note else unnumbered(source)))
            continue
        inner = grouped(source, {"": source})
        if not inner.domains and not inner.left:
            scan.left.append(Left(source.name, "it is an empty folder", source.name))
        for domain, files in inner.domains.items():
            named = [file._replace(name=f"{source.name}/{file.name}") for file in files]
            scan.domains[f"{source.name}.{domain}"] = named
        for path, reason, domain in inner.left:
            scan.left.append(Left(f"{source.name}/{path}", reason, domain and f"{source.name}.{domain}"))
    if not scan.domains:
        raise Problem(
            f"Cannot find text in {root}: it has no folder of a source with a folder, or file, for each topic."
        )
    return scan


def real_folder(path: Path) -> bool:
    """Whether there is a folder, and not by a link."""
    return path.is_dir() and not path.is_symlink()


def grouped(root: Path, sides: dict[str, Path]) -> Scan:
    """The domains in the folders of the sides: their sub-folders, and the files beside them."""
    scan = Scan()
    if "" not in sides:
        scan.left += beside(root, set(sides.values()))
    files: list[tuple[str, SourceFile]] = []  # (domain, file)
    alone: list[SourceFile] = []  # that stand beside sub-folders
    for side, folder in sides.items():
        for place in sorted(folder.iterdir()):
            name = place.relative_to(root).as_posix()
            if place.name.startswith(".") or (NOTES.fullmatch(place.name) and not real_folder(place)):
                scan.left.append(Left(name, reason_of(place) or "it tells about the folder"))
            elif real_folder(place):
                files += [(place.name, file) for file in below(root, place, place.name, side, scan)]
            else:
                alone.append(SourceFile(place, name, side))
    for domain, of_one in split_files(
        [(unnumbered(file.path), file) for file in alone if not reason_of(file.path)]
    ).items():
        files += [(domain, file) for file in with_sides(of_one, domain, scan)]
        alone = [file for file in alone if file not in {file for _, file in of_one}]
    domains = names_of([file.path for file in alone], {domain for domain, _ in files})
    for domain, file in zip(domains, alone, strict=True):
        if reason := reason_of(file.path):
            scan.left.append(Left(file.name, reason, domain))
        else:
            files.append((domain, file))
    for domain, file in sorted(files, key=lambda pair: pair[0]):
        scan.domains.setdefault(domain, []).append(file)
    return scan


def beside(root: Path, taken: set[Path]) -> Iterator[Left]:
    """What stands beside the folders of the sides: a whole domain, unless it is notes or another split."""
    for place in sorted(root.iterdir()):
        if place in taken:
            continue
        plain = place.name.startswith(".") or NOTES.fullmatch(place.name)
        reason = "it is next to train/, and domains are looked for inside it"
        if place.stem.lower() in SPLITS:
            yield Left(place.name, "it is another split than those for training and validation")
        else:
            yield Left(
                place.name, reason_of(place) if plain and reason_of(place) else reason, "" if plain else place.name
            )


def below(root: Path, folder: Path, domain: str, side: str, scan: Scan) -> list[SourceFile]:
    """All files of text below a domain's folder, by name. What is left out is noted in the scan."""
    found, waiting, some = [], [folder], False
    while waiting:
        place = waiting.pop()
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            scan.left.append(Left(shown(place, root), f"it cannot be listed: {error.strerror}", domain))
            some = True
            continue
        for entry in entries:
            some = True
            if real_folder(entry) and not entry.name.startswith("."):
                waiting.append(entry)
            elif reason := reason_of(entry):
                scan.left.append(Left(shown(entry, root), reason, domain))
            else:
                found.append(SourceFile(entry, shown(entry, root), side))
    if not some:
        scan.left.append(Left(shown(folder, root), "it is an empty folder", domain))
    found.sort(key=lambda file: file.path)
    return found if side else with_sides([(split_in(file.path, folder), file) for file in found], domain, scan)


def split_in(path: Path, folder: Path) -> str:
    """Which split of its domain a file below the domain's folder is, by the folder that it is in, or by its name."""
    first, *inner = path.relative_to(folder).parts
    return split_of(first if inner else unnumbered(path))[1]


def unnumbered(path: Path) -> str:
    """The name of a file without its kind, its packing and the number that ends it."""
    stem = stem_of(path)
    match = NUMBER.fullmatch(stem)
    return match.group(1) if match else stem


def with_sides(files: list[tuple[str, SourceFile]], domain: str, scan: Scan) -> list[SourceFile]:
    """The files (split, file) of a domain, with their sides where one of the splits is for training. Splits for neither
    training nor validation are noted in the scan."""
    sides = sides_of({split for split, _ in files})
    if not sides:
        return [file for _, file in files]
    other = "it is another split ({}) than those for training and validation"
    scan.left += [Left(file.name, other.format(split), domain) for split, file in files if split and split not in sides]
    return [file._replace(side=sides.get(split, "")) for split, file in files if not split or split in sides]


def shown(path: Path, root: Path) -> str:
    """A path as the manifest calls it."""
    return path.relative_to(root).as_posix()


def reason_of(path: Path) -> str:
    """Why something that is there is not read; "" for a file of text."""
    if path.name.startswith("."):
        return "it is hidden"
    try:
        status = os.lstat(path)
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        kind = special(path) or "no regular file"
        return "it is a link, and links are not followed" if kind == "a link" else f"it is {kind}, not a file"
    if not kind_of(path):
        suffix = "".join(path.suffixes[-2:] if path.suffix.lower() in PACKED else path.suffixes[-1:])
        return f"{suffix} files are not read" if suffix else "its name does not say what it holds"
    return "" if status.st_size else "it is empty"


def of_files(chosen: dict) -> Scan:
    """The files of each domain from {domain: a path or a list of paths}; a folder stands for all in it.

    A link that was named itself is followed. Raises Problem for a file that cannot be read.
    """
    scan = Scan()
    for domain, paths in chosen.items():
        paths = [paths] if isinstance(paths, str) else paths
        if not isinstance(paths, list) or not paths:
            raise Problem(f"Cannot read the domain {domain!r} from {paths!r}. Give a path or a list of paths.")
        files = scan.domains.setdefault(domain, [])
        for path in paths:
            place = existing(path, f"a file of {domain!r}")
            if place.is_dir():
                inside = below(place.resolve(), place.resolve(), domain, "", scan)
                files += [SourceFile(file.path, str(place / file.name), file.side) for file in inside]
            elif reason := reason_of(place.resolve()):
                raise Problem(f"Cannot read {place}: {reason}. Formats: {READ}.")
            else:
                files.append(SourceFile(place.resolve(), str(place)))
        if not files:
            raise Problem(f"Cannot read the domain {domain!r}: {paths[0]} holds no text. Put files there.")
    return scan


def existing(path, what: str) -> Path:
    """The path, if it is there. Raises Problem otherwise."""
    found = Path(path).expanduser() if isinstance(path, str) and path and "\0" not in path else None
    if found is None or not found.exists():
        raise Problem(f"Cannot find {what} {path!r} on the machine that Mixdesk runs on. Check the path.")
    return found


def names_of(files: list[Path], others: set[str]) -> list[str]:
    """The domain of each file: numbers that end names count parts, unless all would be one domain then.

    others: the domains that have a folder. A file that cannot be read is called by what stands before its first dot,
    if there is a domain of that name, and else by its whole name.
    """
    stems = [stem_of(path) if kind_of(path) else path.name for path in files]
    numbered = [unnumbered(path) if kind_of(path) else path.name for path in files]
    named = numbered if len(others | set(numbered)) > 1 else stems
    known = others | {name for name, path in zip(named, files, strict=True) if kind_of(path)}
    return [known_name(name, known) if not kind_of(path) else name for name, path in zip(named, files, strict=True)]


def known_name(name: str, known: set[str]) -> str:
    """The known domain that a file that is not read may have been a part of; else its name."""
    first = name.split(".")[0]
    match = NUMBER.fullmatch(first)
    return next((one for one in (first, match and match.group(1)) if one in known), name)
