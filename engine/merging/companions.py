"""The other files of a merged model's folder: the lead's config and tokenizer, and a card: what was merged, and how."""

import json
from collections.abc import Iterable
from pathlib import Path

from engine.merging.checkpoints.adapter_kinds import CONFIG
from engine.merging.checkpoints.adapters import Adapted
from engine.merging.checkpoints.aligned import Aligned
from engine.merging.checkpoints.files import INDEX, PICKLES
from engine.merging.checkpoints.retokenized import Retokenized
from engine.merging.checkpoints.vocabulary import READERS, RULES, UNREAD
from engine.merging.config import MergeConfig
from engine.merging.layout import Model, Planned, lead_of
from engine.merging.lineage import Family, family_of, head
from engine.merging.output_config import output_config
from engine.merging.templates import chosen, with_template

KEPT = (".json", ".txt", ".model", ".jinja", ".tiktoken")  # suffixes of a model's files beside its weights
DROPPED = (INDEX, "pytorch_model.bin.index.json", "consolidated.safetensors.index.json", CONFIG, "trainer_state.json")
TOKENIZER = (*READERS, *UNREAD, *RULES, "tokenizer_config.json", "special_tokens_map.json", "chat_template.json")
GENERATION = "generation_config.json"
MODULES, TEMPLATES = "modules.json", "additional_chat_templates"  # what names folders, and a folder of a tokenizer's


def files_to_copy(lead: Model) -> dict[str, Path]:
    """The files to copy: name in the output's folder -> file.

    They are the lead's; an adapter's own tokenizer and chat template stand for the base's, and so does the tokenizer
    that the merge file asks for. Folders come along that modules.json names (sentence-transformers), and further chat
    templates.
    """
    if not lead.path.is_dir():
        return {}
    found = {file.name: file for file in copied_files(lead.path.iterdir(), KEPT)}
    if isinstance(lead, Retokenized):
        folder = lead.vocabulary.output.folder
        found = with_tokenizer(found, folder, True)
        found |= {GENERATION: folder / GENERATION} if (folder / GENERATION).is_file() else {}
    elif isinstance(lead, Adapted):
        found = with_tokenizer(found, lead.folder, lead.home != lead.path)
    for folder in inner_folders(lead.path):
        files = copied_files((lead.path / folder).rglob("*"), (*KEPT, ".safetensors"))
        found |= {str(file.relative_to(lead.path)): file for file in files}
    return found


def with_tokenizer(found: dict[str, Path], folder: Path, whole: bool) -> dict[str, Path]:
    """Files by name with another folder's tokenizer, or (not `whole`) only its chat template."""
    own = {file.name: file for file in copied_files(folder.iterdir(), KEPT) if of_tokenizer(file.name)}
    kept = {name: file for name, file in found.items() if not (whole and of_tokenizer(name))}
    return kept | {name: file for name, file in own.items() if whole or "chat_template" in name}


def copied_files(files: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Of some files those that are copied, by name."""
    return sorted(file for file in files if file.suffix in suffixes and file.name not in DROPPED and file.is_file())


def of_tokenizer(name: str) -> bool:
    """Whether a file belongs to a tokenizer."""
    return name in TOKENIZER or name.endswith((".jinja", ".tiktoken"))


def inner_folders(path: Path) -> list[str]:
    """The folders in a model's folder that belong to it."""
    named = modules_of(path) or [] if (path / MODULES).is_file() else []
    found = [
        name for name in (*named, TEMPLATES) if name and not Path(name).is_absolute() and ".." not in Path(name).parts
    ]
    return [name for name in found if (path / name).is_dir()]


def modules_of(path: Path) -> list[str] | None:
    """The folders that modules.json names; None if it cannot be read."""
    try:
        return [str(one["path"]) for one in json.loads((path / MODULES).read_bytes())]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def lost(lead: Model, out: Path) -> list[str]:
    """Warnings about parts of a complete model that the output will lack, or that are not merged."""
    if out.suffix == ".safetensors":
        found = list(files_to_copy(lead))
        return [f"{out} is one file: {', '.join(found)} of {lead.path} are not written beside it."] if found else []
    said = []
    if lead.config is None:
        said.append(f"{lead.path} has no config.json, so the output has none: loaders will not know its architecture.")
    if lead.path.is_dir() and (code := sorted(file.name for file in lead.path.glob("*.py"))):
        said.append(
            f"{lead.path} has code of its own ({', '.join(code)}): it is not copied. Copy it if you trust it "
            "and the model needs it."
        )
    if (lead.path / MODULES).is_file() and modules_of(lead.path) is None:
        said.append(f"{lead.path / MODULES} cannot be read: the folders of its modules are not copied.")
    if weights := [name for name in files_to_copy(lead) if name.endswith(".safetensors")]:
        said.append(f"{', '.join(weights)} is copied from {lead.path} as it is: only the model itself is merged.")
    folders = inner_folders(lead.path) if lead.path.is_dir() else []
    pickles = [file for folder in folders for file in (lead.path / folder).rglob("*") if file.suffix in PICKLES]
    if pickles:
        names = ", ".join(str(file.relative_to(lead.path)) for file in sorted(pickles))
        said.append(f"{lead.path} has pickles in its modules ({names}): they are not copied. Convert them first.")
    return said


def companions(config: MergeConfig, models: dict[str, Model], planned: list[Planned]) -> dict[str, bytes]:
    """The other files of the output folder by name; none for a merge of bare files."""
    lead = models[lead_of(config)]
    if not lead.path.is_dir():
        return {}
    files = files_to_copy(lead)
    found = {name: file.read_bytes() for name, file in files.items()}
    if isinstance(lead, Retokenized):
        found = lead.vocabulary.output.files(found)
        if GENERATION in found and files[GENERATION].parent != lead.vocabulary.output.folder:
            settings = lead.vocabulary.renumbered(json.loads(found[GENERATION]), lead.reference)
            found[GENERATION] = json.dumps(settings, indent=2).encode()
    if config.chat_template:
        template, _ = chosen(
            config.chat_template, {name: models[name].home for name in dict.fromkeys([lead_of(config), *models])}
        )
        found = with_template(found, template) if template else found
    if lead.config is not None:
        found["config.json"] = json.dumps(output_config(config, models, planned), indent=2).encode()
    found["README.md"] = card(config, family(models)).encode()
    return found


def card(config: MergeConfig, family: Family) -> str:
    """The model card: what was merged, and how; licences and ancestors."""
    lines = ["---", "tags: [merge, mixdesk]", *head(family), "---", "", f"# {config.title or 'A merge'}", ""]
    lines += [f"Method: {config.method.title} (`{config.name}`, {config.method.paper}).", ""]
    lines += [f"Base: `{config.base}`.", ""] if config.base else []
    lines += ["| model | parameters |", "|---|---|"]
    for piece in config.slices:
        lines += [f"| `{one.model}` | `{json.dumps(one.parameters)}` |" for one in piece.sources]
    if config.parameters:
        lines += ["", f"Shared parameters: `{json.dumps(config.parameters)}`."]
    lines += ["", "## Where it comes from", "", *family.graph(), ""]
    lines += [f"- {sentence}" for sentence in (*family.conflicts(), *family.unknown())]
    return "\n".join([*lines, "", f"Seed {config.seed}. Written by Mixdesk.", ""])


def family(models: dict[str, Model]) -> Family:
    """The models of a merge with their ancestors."""
    return family_of({name: folders_of(model) for name, model in models.items()})


def folders_of(model: Model) -> tuple[Path, ...]:
    """A model's folder, and that of the adapter on it."""
    inner = model.model if isinstance(model, Retokenized) else model
    inner = inner.model if isinstance(inner, Aligned) else inner
    return (inner.path, inner.folder) if isinstance(inner, Adapted) else (inner.path,)
