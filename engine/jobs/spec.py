"""A job's spec: the settings that every kind has, and the task of its own kind. Standard library only.

`spec.json` is one flat object: JobSpec's fields and those of the kind's Task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from engine.core.checks import is_number, is_texts, is_whole
from engine.core.errors import Problem
from engine.core.records import Record, contract
from engine.core.shown import shown

UNFINISHED = ("queued", "running", "paused")  # states of a job that has not ended
LONGEST_ID = 200  # bytes
VERSION = 2  # 1 had only a kind and its task: the settings read as their defaults
ATTEMPTS = 3
DEVICES = ("auto", "cpu", "cuda")
ALIASES = {"after": "depends_on", "silence_seconds": "stall_timeout", "at_once": "max_parallel"}  # as 0.1 wrote them


@dataclass(frozen=True, kw_only=True)
class Task(Record):
    """The task of a job of one kind. Kinds subclass it (engine/spec/kinds/)."""

    kind: ClassVar[str]

    @classmethod
    def of(cls, spec: dict[str, Any]) -> Self:
        """The task in a spec. Raises Problem if a field is missing, unknown or of the wrong type."""
        fields, _ = contract(cls)  # type: ignore[arg-type]
        own = {name: value for name, value in spec.items() if name in fields or name not in SETTINGS}
        try:
            return cls.read(own, f"the task of a {cls.kind!r} job")
        except Problem as problem:
            raise Problem(
                f"{problem} The spec may come from another version: cancel the job and submit it again."
            ) from None

    @classmethod
    def check_held(cls, spec: dict[str, Any], what: str) -> None:
        """Raise Problem if a field of the task that a spec has is of the wrong type; some may be missing in it."""
        checks, _ = contract(cls)  # type: ignore[arg-type]
        for name, value in spec.items():
            if name in checks:
                check = checks[name]
                if not check.fits(value):
                    raise Problem(f"Cannot read {what}: its {name!r} is {shown(value)}, and must be {check.one}.")
                if check.read is not None:
                    check.read(value, f"{name!r} of {what}")

    def spec(self, **settings: Any) -> dict[str, Any]:
        """The whole spec of a job with this task; settings: of JobSpec."""
        return {"kind": self.kind, **settings, **self.to_dict()}


@dataclass(frozen=True)
class JobSpec:
    """The settings that every kind of job has.

    priority: lower runs sooner; depends_on: ids of jobs that must be done first; retries: how often it is tried again
    when its process dies or its device is lost; stall_timeout: seconds without progress after which it counts as
    stuck; max_parallel: how many jobs of its study may run side by side (0: no limit); cpus: slots; device: "cpu",
    "cuda" (waits for a GPU), "auto" (a GPU if there is one); gpu_memory_mb: its memory on a card (0: a whole card).
    """

    kind: str
    version: int = VERSION
    study: str | None = None
    priority: float = 0.0
    depends_on: tuple[str, ...] = ()
    retries: int = ATTEMPTS - 1
    stall_timeout: float = 900.0
    max_parallel: int = 0
    cpus: int = 1
    device: str = "cpu"
    gpu_memory_mb: int = 0

    @classmethod
    def read(cls, spec: object) -> "JobSpec":
        """The settings of a spec. Raises Problem for one of a newer version, and for an invalid value."""
        if not isinstance(spec, dict):
            held = str(spec)[:80]
            raise Problem(f"Cannot read the job's spec: it holds {held!r}. Cancel the job and submit it again.")
        spec = renamed(spec)
        version = spec.get("version", 1)
        if not is_whole(version, 1) or version > VERSION:
            raise Problem(
                f"Cannot run a job whose spec is of version {version!r}: this Mixdesk knows versions 1 to {VERSION}. "
                "Update Mixdesk, or cancel the job and submit it again."
            )
        names = cls.__dataclass_fields__.keys() - {"version"}
        depends_on = spec.get("depends_on", ())
        settings = {name: spec[name] for name in names if name in spec} | {"version": version}
        check("kind", settings.get("kind"), isinstance(settings.get("kind"), str), "the name of a kind of job")
        ids = is_texts(depends_on) and all(map(names_a_folder, depends_on))
        check("depends_on", depends_on, ids, "a list of jobs' ids")
        settings["depends_on"] = tuple(depends_on)
        made = cls(**settings)
        for name, (fits, wanted) in RULES.items():
            check(name, getattr(made, name), fits(getattr(made, name)), wanted)
        return made


def names_a_folder(text: str) -> bool:
    """Whether a folder or file of the spool may be called so: one visible name, on every system."""
    named = text == Path(text).name and not text.startswith(".") and text.isprintable()
    return bool(text) and named and len(text.encode(errors="replace")) <= LONGEST_ID


SETTINGS = {*JobSpec.__dataclass_fields__, *ALIASES}


def renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a job or a study's [compute] with today's spelling."""
    return {ALIASES.get(name, name): value for name, value in settings.items()}


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "study": (lambda value: value is None or (isinstance(value, str) and names_a_folder(value)), "a study's id"),
    "priority": (is_number, "a number; lower runs sooner"),
    "retries": (lambda value: is_whole(value, 0), "a whole number of at least 0"),
    "stall_timeout": (lambda value: is_number(value, 1), "a number of seconds of at least 1"),
    "max_parallel": (lambda value: is_whole(value, 0), "a whole number, 0 for no limit"),
    "cpus": (lambda value: is_whole(value, 1), "a whole number of at least 1"),
    "device": (lambda value: value in DEVICES, "one of " + ", ".join(DEVICES)),
    "gpu_memory_mb": (lambda value: is_whole(value, 0), "a whole number of MB, 0 for a whole card"),
}


def check(name: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        raise Problem(f"Cannot use {value!r} as a job's {name}: it must be {wanted}. Submit the job again with that.")
