"""Tasks of a workspace: from files, generators or a corpus' text; what studies measure on them. Uses the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.core.errors import Problem
from engine.core.people import need
from engine.corpus.tokenizers import UNREAD
from engine.metrics import asked_of, check_fit, item_metrics, objectives_of
from engine.metrics.verifiers import check_verifier
from engine.spec.flips import flips_of
from engine.spec.merge import HIGHER
from engine.spec.objectives import BITS, SCORE, TOKEN_NATS, Objective
from engine.spec.study import StudySpec
from engine.studies.corpora import opened
from engine.tasks import shelf
from engine.tasks.cut import cut
from engine.tasks.reading import CorpusReader
from engine.tasks.task import EvalTask, Sampling
from store import corpora, studies
from store.database import Store


def objectives_in(store: Store, spec: StudySpec, domains: list[str], reference: str) -> list[Objective]:
    """What a study of these settings measures: on domains and tasks, against a reference for flips, and of merges by
    evaluators. Raises Problem for a task that they cannot score."""
    asked = [task for task, _ in asked_of(store.workspace.root, spec.tasks)]
    found = objectives_of(spec.metrics, domains, asked)
    if only_ids(store, spec.corpus):
        if asked:
            raise Problem(f"Cannot measure {asked[0].name!r} on the corpus {spec.corpus!r}. {UNREAD}")
        found = [replace(one, unit=TOKEN_NATS) if one.unit == BITS else one for one in found]
    if asked and spec.fidelity is not None and spec.corpus is not None:
        check_fit(asked, CorpusReader(opened(store, spec.corpus), spec.fidelity.context))
    flips = flips_of(reference, [(task.name, len(task.items)) for task in asked]) if spec.flips else []
    evaluators = spec.merge.evaluators if spec.merge else {}
    told = [
        Objective(metric, unit=SCORE, higher_is_better=way == HIGHER)
        for metrics in evaluators.values()
        for metric, way in metrics.items()
    ]
    taken = {one.metric for one in found}
    if twice := [one.metric for one in [*flips, *told] if one.metric in taken]:
        raise Problem(f"Cannot measure {twice[0]!r} twice: a domain or task has that name. Give that another name.")
    return found + flips + told


def only_ids(store: Store, corpus: str | None) -> bool:
    """Whether nothing but numbers is known of the tokens of a corpus."""
    manifest = None if corpus is None else corpora.manifest(store, corpus)
    return manifest is not None and manifest["tokenizer"]["type"] == "ids"


@dataclass(frozen=True)
class How:
    """How a task is measured: private: none of its text is shown; metrics: by which, None for those that its items
    are usually scored by; sampling: fields of engine.tasks.task.Sampling that are not its own; apart: a blank is put
    between prompts and answers that would be read as one word."""

    private: bool = False
    metrics: Sequence[str] | None = None
    sampling: Mapping[str, object] | None = None
    apart: bool = False


def add(store: Store, task: EvalTask, how: How = How()) -> EvalTask:
    """Add a task. Raises Problem if it cannot be measured, or the name is taken by another."""
    need("operator", "add a task")
    asked = {**task.sampling.to_dict(), **(how.sampling or {})}
    task = replace(
        task,
        private=task.private or how.private,
        metrics=list(how.metrics or task.metrics),
        sampling=Sampling.read(asked, "how answers are generated"),
    )
    task = task.apart() if how.apart else task
    item_metrics(task)  # raises if one cannot be measured
    if "best_of_n" in task.metrics:
        check_verifier(task.sampling.verifier, store.workspace.root)
    shelf.save(store.workspace.root, task)
    return task


def cut_from(store: Store, name: str, corpus: str, domain: str, kind: str, count: int, seed: int) -> EvalTask:
    """A task of items that are cut from a corpus' validation text."""
    return cut(opened(store, corpus), domain, kind, name, count, seed)


def used_by(store: Store, name: str) -> list[str]:
    """The names of the studies that measure a task."""
    return [study.name for study in studies.all_studies(store) if name in study.spec.get("tasks", ())]


def is_private(store: Store, task: EvalTask) -> bool:
    """Whether none of its text may be shown: it is private itself, or the corpus that it was cut from is now."""
    return task.private or (task.corpus is not None and corpora.is_private(store, task.corpus))


def remove(store: Store, name: str) -> None:
    """Delete a task, also one that is damaged. Raises Problem while studies measure it: their runs could not be
    compared any more."""
    need("operator", "remove a task")
    if users := used_by(store, name):
        raise Problem(f"Cannot remove the task {name!r}: {users[0]!r} measures it. Delete that study first.")
    shelf.check_there(store.workspace.root, name)
    shelf.file_of(store.workspace.root, name).unlink()
