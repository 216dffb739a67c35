"""The frame of metrics of tasks: what models' answers to items become.

A metric scores every item; the scores become one value per task, with its standard error by resampling the items.
Items that do not fit a model's context are left out, and counted. G models, I items of up to C choices, S samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.metrics.models import Models, Question, Reader, nats_of, question
from engine.metrics.verifiers import try_verifier, verdicts
from engine.spec.statistics import first_lowest
from engine.tasks.outcomes import Outcome
from engine.tasks.task import EvalTask, Item

RESAMPLES, FEWEST = 200, 2  # draws of items; items that a score takes
SCORES = ("accuracy", "fraction of items")  # units of a part of the items, which a task's low and high are of
NORMALISED = "normalised score"  # the unit of one that is told between them


class Answers:
    """What models answer to the items of a task; each kind of answer is asked for once, if a metric needs it."""

    def __init__(
        self,
        task: EvalTask,
        models: Models,
        workspace: Path | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.task, self.models, self.workspace, self.beat = task, models, workspace, beat

    @cached_property
    def questions(self) -> list[list[Question]]:
        """[I][C] each item's choices as tokens after its prompt; where it has none, its right answer."""
        return [questions_of(self.models, item) for item in self.task.items]

    @cached_property
    def fits(self) -> np.ndarray:
        """(I,) whether all of an item's answers fit the context."""
        both = zip(self.task.items, self.questions, strict=True)
        return np.array([fits(self.models, item, own) for item, own in both])

    @property
    def cut(self) -> int:
        """How many items lose the beginning of their prompt, since it does not fit the context."""
        return sum(any(one.cut for one in own) for own in self.questions)

    @cached_property
    def nats(self) -> np.ndarray:
        """(G, I, C) the loss of every answer in `questions`; NaN beyond an item's, and where one does not fit."""
        asked = [(i, c) for i, own in enumerate(self.questions) if self.fits[i] for c in range(len(own))]
        found = np.full((self.models.members, len(self.questions), max(map(len, self.questions))), np.nan)
        if asked:
            rows, columns = np.array(asked).T
            found[:, rows, columns] = nats_of(self.models, [self.questions[i][c] for i, c in asked])
        return found

    @cached_property
    def gold(self) -> np.ndarray:
        """(G, I) the loss in nats of each item's right answer."""
        places = [item.choices.index(item.gold) if item.gold in item.choices else None for item in self.task.items]
        if None not in places or not any(item.choices for item in self.task.items):
            found: np.ndarray = np.take_along_axis(
                self.nats, np.array([place or 0 for place in places])[None, :, None], -1
            )
            return found[..., 0]
        asked = [question(self.models, item.prompt, item.gold) for item in self.task.items]
        return nats_of(self.models, asked)

    @cached_property
    def greedy(self) -> list[list[str]]:
        """[G][I] how each model continues its prompt by the most likely tokens, up to the first text that stops it."""
        return self._generated([item.prompt for item in self.task.items], 0.0)

    @cached_property
    def samples(self) -> list[list[list[str]]]:
        """[G][I][S] answers drawn at the task's temperature."""
        count = self.task.sampling.samples
        prompts = [item.prompt for item in self.task.items for _ in range(count)]
        drawn = self._generated(prompts, self.task.sampling.temperature)
        return [[own[at : at + count] for at in range(0, len(own), count)] for own in drawn]

    def _generated(self, prompts: Sequence[str], temperature: float) -> list[list[str]]:
        asked = self.task.sampling
        rows = [[*self.models.begin, *self.models.encode(prompt)] for prompt in prompts]
        ends = lambda text: any(stop in text for stop in asked.stop)  # noqa: E731
        drawn = self.models.generate(rows, asked.most_tokens, temperature, 0, ends)
        return [[until(text, asked.stop) for text in own] for own in drawn]

    @cached_property
    def verdicts(self) -> np.ndarray:
        """(G, I, S) what the task's verifier says of each sample."""
        return verdicts(self.task, self.samples, self.workspace, self.beat)

    def chosen(self) -> list[list[str]]:
        """[G][I] what each model answers, as text: its choice where there are choices, else what it generates, if that
        was asked for."""
        if any(item.choices for item in self.task.items):
            return self.lowest(self.nats)
        if "greedy" in self.__dict__:
            return self.greedy
        return [[""] * len(self.task.items)] * self.models.members

    def lowest(self, values: np.ndarray) -> list[list[str]]:
        """[G][I] the choice with the lowest value (G, I, C), the first of tied ones; "" where none is known."""
        places, known = first_lowest(values).tolist(), np.isfinite(values).any(-1).tolist()
        return [
            [item.choices[c] if fine else "" for item, c, fine in zip(self.task.items, own, fits, strict=True)]
            for own, fits in zip(places, known, strict=True)
        ]


def questions_of(models: Reader, item: Item) -> list[Question]:
    """[C] an item's choices as tokens after its prompt; where it has none, its right answer."""
    return [question(models, item.prompt, text) for text in item.choices or [item.gold]]


def fits(models: Reader, item: Item, questions: Sequence[Question]) -> bool:
    """Whether all of an item's answers fit the context, also the right one where it is none of its choices."""
    if any(one.ids is None for one in questions):
        return False
    return not item.choices or item.gold in item.choices or question(models, item.prompt, item.gold).ids is not None


def first(scores: np.ndarray) -> np.ndarray:
    """(G, I, K) -> (G, I): the first number of each item."""
    found: np.ndarray = scores[..., 0]
    return found


@dataclass(frozen=True)
class ItemMetric:
    """name: in files of tasks; says: what its value is, in a sentence for whoever has never met it; unit; needs: what
    each item must have, in words, and whether it has it; score: of every item, (G, I) or, where the value needs more
    than one number of each, (G, I, K), NaN for an item that was left out; value: of the scores of kept items; chance:
    what guessing scores, None where that means nothing; answer: the texts that it scores, [G][I], as pages show them;
    item: of the scores (G, I, K), how well each item was answered (G, I), higher is better: what pages show of it, and
    what two models differ in."""

    name: str
    says: str
    unit: str
    higher_is_better: bool
    needs: tuple[str, Callable[[EvalTask], bool]]
    score: Callable[[Answers], np.ndarray]
    value: Callable[[np.ndarray, EvalTask], np.ndarray]
    chance: Callable[[EvalTask], float | None]
    answer: Callable[[Answers], list[list[str]]] = Answers.chosen
    item: Callable[[np.ndarray], np.ndarray] = first

    @property
    def title(self) -> str:
        """The name as pages show it."""
        return self.name.replace("_", " ")

    def label(self, task: str) -> str:
        """What its value on a task is called."""
        return f"{task} {self.title}"


def mean(scores: np.ndarray, task: EvalTask) -> np.ndarray:
    """(G, I) -> (G,): the mean over items."""
    found: np.ndarray = scores.mean(1)
    return found


def measured(metric: ItemMetric, answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The value of each model and its standard error by resampling items, (G,) each, and the scores of every item.

    Raises Problem where fewer than two items fit the context.
    """
    task, scores = answers.task, metric.score(answers)
    kept = answers.fits
    if kept.sum() < FEWEST:
        raise Problem(too_long(task, int(kept.sum()), answers.models.context))
    value, error = valued(metric, scores, kept, task)
    return value, error, scores


def too_long(task: EvalTask, fit: int, context: int) -> str:
    """Why a task cannot be measured of which too few items fit the context, in words."""
    return (
        f"Cannot measure the task {task.name!r}: {fit} of its {len(task.items)} items fit the context of {context} "
        "tokens. Use models of a longer context, or shorter items."
    )


def valued(
    metric: ItemMetric, scores: np.ndarray, kept: np.ndarray, task: EvalTask, gap: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The values and standard errors (G,) of models whose items have these scores, (G, I) or (G, I, K), by the items
    kept (I,); gap: of each model less the first one, over the same resampled items."""
    own = scores[:, kept]
    lost = ~np.isfinite(own).reshape(len(own), -1).all(1)  # models whose losses are not numbers
    own = np.nan_to_num(own)
    drawn = np.random.default_rng(0).integers(own.shape[1], size=(RESAMPLES, own.shape[1]))
    values, again = metric.value(own, task), np.stack([metric.value(own[:, rows], task) for rows in drawn])
    low, high = ends_of(metric, task) or (0.0, 1.0)
    scale = 1 / (high - low)
    if gap:
        values, again, low, lost = values - values[0], again - again[:, :1], 0.0, lost | lost[0]
    return np.where(lost, np.nan, (values - low) * scale), np.where(lost, np.nan, again.std(0) * abs(scale))


def ends_of(metric: ItemMetric, task: EvalTask) -> tuple[float, float] | None:
    """The task's low and high, for a metric that is told between them: they are of its score, not of bits or a
    calibration; None for others."""
    if task.low is None or task.high is None or metric.unit not in SCORES:
        return None
    return task.low, task.high


def until(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of the texts that stop it."""
    return text[: min([len(text), *(text.find(stop) for stop in stops if stop in text)])]


Asked = tuple[EvalTask, Sequence[ItemMetric]]  # a task, and what is measured on it


@dataclass(frozen=True)
class TaskValues:
    """What G models score on tasks, in the order of engine.metrics.objectives_of: values and standard errors (G, M);
    outcomes: of each model, by task; unscored: why no model has a score of a task, whose values are NaN and whose
    outcomes lack."""

    values: np.ndarray
    errors: np.ndarray
    outcomes: list[dict[str, Outcome]]
    unscored: dict[str, str]

    def missing(self, tasks: Sequence[Asked]) -> dict[str, str]:
        """The metrics that are NaN for everybody, by name, and why."""
        return {
            metric.label(task.name): self.unscored[task.name]
            for task, own in tasks
            if task.name in self.unscored
            for metric in own
        }


def check_fit(tasks: Sequence[EvalTask], models: Reader) -> None:
    """Raise Problem for a task of which too few items fit the context."""
    for task in tasks:
        fitting = (one for one in task.items if fits(models, one, questions_of(models, one)))
        if (fit := len([*islice(fitting, FEWEST)])) < FEWEST:
            raise Problem(too_long(task, fit, models.context))


def check_tasks(
    asked: Sequence[Asked], models: Reader, workspace: Path, beat: Callable[[], None] = lambda: None
) -> list[str]:
    """What to be told of tasks before models are trained or merged for them, a sentence each.

    Raises Problem where too few items fit the context, or a verifier fails on a right answer: what can be known before
    may not cost the work.
    """
    check_fit([task for task, _ in asked], models)
    said = []
    for task, metrics in asked:
        if task.as_written and (long := sum(_never_written(task, item, models) for item in task.items)):
            said.append(
                f"In {long} of {len(task.items)} items of {task.name!r} the right answer is longer than the "
                f"{task.sampling.most_tokens} tokens that a model writes: it scores 0. Add the task again with more "
                "tokens for an answer."
            )
        if any(metric.name == "best_of_n" for metric in metrics) and try_verifier(task, workspace, beat) == 0:
            said.append(
                f"The verifier {task.sampling.verifier!r} gives the right answer to the first item of {task.name!r} a "
                "0. Is it meant for this task?"
            )
    return said


def _never_written(task: EvalTask, item: Item, models: Reader) -> bool:
    """Whether every right answer has more tokens than are written of one, alone and after its prompt."""
    most = task.sampling.most_tokens
    if any(len(text.strip().encode()) <= most for text in item.right):
        return False  # a token has a byte at least
    alone = (len(models.encode(text.strip())) for text in item.right)
    after = (len(one.ids or ()) - one.start for one in (question(models, item.prompt, text) for text in item.right))
    return all(min(pair) > most for pair in zip(alone, after, strict=True))


def task_values(
    models: Models, tasks: Sequence[Asked], workspace: Path, tell: Callable[[str], None] = lambda name: None
) -> TaskValues:
    """Measure models by the metrics of tasks. tell: is told the name of each task before it is answered, and while a
    verifier runs; it may raise Stopped.

    A task that cannot be scored, such as one whose verifier fails, takes nothing from the others.
    """
    columns: list[tuple[np.ndarray, np.ndarray]] = []
    outcomes: list[dict[str, Outcome]] = [{} for _ in range(models.members)]
    unscored: dict[str, str] = {}
    for task, metrics in tasks:
        tell(task.name)
        try:
            found, own = one_task(Answers(task, models, workspace, partial(tell, task.name)), metrics)
        except Problem as problem:
            unscored[task.name] = f"No score of the task {task.name!r}. {problem}"
            columns += [(np.full(models.members, np.nan),) * 2] * len(metrics)
            continue
        columns += found
        for outcome, there in zip(own, outcomes, strict=True):
            there[task.name] = outcome
    values = np.stack([value for value, _ in columns], 1) if columns else np.empty((models.members, 0))
    errors = np.stack([error for _, error in columns], 1) if columns else np.empty((models.members, 0))
    return TaskValues(values, errors, outcomes, unscored)


def one_task(
    answers: Answers, metrics: Sequence[ItemMetric]
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[Outcome]]:
    """The values and standard errors of models by the metrics of a task, (G,) each, and what each model answered."""
    found = [measured(metric, answers) for metric in metrics]
    each = [scores.reshape(answers.models.members, len(answers.task.items), -1) for _, _, scores in found]
    each = [np.where(answers.fits[:, None], scores, np.nan) for scores in each]  # (G, I, K)
    well = metrics[0].item(each[0])  # (G, I)
    names = [metric.name for metric in metrics]
    own = [
        Outcome(well[g], said, answers.cut, dict(zip(names, [scores[g] for scores in each], strict=True)))
        for g, said in enumerate(metrics[0].answer(answers))
    ]
    return [(value, error) for value, error, _ in found], own
