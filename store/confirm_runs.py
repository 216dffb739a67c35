"""Queries about the runs that confirm a study's mixtures and schedules."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.database import Store


@dataclass(frozen=True)
class Confirmed:
    """One run of a confirmation. weights (D,): of all its tokens; phases (F, D) where it is a schedule; losses (M,),
    None until it is done; fidelity as Fidelity.to_dict gives it."""

    id: str
    label: str
    state: str
    weights: np.ndarray
    phases: np.ndarray | None
    seed: int
    fidelity: dict[str, Any]
    losses: np.ndarray | None

    @property
    def place(self) -> np.ndarray:
        """What it was trained on: one mixture (D,), or a schedule (F, D)."""
        return self.weights if self.phases is None else self.phases


def confirmations(store: Store, study: str, schedules: bool = False) -> list[Confirmed]:
    """The runs that confirm a study's mixtures, finished or not, in the order of their numbers; its schedules, too."""
    rows = store.rows(
        "SELECT id, label, state, weights, phases, seed, fidelity, losses FROM runs "
        "WHERE study = ? AND role = 'confirm' ORDER BY number",
        [study],
    )
    return [
        Confirmed(
            id_,
            label,
            state,
            np.array(weights),
            None if phases is None else np.array(phases, dtype=float),
            seed,
            json.loads(fidelity),
            np.array(losses, dtype=float) if state == "done" else None,
        )
        for id_, label, state, weights, phases, seed, fidelity, losses in rows
        if schedules or phases is None
    ]
