"""Own data that came split: which files are for training and which for validation, by their names and folders."""

import re
from collections.abc import Collection
from typing import TypeVar

TRAIN = ("train", "training")
VALID = ("valid", "validation", "val", "dev")  # the first that is there counts
SPLITS = {*TRAIN, *VALID, "test", "eval"}
WORDS = "|".join(SPLITS)
NAMED = re.compile(rf"(?:(.+)[-_.])?({WORDS})|({WORDS})[-_.](.+)", re.I)
File = TypeVar("File")


def split_of(name: str) -> tuple[str, str]:
    """(what a name says that something is a split of, which one): web_valid -> web, valid; "" where it says none."""
    found = NAMED.fullmatch(name)
    if not found:
        return name, ""
    return found[1] or found[4] or "", (found[2] or found[3]).lower()


def sides_of(splits: Collection[str]) -> dict[str, str]:
    """The side, train or valid, of the splits that are for either; none unless one of them is for training."""
    if not set(TRAIN) & set(splits):
        return {}
    valid = next(({one: "valid"} for one in VALID if one in splits), {})
    return dict.fromkeys(TRAIN, "train") | valid


def split_files(files: list[tuple[str, File]]) -> dict[str, list[tuple[str, File]]]:
    """The domains that came as files for training and other ones: {domain: [(split, file)]}. files: (name, file)."""
    found: dict[str, list[tuple[str, File]]] = {}
    for name, file in files:
        domain, split = split_of(name)
        if domain and split:
            found.setdefault(domain, []).append((split, file))
    return {
        domain: own for domain, own in found.items() if sides_of(some := {split for split, _ in own}) and len(some) > 1
    }
