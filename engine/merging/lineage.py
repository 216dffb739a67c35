"""Where a merge's models come from: licence, bases and parents of each by its card and configs, and of their ancestors.

Ancestors are walked as far as their folders are there: beside the model, above it, or in the hub's cache of folders.
Nothing is downloaded.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.core.safe_yaml import documents, parsed
from engine.merging.checkpoints.adapter_kinds import CONFIG as ADAPTER
from engine.merging.checkpoints.files import table
from engine.merging.licences import claims_more, conflicts, outcome, unknown

CARD, RECIPE = "README.md", "mergekit_config.yml"
LONGEST = 1 << 20  # bytes of a card that are read
MOST = 200  # models of a family


@dataclass(frozen=True)
class Origin:
    """One model of a family. name: as others name it; folder: None if it is not there; licence: by its card; parents:
    the names of what it was made from; how: "fine-tuned", "merged", "adapted" or "quantised"."""

    name: str
    folder: Path | None
    licence: str | None = None
    parents: tuple[str, ...] = ()
    how: str = "fine-tuned"


@dataclass
class Family:
    """The models of a merge and their ancestors, by name. models: those that are merged."""

    models: list[str]
    members: dict[str, Origin] = field(default_factory=dict)

    @property
    def licences(self) -> dict[str, str | None]:
        """By model and ancestor whose folder is there: what its card says."""
        return {name: one.licence for name, one in self.members.items() if one.folder is not None}

    def conflicts(self) -> list[str]:
        """What the family's licences forbid, and children that claim more freedom than their parents gave."""
        found = conflicts(self.licences)
        for one in self.members.values():
            for parent in [self.members[name] for name in one.parents if name in self.members]:
                if claims_more(one.licence, parent.licence):
                    found.append(
                        f"The card of {one.name} says {one.licence}, and it was made from {parent.name} "
                        f"({parent.licence}): the latter's terms hold, too."
                    )
        return found

    def unknown(self) -> list[str]:
        """Models and ancestors whose licence cannot be told."""
        away = [name for name, one in self.members.items() if one.folder is None]
        said = f"Not looked at, since no folder of that name is here: {', '.join(away)}, of the merge's ancestors."
        return unknown(self.licences) + ([said] if away else [])

    def to_dict(self) -> dict:
        """As JSON-able values."""
        models = [
            {
                "model": name,
                "licence": one.licence,
                "how": one.how,
                "parents": list(one.parents),
                "here": bool(one.folder),
            }
            for name, one in self.members.items()
        ]
        return {"models": models, "conflicts": self.conflicts(), "unknown": self.unknown()}

    def graph(self) -> list[str]:
        """The family as a graph in Mermaid, which hubs of code draw: from ancestors to the merge."""
        numbers = {name: f"m{n}" for n, name in enumerate(self.members)}
        lines = ["```mermaid", "graph TD"]
        for name, one in self.members.items():
            licence = one.licence or "no licence said"
            lines.append(f'    {numbers[name]}["{quoted(name)}<br>{quoted(licence)}"]')
        for name, one in self.members.items():
            lines += [f"    {numbers[up]} -->|{one.how}| {numbers[name]}" for up in one.parents if up in numbers]
        lines += [f"    {numbers[name]} --> merge" for name in self.models]
        return [*lines, '    merge["this merge"]', "```"]


def quoted(text: str) -> str:
    """A name inside a label of Mermaid's."""
    return text.replace('"', "'").replace("<", "(").replace(">", ")").replace("`", "'")


def family_of(models: dict[str, tuple[Path, ...]]) -> Family:
    """The family of a merge. models: its reference -> its folder, and of base+adapter both folders."""
    found = Family(list(models))
    names: dict[Path, str] = {folders[0].resolve(): name for name, folders in models.items() if len(folders) == 1}
    left: list[tuple[str, Path | None, tuple[str, ...]]] = []
    for reference, folders in models.items():
        above = (str(folders[0]),) if len(folders) > 1 else ()
        left.append((reference, folders[-1], above))
        left += [(str(folders[0]), folders[0], ())] if above else []
    while left and len(found.members) < MOST:
        name, folder, above = left.pop(0)
        if name in found.members:
            continue
        one = origin_of(name, folder)
        parents = []
        for parent in above or one.parents:
            there = place(parent, folder)
            known = names.setdefault(there.resolve(), parent) if there else parent
            parents.append(known)
            left.append((known, there, ()))
        found.members[name] = replace(one, parents=tuple(dict.fromkeys(parents)))
    return found


def origin_of(name: str, folder: Path | None) -> Origin:
    """What a model's files say of its licence and its parents."""
    if folder is None or not folder.is_dir():
        return Origin(name, folder)
    card = front_matter(folder / CARD)
    bases = [one for one in as_list(card.get("base_model")) if one != name]
    relation = str(card.get("base_model_relation") or "")
    how = {"merge": "merged", "adapter": "adapted", "quantized": "quantised"}.get(relation, "fine-tuned")
    if (folder / RECIPE).is_file() and (merged := models_in(folder / RECIPE)):
        bases, how = [*bases, *merged], "merged"
    if (folder / ADAPTER).is_file():
        bases, how = [*bases, *as_list(values_of(folder / ADAPTER).get("base_model_name_or_path"))], "adapted"
    if not bases and (folder / "config.json").is_file():
        own = as_list(values_of(folder / "config.json").get("_name_or_path"))
        bases = [one for one in own if Path(one).name not in ("", folder.name)]
    licence = card.get("license_name") if card.get("license") in ("other", None) else card.get("license")
    said = as_list(licence)
    return Origin(name, folder, said[0] if said else None, tuple(dict.fromkeys(bases)), how)


def place(name: str, beside: Path | None) -> Path | None:
    """The folder of a model by its name: a path, or beside another model, or as the hub's cache keeps it."""
    if Path(name).is_dir():
        return Path(name)
    if beside is None:
        return None
    cached = "models--" + name.replace("/", "--")
    for root in (beside.parent, *beside.absolute().parents[1:3]):
        for folder in (root / name, root / Path(name).name, *sorted((root / cached / "snapshots").glob("*"))):
            if folder.is_dir() and folder != beside:
                return folder
    return None


def front_matter(card: Path) -> dict:
    """The settings at the top of a model card; none where there are none, or they cannot be read."""
    try:
        with open(card, encoding="utf-8", errors="replace") as file:
            text = file.read(LONGEST)
        _, head, _ = text.split("---", 2) if text.lstrip().startswith("---") else ("", "", "")
        found = parsed(head)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def models_in(recipe: Path) -> list[str]:
    """The models that a file of mergekit's names."""
    found: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                if key in ("model", "base_model", "path", "source_model") and isinstance(one, str):
                    found.append(one)
                else:
                    look(one)
        elif isinstance(value, list):
            for one in value:
                look(one)

    try:
        look(documents(recipe.read_text("utf-8")))
    except (OSError, ValueError):
        return []
    return list(dict.fromkeys(found))


def values_of(file: Path) -> dict:
    """A JSON file's values; none where it cannot be read."""
    try:
        return table(file.read_bytes())
    except (OSError, ValueError):
        return {}


def as_list(value: object) -> list[str]:
    """A text, or a list of texts, as a list."""
    found = value if isinstance(value, list) else [value]
    return [one.strip() for one in found if isinstance(one, str) and one.strip()]


def head(family: Family) -> list[str]:
    """The lines of a card's settings on licence and family."""
    named = [name if "/" in name and not Path(name).is_absolute() else Path(name).name for name in family.models]
    return [
        f"license: {json.dumps(outcome(family.licences))}",
        f"base_model: {json.dumps(named)}",
        "base_model_relation: merge",
    ]
