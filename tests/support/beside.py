"""What jobs say that train proxies beside a study's runs: rivals of its answer, and its fidelity lab."""

from engine.jobs.decisions import JobPlanned
from engine.spec.study import StudySpec
from store.database import Store
from tests.support import nasty
from tests.support.nasty import MIXTURE, tell


def rival(store: Store) -> None:
    """What the job says that found a mixture from few runs."""
    shares, weights = [0.5, 0.25, 0.25], [1 / 3] * 3
    asked = {"study": MIXTURE, "method": "aioli", "corpus": "mine", "domains": nasty.names("domain"), "seed": 0}
    asked |= {"weights": weights, "prior": weights, "fidelity": StudySpec.from_dict({"name": "x"}).fidelity.to_dict()}
    asked |= {"space": {"names": nasty.names("domain"), "lower": [0.0] * 3, "upper": [1.0] * 3, "groups": []}}
    job = f"{MIXTURE}-aioli"
    store.write(JobPlanned(job, {"kind": "rival", **asked}, MIXTURE))
    store.spool.submit({"kind": "rival", **asked}, job)
    found = {
        "shares": shares,
        "moved": 0.0,
        "trained_tokens": 100,
        "read_tokens": 10,
        "path": [{"step": 5, "shares": shares}],
    }
    told = {"kind": "rival.found", "study": MIXTURE, "settings": {**asked, "made_by": None}, "found": found}
    tell(store, job, {"kind": "job.started"}, told)


def lab(store: Store) -> None:
    """What the jobs say that measured two fidelities."""
    shares, domains = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]], nasty.names("domain")
    asked = {"study": MIXTURE, "lab": "0", "corpus": "mine", "domains": domains, "mixtures": shares, "seeds": [1, 2]}
    asked |= {"fidelity": StudySpec.from_dict({"name": "x"}).fidelity.to_dict()}
    for name in ("reference", "half the tokens"):
        own, job = {**asked, "name": name, "reference": name == "reference"}, f"{MIXTURE}-lab-{name[:4]}"
        store.write(JobPlanned(job, {"kind": "lab", **own}, MIXTURE))
        store.spool.submit({"kind": "lab", **own}, job)
        losses = [[[place + seed / 10, 2.0, 2.0 - place] for seed in range(2)] for place in range(3)]
        found = {"losses": losses, "flops": 1e9, "seconds": 1.0}
        told = {"kind": "lab.measured", "study": MIXTURE, "settings": own, "found": found}
        tell(store, job, {"kind": "job.started"}, told)
