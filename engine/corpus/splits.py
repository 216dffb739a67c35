"""Which documents train and which validate."""

import numpy as np

from engine.core.errors import Problem
from engine.corpus.parts import SIDES, Part
from engine.corpus.report import reasons

VALID_FRACTION = 0.05
LEAST_VALID = 16_384  # bytes: 256 windows of 64 bytes, so that a loss is known to about 2%
MAX_VALID_FRACTION = 0.25  # a domain that must give more than this to validation is too small


def split(domain: str, part: Part, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(train, valid): of the N documents that are kept (N,) bool, those on each side.

    A whole group goes to one side. Groups with the smallest hashes validate, until they hold 5% of the bytes
    and at least 16 KiB; one that would take far more is passed over. Where the data came already split, that
    split stays. Raises Problem for a domain that is too small for its validation.
    """
    valid = kept & (part.sides == SIDES["valid"])
    if not valid.any():
        valid = kept & by_hash(domain, part, kept)
    train = kept & ~valid
    held = part.sizes[train].sum()
    if held < LEAST_VALID and part.sizes[kept].sum() >= LEAST_VALID / MAX_VALID_FRACTION:
        raise Problem(
            f"Cannot split the domain {domain!r}: {part.sizes[valid].sum():,} bytes of its text came as validation, "
            f"and {held:,} are left to train on, of at least {LEAST_VALID:,}."
        )
    if held < LEAST_VALID or part.sizes[valid].sum() == 0:
        raise too_small(domain, part, kept)
    return train, valid


def by_hash(domain: str, part: Part, kept: np.ndarray) -> np.ndarray:
    """The documents (N,) bool of the groups with the smallest hashes."""
    groups, member = np.unique(part.groups, return_inverse=True)
    sizes = np.bincount(member, weights=part.sizes * kept)
    total = sizes.sum()
    target = max(VALID_FRACTION * total, LEAST_VALID)
    if target > MAX_VALID_FRACTION * total:
        raise too_small(domain, part, kept)
    chosen, held = np.zeros(len(groups), bool), 0.0
    for group in range(len(groups)):
        if held >= target:
            break
        if held + sizes[group] <= 2 * target:
            chosen[group] = True
            held += sizes[group]
    if held < LEAST_VALID:
        raise Problem(
            f"Cannot split the domain {domain!r}: its {len(groups)} files or records are too large to give "
            f"about {target:,.0f} bytes to validation. Cut the text into more files, or add more of it."
        )
    return chosen[member]


def why_little(part: Part, kept: np.ndarray) -> str:
    """What else has made a domain's text so little, in sentences: what was dropped, not read, or beyond the limit."""
    tally, dropped = part.tally, len(kept) - int(kept.sum())
    said = []
    if dropped:
        said.append(f"{dropped:,} of its {len(kept):,} documents stand in the corpus elsewhere, and were dropped.")
    if tally.skipped:
        said.append(f"Could not be read: {tally.skipped_count:,} ({reasons(tally.skipped, tally.skipped_count)}).")
    if not tally.whole and not tally.sampled:
        said.append("Its text was read up to the limit of each domain (cap_mb): raise that.")
    return " ".join(said)


def too_small(domain: str, part: Part, kept: np.ndarray) -> Problem:
    """The error for a domain too small for its validation."""
    held, least = part.sizes[kept].sum(), LEAST_VALID / MAX_VALID_FRACTION
    return Problem(
        f"Cannot split the domain {domain!r}: after duplicates were dropped it has {held:,} bytes of text, "
        f"and needs {least:,.0f} ({LEAST_VALID:,} of them for validation)."
    )
