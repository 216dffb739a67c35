"""Merge files with several merges, one document each, where later ones use earlier ones by their names.

As mergekit-multi runs them: a merge with a name is made on the way, the one without a name is the result. Without
such a one, all of them are the result, a folder each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import refuse_below
from engine.core.safe_yaml import documents
from engine.core.settings_text import text_of
from engine.core.system import UNREADABLE, read_fault
from engine.jobs.parts import WHOLE, part_of, placed
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.moe_build import build, check
from engine.merging.moe_file import is_moe, moe_of
from engine.merging.preflight import Preflight, preflight

Progress = Callable[[float, float, str], None]
FINAL = "the last merge"


@dataclass(frozen=True)
class Document:
    """One merge of a file. name: None for the result; values: its settings; uses: the names of the merges it needs."""

    name: str | None
    values: dict
    uses: tuple[str, ...]


def read_documents(path: Path) -> list[Document]:
    """The merges of a file, each behind those that it uses. Raises Problem for a file that cannot be read, a name that
    stands twice or is no folder's, and merges that use each other in a circle."""
    try:
        found = documents(text_of(path))
        for one in found:
            if not isinstance(one, dict):
                raise ValueError(f"it holds {str(one)[:80]!r}, not a table of settings")
    except UNREADABLE as error:
        raise Problem(f"Cannot read {path}: {read_fault(error, 'Fix it.')}") from error
    if len(found) < 2:
        return [Document(None, one, ()) for one in found]
    names = [one.get("name") for one in found]
    for name in names:
        if names.count(name) > 1:
            said = f"the name {name!r}" if name is not None else "no name"
            raise Problem(f"Cannot read {path}: {names.count(name)} merges have {said}. Give each another one.")
        if name is not None and (not isinstance(name, str) or Path(name).name != name or name in (".", "..")):
            raise Problem(f"Cannot use {name!r:.80} as a merge's name: it becomes a folder's. Use letters and digits.")
    return ordered([Document(one.get("name"), one, used(one, names)) for one in found], path)


def used(values: object, names: list[str | None]) -> tuple[str, ...]:
    """The names of merges among the models that a merge names."""
    found: list[str] = []
    if isinstance(values, dict):
        for key, value in values.items():
            whole = value.partition("+")[0] if isinstance(value, str) else value
            is_model = key in ("model", "base_model", "path", "source", "tokenizer_source", "source_model")
            found += [whole] if is_model and isinstance(whole, str) and whole in names else used(value, names)
    elif isinstance(values, list):
        found += [name for one in values for name in used(one, names)]
    return tuple(dict.fromkeys(found))


def ordered(merges: list[Document], path: Path) -> list[Document]:
    """Merges behind those that they use; the one without a name last."""
    done: list[Document] = []
    left = sorted(merges, key=lambda one: one.name is None)
    while left:
        made = {one.name for one in done}
        ready = next((one for one in left if made.issuperset(one.uses)), None)
        if ready is None:
            names = ", ".join(one.name or FINAL for one in left)
            raise Problem(f"Cannot read {path}: {names} use each other in a circle. Name other models in one of them.")
        done.append(ready)
        left.remove(ready)
    return done


def merge_all(
    merges: list[Document], folder: Path, out: Path, tell: Callable[[str], None], progress: Progress | None = None
) -> list[dict]:
    """Make the merges of a file; what lies between is removed. Returns what `merge` does, with "name" and "warnings".

    folder: where relative paths begin; tell: gets each warning before its merge begins. Raises Problem with every
    refusal of the first that cannot be made.
    """
    if len(merges) == 1:
        return [made(merges[0], folder, {}, out, tell, progress)]
    if out.suffix == ".safetensors":
        raise Problem(f"Cannot write {out}: a file with several merges needs a folder.")
    refuse_below(out)
    with part_of(out) as part:
        work = part / WHOLE
        work.mkdir()
        places = {one.name: work / one.name for one in merges if one.name is not None}
        done = [made(one, folder, places, places.get(one.name or "", out), tell, progress) for one in merges]
        if merges[-1].name is not None:
            placed(work, out)
            done = [one | {"out": str(out / one["name"])} for one in done]
    return done


def made(
    one: Document,
    folder: Path,
    places: dict[str, Path],
    out: Path,
    tell: Callable[[str], None],
    progress: Progress | None,
) -> dict:
    """Make one merge."""
    if is_moe(one.values):
        return {"name": one.name, **build(moe_of(one.values, folder, places), out, tell, progress)}
    config = from_dict(one.values, folder, places)
    checked = preflight(config, out, progress)
    for sentence in checked.warnings:
        tell(sentence)
    if checked.refusals:
        raise Problem("\n".join(checked.refusals))
    return {"name": one.name, **merge(config, out, progress), "warnings": checked.warnings}


def check_all(merges: list[Document], folder: Path, out: Path, progress: Progress | None = None) -> list[dict]:
    """The preflights of the merges that need no other one, and the settings of the rest, which are checked in full when
    what they use is there. Writes nothing."""
    found = []
    for one in merges:
        made = {name: folder / name for name in one.uses}
        place = out / one.name if one.name is not None and out.is_dir() else out
        if is_moe(one.values):
            found.append({"name": one.name, **check(moe_of(one.values, folder, made), place)})
            continue
        config = from_dict(one.values, folder, made)
        if one.uses:
            later = f"Its weights are checked once {', '.join(one.uses)} is made."
            checked = Preflight(warnings=[*config.notes, later])
        else:
            checked = preflight(config, place, progress)
        found.append({"name": one.name, **checked.to_dict()})
    return found
