"""What a corpus took of the files that were there, and what it left out: for the page, the command line and JSON."""

from collections.abc import Iterable
from typing import Any

from engine.core.short_names import counted, listed
from engine.corpus.document import SKIPS_NAMED, printable
from engine.corpus.layouts import Left

NAMED = 5  # files that a sentence names
OTHER_TEXT = 0.5  # of a domain's characters: where a rule knows fewer, its text is of another kind, such as prose


def left_out(left: Iterable[Left]) -> dict[str, Any]:
    """Files and folders that were left out, for the manifest: their number, and the first of them."""
    there = list(left)
    named = [{key: printable(value) for key, value in one._asdict().items()} for one in there[:SKIPS_NAMED]]
    return {"left_out": named, "left_out_count": len(there)}


def report(manifest: dict[str, Any]) -> dict[str, Any]:
    """Of a manifest: {"text", "files", "noticed", "skipped", "left_out"}; manifests from before 0.2 know less.

    text: it in words; files: {domain: {"found", "read", "beyond_cap", "paths"}}; noticed: warnings about files
    that were read; skipped: files, and lines of them,
    that could not be read; left_out: what was not tried.
    """
    files = {name: facts["files"] for name, facts in manifest["domains"].items() if facts.get("files", {}).get("found")}
    left, count = manifest.get("left_out", []), manifest.get("left_out_count", 0)
    skipped, noticed = manifest["skipped"], manifest.get("noticed", [])
    sentences = []
    if files:
        read = sum(facts["read"] for facts in files.values())
        sentences.append(f"Text from {read:,} of {sum(facts['found'] for facts in files.values()):,} files.")
    for name, facts in manifest["domains"].items():
        if facts.get("answers"):
            answers, size = sum(facts["answers"].values()), facts["train_bytes"] + facts["valid_bytes"]
            sentences.append(
                f"{name} has {facts['conversations']:,} conversations: {answers / size:.0%} of its bytes are answers, "
                "which alone are predicted."
            )
        sentences += of_symbols(name, facts.get("unknown_letters") or {"part": 0.0, "letters": []})
    if beyond := sum(facts["beyond_cap"] for facts in files.values()):
        sentences.append(f"{beyond:,} files were not needed: the limit for each domain was reached before.")
    if partly := [name for name in files if manifest["domains"][name].get("whole") is False]:
        sentences.append(f"Read in part, up to the limit for each domain: {listed(partly, NAMED)}.")
    if count:
        sentences.append(f"Left out: {count:,} ({reasons(left, count)}).")
    if skipped:
        total = sum(facts.get("skipped_count") or 0 for facts in manifest["domains"].values())
        sentences.append(f"Could not be read: {total:,} ({reasons(skipped, total)}).")
    if noticed:
        sentences.append(f"Warnings: {reasons(noticed, len(noticed))}.")
    return {"text": " ".join(sentences), "files": files, "noticed": noticed, "skipped": skipped, "left_out": left}


def of_symbols(name: str, seen: dict[str, Any]) -> list[str]:
    """What is said of the symbols of a domain (engine.corpus.symbols.Seen.facts), and what to do."""
    said = []
    if seen["part"] > OTHER_TEXT:
        said.append(
            f"{name} is of another kind than the rule of its tokens, which knows {1 - seen['part']:.0%} of its "
            "characters: it is read as it stands."
        )
    elif seen["part"]:
        such = f", such as {listed([repr(one) for one in seen['letters']])}," if seen["letters"] else ""
        said.append(
            f"{name} has symbols{such} that its rule does not know ({seen['part']:.1%} of its characters): they are "
            "read as they stand."
        )
    if seen.get("told") and seen["part"] <= OTHER_TEXT:
        kinds = listed([f"{what} ({part:.1%})" for what, part in seen["told"].items()], between="; ")
        said.append(f"{name} has {kinds}: tokens with them are others than those without.")
    if seen.get("headers"):
        said.append(
            f"{name} has {counted(seen['headers'], 'line')} that name a sequence (FASTA), which are read as its text: "
            "leave them out."
        )
    if seen.get("broken"):
        said.append(
            f"{name} has {counted(seen['broken'], 'sequence')} of several lines, each of which is read from its own "
            "first letter: write each sequence in one line."
        )
    return said


def reasons(entries: list[dict[str, Any]], count: int) -> str:
    """The first of `count` entries as "path: reason"."""
    return listed([f"{entry['path']}: {entry['reason']}" for entry in entries], NAMED, between="; ", count=count)
