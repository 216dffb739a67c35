"""Surrogates that are made of others: how they are saved, and taken to other conditions."""

from dataclasses import dataclass, fields, replace

import numpy as np

from engine.surrogates.base import Surrogate


@dataclass(kw_only=True)
class Composed(Surrogate):
    """members: name of the table -> fitted surrogate."""

    members: dict[str, Surrogate]

    def at(self, repeats):
        return replace(self, members={name: one.at(repeats) for name, one in self.members.items()})

    def unharmed(self, domain):
        return replace(self, members={name: one.unharmed(domain) for name, one in self.members.items()})

    @property
    def sees_repetition(self):
        return any(one.sees_repetition for one in self.members.values())

    def arrays(self):
        own = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self) if field.name != "members"}
        parts = {f"{name}/{key}": array for name, one in self.members.items() for key, array in one.arrays().items()}
        return own | parts | {"members": np.array(list(self.members))}

    @classmethod
    def from_arrays(cls, arrays):
        from engine.surrogates import SURROGATES

        def part(name: str) -> Surrogate:
            own = {key.removeprefix(f"{name}/"): x for key, x in arrays.items() if key.startswith(f"{name}/")}
            return SURROGATES[name].from_arrays(own)

        own = {
            field.name: arrays[field.name] for field in fields(cls) if field.name in arrays and field.name != "members"
        }
        return cls(**own, members={str(name): part(str(name)) for name in arrays["members"]})
