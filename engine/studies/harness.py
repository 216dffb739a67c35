"""Ask for runs of lm-evaluation-harness, on models of the workspace. Uses the store."""

from pathlib import Path

from engine.core.errors import Problem
from engine.core.people import takes
from engine.core.short_names import digest
from engine.spec.harness import FOLDER, check_asked, is_proxy, model_in, stamps
from engine.spec.kinds.harness import HarnessTask
from engine.spec.study import StudySpec
from engine.studies.questions import Asked, ask_once
from store import studies
from store.database import Store, in_turn


@takes("operator", "run a harness")
@in_turn
def queue_harness(
    store: Store, model: str, tasks: list[str], limit: int | None = None, study: str | None = None
) -> Asked:
    """Queue a run of the harness on a model. The same request is one job, until a file of the model or of the folder
    harness/ changes.

    model, tasks, limit: see engine.spec.kinds.harness.HarnessTask; study: of a proxy, which a path in experts/ tells
    by itself. Raises Problem if anything is invalid.
    """
    root = store.workspace.root
    check_asked(root, tasks, limit)
    path = model_in(root, model)
    own = of_proxy(store, model, study) if is_proxy(model) else {}
    task = HarnessTask(model=model, tasks=tasks, limit=limit, **own)
    asked = task.to_dict() | {"files": [*stamps(path), *stamps(root / FOLDER)]}
    job_id = f"harness-{digest(asked)[:12]}"
    return ask_once(store, job_id, task.spec(), task.study)


def of_proxy(store: Store, model: str, study: str | None) -> dict:
    """What a task says of a proxy. Raises Problem where nothing tells which study it is of."""
    parts = Path(model).parts
    name = study or (parts[1] if parts[0] == "experts" else None)
    if name is None:
        raise Problem(f"Cannot tell which study trained {model!r}: name the study, whose corpus and size it has.")
    found = studies.get(store, name)
    spec = StudySpec.from_dict({"name": found.name, **found.spec})
    if spec.fidelity is None:
        raise Problem(f"Cannot ask {model!r}: {found.name!r} trains no proxies. Name the study that trained it.")
    return {"study": found.id, "corpus": spec.corpus, "fidelity": spec.fidelity.to_dict()}
