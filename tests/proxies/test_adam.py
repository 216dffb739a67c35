"""Adam of our own: the same numbers as torch.optim's, without torch's compiler."""

import subprocess
import sys

import pytest
import torch

from engine.proxies.adam import AdamW
from tests.support.running import ROOT


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("settings", [{}, {"betas": (0.9, 0.98), "weight_decay": 0.1}])
def test_it_moves_as_torchs_own_does(settings, fused):
    start = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    ours, theirs, still = (start.clone().requires_grad_() for _ in range(3))
    pairs = (
        (ours, AdamW([ours, still], 0.01, fused=fused, **settings)),
        (theirs, torch.optim.AdamW([theirs], 0.01, fused=fused, **{"weight_decay": 0.0} | settings)),
    )
    for _ in range(5):
        for value, optimiser in pairs:
            optimiser.zero_grad()
            (value**4).sum().backward()
            optimiser.step()
    assert torch.equal(ours, theirs) and not torch.equal(ours, start)
    assert torch.equal(still, start), "it has no gradient"


@pytest.mark.slow
def test_a_job_starts_without_torchs_compiler():
    """Importing it takes as long as importing torch: 1.6 CPU seconds of every job that trains."""
    code = (
        "import sys, torch; from engine.merging.learning import adamerging; from engine.proxies import train; "
        "value = torch.ones(3, requires_grad=True); made = train.AdamW([value], 0.1, fused=True); "
        "value.sum().backward(); made.step(); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
