"""What a loader is asked for, and how it answers: in JSON, since it runs in a process of its own."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

LENGTH = 16  # tokens of a row


class Domain(NamedTuple):
    """token: what all of its text consists of; rows: of LENGTH tokens; share: of tokens, as asked."""

    name: str
    token: int
    rows: int
    share: float


@dataclass(frozen=True)
class Order:
    """format: of the export in `files`; sizes: rows of each domain; shares: of tokens; chunk: rows of a file at most;
    draws: rows to ask the loader for; data: an empty folder."""

    format: str
    files: str
    data: str
    sizes: dict[str, int]
    shares: dict[str, float]
    chunk: int
    draws: int

    @property
    def domains(self) -> list[Domain]:
        return [Domain(name, i + 1, rows, self.shares[name]) for i, (name, rows) in enumerate(self.sizes.items())]

    def parts(self, domain: Domain) -> list[int]:
        """Rows of each file of a domain."""
        whole, rest = divmod(domain.rows, self.chunk)
        return [self.chunk] * whole + [rest] * (rest > 0)

    def text(self, name: str) -> str:
        return (Path(self.files) / name).read_text()

    def module(self, name: str) -> ModuleType:
        """An export in Python, imported as a trainer imports it."""
        spec = importlib.util.spec_from_file_location("mixture", Path(self.files) / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def json(self) -> str:
        return json.dumps(asdict(self))


def answer(draw: Callable[[Order], Iterable]) -> None:
    """Run a loader and print {domain: tokens that came out}, or {"missing": why}. draw(order) gives rows of tokens."""
    order = Order(**json.loads(sys.argv[1]))
    names = {domain.token: domain.name for domain in order.domains}
    counts = dict.fromkeys(order.sizes, 0)
    try:
        for row in islice(draw(order), order.draws):
            for token in row:
                counts[names[int(token)]] += 1
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
    else:
        print(json.dumps(counts))
