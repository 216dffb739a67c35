"""How a merge file names a model: a path, BASE+ADAPTER, or mergekit's table of path, revision and lora."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from engine.core.errors import Problem
from engine.merging.methods import METHODS
from engine.merging.methods.knobs import knobs_of

PATH = ("path", "revision")
REFERENCE = ("model", "lora", "override_architecture")
ALIKE = 0.75  # of difflib's ratio: such keys are taken for misspelt ones
NO_EFFECT = ("int8_mask",)  # mergekit's memory option, without effect here
PARAMETERS = {
    *("lambda" if name == "lam" else name for method in METHODS.values() for name in knobs_of(method)),
    *NO_EFFECT,
}


@dataclass
class Reading:
    """A merge file while it is read. folder: where relative paths begin; made: merges of the same file by their names;
    notes: what was read and has no effect, one sentence each."""

    folder: Path
    made: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def model(self, value: object) -> str | None:
        """The path of a model, or of BASE+ADAPTER. Raises Problem if it names none."""
        if value is None or isinstance(value, str):
            return None if value is None else self._path(value)
        table = self._table(value, REFERENCE)
        if table.get("override_architecture") is not None:
            self.note(f"override_architecture of {table.get('model')} has no effect: tensors are known by their names.")
        parts = [self._place(table.get(key)) for key in ("model", "lora") if table.get(key) is not None]
        if not parts or table.get("model") is None:
            raise Problem(f"Cannot use {value!r:.80} as a model: it has no key 'model'.")
        return "+".join(parts)

    def _place(self, value: object) -> str:
        """A path, or a table with one."""
        if isinstance(value, str):
            return self._path(value)
        table = self._table(value, PATH)
        if not isinstance(table.get("path"), str):
            raise Problem(f"Cannot use {value!r:.80} as a model: it has no key 'path'.")
        if table.get("revision") is not None:
            self._revised(table["path"], table["revision"])
        return self._path(table["path"])

    def _table(self, value: object, keys: tuple[str, ...]) -> dict:
        if not isinstance(value, dict):
            raise Problem(f"Cannot use {value!r:.80} as a model: give the path of a folder or of a .safetensors file.")
        for key in value:
            if key not in keys:
                raise Problem(f"Cannot use {value!r:.80} as a model: {key!r} is unknown. It takes {', '.join(keys)}.")
        return value

    def _path(self, value: str) -> str:
        """A path beside the file, or as given; the earlier merge of that name; without a revision of the hub's."""
        if value in self.made:
            return str(self.made[value])
        beside = self.folder / value
        if not Path(value).is_absolute() and beside.exists():
            return str(beside)
        if Path(value).exists():
            return value
        if "+" in value:
            return "+".join(self._path(part) for part in value.rsplit("+", 1))
        path, _, revision = value.rpartition("@")
        if path and (path in self.made or (self.folder / path).exists()):
            self._revised(path, revision)
            return self._path(path)
        return value

    def _revised(self, path: str, revision: object) -> None:
        self.note(f"The revision {revision!r:.40} of {path} has no effect: what is in its folder is merged.")

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def unused(self, where: str, values: dict, keys: tuple[str, ...], why: str) -> None:
        """Note the keys that are not among `keys`. Raises Problem for those that look like one of them, misspelt."""
        for key in values:
            if key in keys:
                continue
            near = get_close_matches(str(key), keys, 1, ALIKE)
            if near and key not in PARAMETERS:
                raise Problem(f"Cannot read {where}: the key {key!r} is unknown. Is it {near[0]!r}?")
            if key not in NO_EFFECT:
                self.note(f"{key!r} in {where} has no effect: {why}.")


def table(where: str, values: object) -> dict:
    """Raise Problem if a value is not a table."""
    if not isinstance(values, dict):
        raise Problem(f"Cannot read {where}: it is {str(values)[:80]!r}, and must be a table.")
    return values
