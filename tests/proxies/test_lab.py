"""The job of the fidelity lab: losses of every mixture and seed, as training alone gives them."""

import numpy as np
import pytest

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.corpus import CorpusSpec
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.proxies.evaluate import evaluate
from engine.proxies.lab import run
from engine.proxies.train import Training
from engine.spec.fidelity import Fidelity
from engine.spec.kinds.lab import LabTask
from tests.support.working import read_events

SIZE = Fidelity(width=16, layers=1, context=16, batch=4, tokens=20 * 64, eval_tokens=256)
DOMAINS = ["letters", "digits"]
MIXTURES = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("lab"), np.random.default_rng(0)
    for domain, letters in zip(DOMAINS, ("abcde ", "01234 "), strict=True):
        (root / "text" / domain).mkdir(parents=True)
        for k in range(40):
            (root / "text" / domain / f"{k}.txt").write_text("".join(rng.choice(list(letters), 2000)))
    source = {"type": "folder", "path": str(root / "text")}
    corpora.build(CorpusSpec(source=source), root / "corpora" / "bytes", processes=1)
    return root


def task(**changes) -> LabTask:
    asked = {"study": "s", "name": "it", "lab": "0", "reference": False, "corpus": "bytes", "domains": DOMAINS}
    asked |= {"fidelity": SIZE.to_dict(), "mixtures": MIXTURES, "seeds": [1, 2], "group": 4, "device": "cpu"}
    return LabTask(**(asked | changes))


def done(workspace, folder, **changes) -> dict:
    folder.mkdir()
    run(Job(folder, workspace, task(**changes).spec()))
    (event,) = [one for one in read_events(folder) if one["kind"] == "lab.measured"]
    return event["found"]


def test_every_mixture_and_seed_is_measured_as_it_would_be_alone(workspace, tmp_path):
    found = done(workspace, tmp_path / "job")
    table = np.array(found["losses"])
    assert table.shape == (3, 2, 2) and found["flops"] == 6 * SIZE.flops(256) and found["seconds"] > 0
    corpus = corpora.load(workspace / "corpora" / "bytes")
    alone = Training(SIZE, corpus, DOMAINS, [TaskRun(id="x", weights=MIXTURES[2], seed=1)], "cpu")
    while alone.step < SIZE.steps:
        alone.advance()
    assert np.allclose(table[2, 0], evaluate(alone.stack, corpus, DOMAINS, 256)[0][0], atol=1e-3)
    assert table[0, 0, 0] < table[2, 0, 0] and table[2, 0, 1] < table[0, 0, 1]


def test_what_a_stopped_job_measured_is_not_measured_again(workspace, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    np.save(folder / "losses-0.npy", np.full((4, 2), 99.0))
    run(Job(folder, workspace, task().spec()))
    (event,) = [one for one in read_events(folder) if one["kind"] == "lab.measured"]
    table = np.array(event["found"]["losses"]).reshape(6, 2)
    assert (table[:4] == 99).all() and (table[4:] < 20).all()


def test_proxies_that_diverge_have_no_losses(workspace, tmp_path):
    fast = SIZE.to_dict() | {"learning_rate": 100.0, "clip": 1e6}
    found = done(workspace, tmp_path / "job", fidelity=fast)
    assert all(one is None for row in found["losses"] for seed in row for one in seed)


def test_an_unknown_domain_is_refused(workspace, tmp_path):
    with pytest.raises(Problem, match="'birds'"):
        done(workspace, tmp_path / "job", domains=["letters", "birds"])
