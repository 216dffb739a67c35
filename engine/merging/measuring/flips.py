"""Negative flips of merges: windows of text and items of tasks that they do worse than the base. G merges, W windows of
T tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.metrics import Prediction
from engine.spec.flips import WINDOWS, items_of
from engine.tasks.flips import of_all, worse_by_tokens, worse_items
from engine.tasks.outcomes import Outcome


class Losses:
    """The losses of single tokens in nats, by domain, as they are measured; NaN where one is never predicted."""

    def __init__(self) -> None:
        self.parts: dict[str, list[np.ndarray]] = {}

    def take(self, domain: str, prediction: Prediction) -> None:
        """Keep the losses of some windows (G, W, T), or (W, T) of a single model."""
        nats = prediction.nll.double().cpu().numpy()
        own = np.where(prediction.counted.cpu().numpy(), nats, np.nan)
        self.parts.setdefault(domain, []).append(own if own.ndim == 3 else own[None])

    def of(self, domain: str) -> np.ndarray:
        """(G, W, T) of a domain; windows that are shorter than others end in NaN."""
        parts = self.parts[domain]
        longest = max(part.shape[-1] for part in parts)
        ends = [[(0, 0), (0, 0), (0, longest - part.shape[-1])] for part in parts]
        filled = [np.pad(part, end, constant_values=np.nan) for part, end in zip(parts, ends, strict=True)]
        return np.concatenate(filled, axis=1)


@dataclass(frozen=True)
class Reference:
    """What the base did: losses of single tokens, and its answers by task. tasks: that were asked; unscored: why those
    have no answers that lack."""

    losses: Losses
    outcomes: dict[str, Outcome]
    tasks: Sequence[str]
    unscored: dict[str, str]

    @property
    def names(self) -> list[str]:
        """The metrics that are counted, as engine.spec.flips.flips_of has them."""
        return [WINDOWS, *map(items_of, self.tasks)]

    def missing(self, unscored: dict[str, str]) -> dict[str, str]:
        """The flips that nobody can count, by name, and why. unscored: tasks without a score of the merges."""
        found = self.unscored | unscored
        return {items_of(task): found[task] for task in self.tasks if task in found}

    def flips(self, losses: Losses, outcomes: Sequence[dict[str, Outcome]]) -> tuple[np.ndarray, np.ndarray]:
        """What G merges do worse, in the order of `names`: values and standard errors (G, F); NaN of a task without
        answers."""
        base = {domain: self.losses.of(domain)[0] for domain in self.losses.parts}
        merges = {domain: losses.of(domain) for domain in base}
        found = []
        for g, own in enumerate(outcomes):
            text = of_all([worse_by_tokens(merges[domain][g], base[domain]) for domain in base])
            items = [
                worse_items(own[task].scores, self.outcomes[task].scores[None])
                if task in own and task in self.outcomes
                else (np.nan, np.nan)
                for task in self.tasks
            ]
            found.append([text, *items])
        values, errors = np.moveaxis(np.array(found), -1, 0)
        return values, errors
