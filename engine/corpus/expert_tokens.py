"""What one expert per domain gives every token of validation text, kept: then any mixture of them costs no training.

One file per study, `rivals/<study>/tokens.npz` in the workspace, written by the job that finds MixMin's mixture
(engine/proxies/rivals/mixmin.py) and read under the faders. No torch. N tokens of a domain, K experts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED

LEAST = 1e-12  # probability below which none is kept: float32 has it, and its logarithm


@dataclass(frozen=True)
class ExpertTokens:
    """domains: D of them, one expert each; probabilities: of each domain's tokens by every expert, (N, K) float32;
    size (D,): bytes that each domain's tokens stand for."""

    domains: list[str]
    probabilities: list[np.ndarray]
    size: np.ndarray

    def bits(self, shares: np.ndarray) -> np.ndarray:
        """(D,) bits per byte of each domain by the average of the experts at shares (K,)."""
        own = np.asarray(shares, np.float32)
        nats = [-float(np.log(one @ own).sum(dtype=float)) for one in self.probabilities]
        found: np.ndarray = np.array(nats) / np.log(2) / self.size
        return found

    def joined(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All tokens, (N, K), and what a nat of each costs, (N,), where domains count by weights (D,)."""
        costs = weights / np.log(2) / self.size
        lengths = [len(one) for one in self.probabilities]
        return np.concatenate(self.probabilities), np.repeat(costs, lengths)


def file_of(workspace: Path, study: str) -> Path:
    """Where a study's tokens lie."""
    return workspace / "rivals" / study / "tokens.npz"


def save(path: Path, tokens: ExpertTokens) -> None:
    """Write them, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {f"tokens {place}": one.astype(np.float32) for place, one in enumerate(tokens.probabilities)}
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, domains=np.array(tokens.domains), size=tokens.size, **kept)


def load(path: Path) -> ExpertTokens:
    """Raises Problem for a file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            domains = file["domains"].tolist()
            return ExpertTokens(domains, [file[f"tokens {place}"] for place in range(len(domains))], file["size"])
    except DAMAGED as error:
        raise Problem(
            f"Cannot read what the experts of {path.parent.name} give each token: {error}. Find MixMin's mixture again."
        ) from error
