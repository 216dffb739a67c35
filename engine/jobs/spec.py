"""What a job's spec says besides its own work: when it may run, what it needs, when it is given up.

A spec is a flat JSON object: the settings below, and the fields of its kind. Standard library only.
"""

from dataclasses import dataclass

from engine.core.checks import is_number, is_texts, is_whole
from engine.core.errors import Problem

UNFINISHED = ("queued", "running", "paused")  # states of a job that may still do something
VERSION = 2  # 1 had neither `after`, `retries`, `silence_seconds`, `at_once` nor needs: it reads as their defaults
ATTEMPTS = 3
DEVICES = ("auto", "cpu", "cuda")

# What each kind cannot do without. Kinds that are not listed check their fields themselves.
FIELDS = {
    "corpus": {"corpus": str, "source": dict},
    "train": {"corpus": str, "domains": list, "runs": list, "fidelity": dict},
    "merge": {"merge": dict, "names": list, "base": str, "experts": dict, "corpus": str, "domains": list, "runs": list},
    "preflight": {"study": str, "base": str, "experts": dict},
    "merge_write": {"study": str, "file": str, "out": str},
    "merge_learn": {
        "merge": dict,
        "names": list,
        "base": str,
        "experts": dict,
        "corpus": str,
        "domains": list,
        "learn": dict,
        "study": str,
        "out": str,
        "first": int,
    },
    "merge_search": {
        "merge": dict,
        "names": list,
        "base": str,
        "experts": dict,
        "corpus": str,
        "domains": list,
        "space": dict,
        "prior": list,
        "settings": dict,
        "first": int,
        "known": dict,
    },
    "fit": {"study": str, "domains": list, "runs": list, "weights": list, "losses": list},
    "search": {"study": str, "file": str, "settings": dict, "space": dict, "prior": list},
    "propose": {"study": str, "file": str, "settings": dict, "space": dict, "prior": list, "weights": list},
}
WORDS = {str: "a text", list: "a list", dict: "a table", int: "a whole number"}


@dataclass(frozen=True)
class JobSpec:
    """The settings that every kind of job has.

    priority: lower runs sooner; after: ids of jobs that must be done first; retries: how often it is tried again
    when its process dies or its device is lost; silence_seconds: how long it may show no progress before it is
    taken for stuck; at_once: how many jobs of its study may run side by side (0: as many as there is room for);
    cpus: slots; device: "cpu", "cuda" (waits for a GPU), "auto" (a GPU where there is one); gpu_memory_mb: what it
    takes of a card (0: a whole one).
    """

    kind: str
    version: int = VERSION
    study: str | None = None
    priority: float = 0.0
    after: tuple[str, ...] = ()
    retries: int = ATTEMPTS - 1
    silence_seconds: float = 900.0
    at_once: int = 0
    cpus: int = 1
    device: str = "cpu"
    gpu_memory_mb: int = 0

    @classmethod
    def read(cls, spec: object) -> "JobSpec":
        """The settings of a spec. Raises Problem for one of a newer version, and for a value that cannot be."""
        if not isinstance(spec, dict):
            held = str(spec)[:80]
            raise Problem(f"Cannot read the job's spec: it holds {held!r}. Cancel the job and submit it again.")
        version = spec.get("version", 1)
        if not is_whole(version, 1) or version > VERSION:
            raise Problem(
                f"Cannot run a job whose spec is of version {version!r}: this Mixdesk knows versions 1 to {VERSION}. "
                "Update Mixdesk, or cancel the job and submit it again."
            )
        names = cls.__dataclass_fields__.keys() - {"version"}
        after = spec.get("after", ())
        settings = {name: spec[name] for name in names if name in spec} | {"after": after, "version": version}
        check("kind", settings.get("kind"), isinstance(settings.get("kind"), str), "the name of a kind of job")
        check("after", after, is_texts(after), "a list of jobs' ids")
        settings["after"] = tuple(after)
        made = cls(**settings)
        for name, (fits, wanted) in RULES.items():
            check(name, getattr(made, name), fits(getattr(made, name)), wanted)
        return made


RULES = {
    "study": (lambda value: value is None or isinstance(value, str), "a study's id"),
    "priority": (is_number, "a number; lower runs sooner"),
    "retries": (lambda value: is_whole(value, 0), "a whole number of at least 0"),
    "silence_seconds": (lambda value: is_number(value, 1), "a number of seconds of at least 1"),
    "at_once": (lambda value: is_whole(value, 0), "a whole number, 0 for no limit"),
    "cpus": (lambda value: is_whole(value, 1), "a whole number of at least 1"),
    "device": (lambda value: value in DEVICES, "one of " + ", ".join(DEVICES)),
    "gpu_memory_mb": (lambda value: is_whole(value, 0), "a whole number of MB, 0 for a whole card"),
}


def check(name: str, value, fits: bool, wanted: str) -> None:
    if not fits:
        raise Problem(f"Cannot use {value!r} as a job's {name}: it must be {wanted}. Submit the job again with that.")


def check_fields(spec: dict) -> None:
    """Raise Problem where a spec lacks what its kind cannot do without."""
    for name, kind in FIELDS.get(spec["kind"], {}).items():
        if not isinstance(spec.get(name), kind):
            raise Problem(
                f"Cannot run a job of kind {spec['kind']!r} whose {name!r} is {str(spec.get(name))[:80]!r}: it must be "
                f"{WORDS[kind]}. The spec may come from another version: cancel the job and submit it again."
            )
