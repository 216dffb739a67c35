"""Keep one study's experts in memory and measure merges while a fader moves.

Run as `python -m engine.merging.measuring.live_process WORKSPACE`.

The page's process never loads torch, so it asks this one, by JSON lines: first an engine.spec.tasks.Merging, answered
with {"ready": true}; then {"points": [1][D], "merge", "names"} and what it wants of that merge: "tokens", to measure it
on as many of each domain, answered with {"losses": [1][M], "losses_se": [1][M], "passages": [P][T]: the bits of their
tokens, "missing": why scores are NaN}; or "passage" and "seed", to go on with it, answered with {"sample": tokens}.
Both say "refused": why the method refuses the merge, or null. A failed request is answered with {"error": sentence}. It
exits at the end of its input.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from engine.core.errors import Problem
from engine.merging.measuring.proxies import ProxyMerges
from engine.spec.merge import MergeSpec
from engine.spec.tasks import Merging


def measure(merges: ProxyMerges, request: dict) -> dict:
    """The losses of one merge, and its bits of passages."""
    losses, errors = merges.measure(np.array(request["points"], float), request["tokens"])
    bits = merges.passages()[0].round(3)
    missing = [*dict.fromkeys(merges.missing[0].values())]
    return {"losses": losses.tolist(), "losses_se": errors.tolist(), "passages": bits.tolist(), "missing": missing}


def sample(merges: ProxyMerges, request: dict) -> dict:
    """Tokens with which one merge goes on."""
    return {
        "sample": merges.continued(np.array(request["points"], float), request["passage"], request["seed"]).tolist()
    }


def main(workspace: Path) -> None:
    torch.set_num_threads(1)
    merges = None
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if merges is None:
                merges, answer = (
                    ProxyMerges(Merging.read(request, "the merges to measure"), workspace, "cpu"),
                    {"ready": True},
                )
            else:
                merges.set_method(MergeSpec.from_dict(request["merge"]), request["names"])
                answer = sample(merges, request) if "passage" in request else measure(merges, request)
                answer["refused"] = merges.refused.get(0)
        except (Problem, ValueError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
