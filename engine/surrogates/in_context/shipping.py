"""From a checkpoint to the weights that pages read: beside the network's, how far its worlds reach.

`python -m engine.surrogates.in_context ship --folder runs/one` writes weights.safetensors, and weights.json with the
settings, the seconds and the held-out results of the training.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from engine.core.files import replacing
from engine.surrogates.in_context.forward import Arrays
from engine.surrogates.in_context.surrogate import InContext
from engine.surrogates.in_context.train import HELD_OUT, batch, kept

STUDIES = 150  # batches of worlds, of which a few each are measured
EACH = 2  # of each family in a batch
EDGES = (3, 6, 11, 21, 41, 81, 201)  # of the groups of runs
LEVEL = 0.99  # of the worlds miss less


def ship(folder: Path, into: Path, studies: int = STUDIES) -> None:
    """Write the weights of the checkpoint in `folder` to the file `into`, and its history beside it."""
    found, steps, seconds = kept(folder)
    net = {name: value.numpy() for name, value in found["network"].items()}
    with replacing(into) as part:
        save_file(net | familiar(net, studies), part)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    history = {
        "command": "python -m engine.surrogates.in_context train",
        "started": [line for line in lines if "settings" in line],
        "steps": steps,
        "seconds": round(seconds),
        "held_out": {line["step"]: line["held_out"] for line in lines if "held_out" in line},
        "training": [[line["step"], line["surprise"]] for line in lines if "surprise" in line][::20],
    }
    into.with_suffix(".json").write_text(json.dumps(history, indent=1) + "\n")


def familiar(net: Arrays, studies: int) -> Arrays:
    """Runs (S,), and the signs (S, 2) that 99 in 100 worlds of so many runs do not exceed."""
    runs, signs = [], []
    for k in range(studies):
        for part in batch(1, HELD_OUT + k):
            for table in range(min(EACH, len(part.losses))):
                one = InContext.by(net, part.shares[table], part.losses[table][:, None], part.repeats[table])
                runs.append(part.shares.shape[1])
                signs.append(one.signs()[0])
    groups = np.digitize(runs, EDGES)
    there = [k for k in range(1, len(EDGES)) if (groups == k).any()]
    middle = [np.exp(np.log(np.array(runs)[groups == k]).mean()) for k in there]
    limits = [np.quantile(np.array(signs)[groups == k], LEVEL, axis=0) for k in there]
    return {"familiar.runs": np.array(middle), "familiar.signs": np.array(limits)}
