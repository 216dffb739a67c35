"""Tasks: questions that models answer, what runs and harnesses scored on them, and two runs' answers side by side."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import tasks as charts
from dashboard.models.wording import steering, unfit
from dashboard.server import state
from dashboard.views.measure import harness, samples, task_overlap, task_steering
from dashboard.views.measure.new_task import new_task
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.choice import choose
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.finding import asked
from dashboard.views.shared.plot import plot
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.study import study_of
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.metrics import ITEM_METRICS
from engine.spec.kinds.overlap import TaskOverlap
from engine.spec.objectives import Objective
from engine.studies import task_scores, tasks
from engine.studies.measured import aggregate_of
from engine.studies.steering import warnings
from engine.tasks import shelf
from engine.tasks.task import EvalTask
from store import runs, studies

ACTS = "tasks"
SHOWN = 20  # items at once


def render(name: str | None) -> None:
    head, button = st.columns([5, 1], vertical_alignment="bottom")
    head.title("Tasks")
    style = {"type": "primary", "icon": ":material/add:", "width": "stretch"}
    if button.button("New task", **style, **needs_role("operator")) or asked("new-task"):
        new_task()
    st.caption(
        "A task is a set of questions with known answers. Every model of a study answers all of them, either by "
        "choosing the most likely of some answers or by generating one. A new study names the tasks that it measures; "
        "they count in the mean only if you give them a priority."
    )
    show_refusal(ACTS)
    study = study_of(name) if name else None
    if study is not None and study.elsewhere:
        samples.ask(study)
    if study is not None and (own := task_scores.tasks_of(state.store(), study)):
        of_study(study, own)
    known = shelf.names(state.store().workspace.root)
    if not known:
        nothing_yet("No tasks yet. Add one from a file, by a rule, or from a corpus.", studies="To the studies")
    else:
        st.header("All tasks", anchor=False)
        one_task(known)
    harness.render()


def of_study(study: studies.Study, own: list[str]) -> None:
    """The scores of a study's runs on one of its tasks, what two runs answered, and what can be steered."""
    st.header(f"In {plain(study.name)}", anchor=False)
    for words in warnings(state.store(), study, aggregate_of(state.store(), study)):
        st.warning(plain(words), icon=":material/casino:")
    st.subheader("Scores", anchor=False)
    task = choose(st, "Task", {one: one for one in own}, "task-of-study", link="task")
    found = task_scores.scored(state.store(), study, task)
    measured_here = not study.elsewhere and any(one.task == task for one in study.objectives)
    there, only = task_overlap.ask(study, task) if measured_here else (None, False)
    unscored = runs.without_values(state.store(), study.id)
    for one in found:
        known = np.isfinite(one.values)
        title, unit = one.objective.metric, one.objective.unit
        st.markdown(f"#### {plain(title)}")
        for why, lacking in unscored.get(study.metrics.index(title), {}).items():
            words = f"{counted(lacking, 'finished run')} without this score: {why}"
            st.warning(plain(words), icon=":material/rule:")
        if not known.any():
            st.caption("No run has finished yet." if not study.done else "No run has this score.")
            continue
        labels = [run for run, there in zip(one.ids, known, strict=True) if there]
        own = task_overlap.without(one, there) if only else None
        part = None if own is None else (own[0][known], own[1][known])
        figure = charts.scores(labels, one.values[known], one.errors[known], one.objective.chance, title, unit, part)
        plot(figure, key=f"scores-{title}")
        better = "Higher" if one.objective.higher_is_better else "Lower"
        st.caption(
            f"{says(one.objective)}{counted(int(known.sum()), 'run')}, {counted(one.objective.items or 0, 'item')}. "
            f"{better} is better. Bars are 95% over items. {steering(one.readiness) if study.kind == 'mixture' else ''}"
        )
        task_overlap.best_gain(one, there)
        task_steering.linked(study, one)
        task_steering.over_size(study, one)
    answers(study, task, found, there)
    task_steering.readiness(study)  # below what is read first, also on a phone
    task_steering.together(study)


def says(objective: Objective) -> str:
    """What a score is, in a sentence and a blank after it; nothing of what only a harness' file names."""
    found = [one.says for one in ITEM_METRICS.values() if one.label(str(objective.task)) == objective.metric]
    return f"{found[0]} " if found else ""


def answers(study: studies.Study, task: str, scored: list[task_scores.Scored], there: TaskOverlap | None) -> None:
    """What two runs answered to the same items, and what is left of the one's gain without those in training text."""
    st.subheader("Answers of two runs", anchor=False)
    measured_here = not study.elsewhere and scored
    ids = scored[0].ids if measured_here else task_scores.answered(state.store(), study, task)
    if len(ids) < 2:
        st.caption("This takes two finished runs.")
        return
    left, right = st.columns(2)
    titles = titles_of(study, ids)
    one = choose(left, "Run", titles, "answers-one", link="one", start=ids[0])
    other = choose(right, "Compare with", titles, "answers-other", link="other", start=ids[1])
    for metric in scored if there is not None and there.standing else ():
        task_overlap.gain(metric, there, other, one)
    try:
        for run in dict.fromkeys((one, other)):
            if said := unfit(*task_scores.unfit(state.store(), task, run)):
                st.caption(f"{plain(run)}: {said}")
        found = task_scores.side_by_side(state.store(), task, one, other)
    except Problem as problem:
        refusal(problem)
        return
    only = st.toggle("Only items with different scores", key="answers-differ")
    rows = [item for item in found if item.change] if only else found
    better, worse = (sum(item.change == sign for item in found) for sign in (1, -1))
    st.caption(
        f"Of {counted(len(found), 'item')}, {plain(other)} answers {better} better and {worse} worse than "
        f"{plain(one)}. Shown: {min(SHOWN, len(rows))} of {len(rows)}."
    )
    if not rows:
        st.caption("Both runs have the same score on every item.")
        return
    st.dataframe(table_of(rows[:SHOWN], one, other), hide_index=True)


def titles_of(study: studies.Study, ids: list[str]) -> dict[str, str]:
    """Runs by id, as people read them: with the label that a run has, such as that of a baseline."""
    rows = runs.table(state.store(), study.id).select(["id", "label"]).to_pylist()
    labels = {row["id"]: row["label"] for row in rows if row["label"]}
    return {run: f"{run} ({labels[run]})" if run in labels else run for run in ids}


def table_of(items: list[task_scores.Answered], one: str, other: str) -> pd.DataFrame:
    """Items with what two runs answered, and their scores."""
    return pd.DataFrame(
        [
            {
                "question": item.prompt[-400:],
                "right answer": " | ".join(item.right),
                one: item.answers[0],
                f"score of {one}": item.scores[0],
                other: item.answers[1],
                f"score of {other}": item.scores[1],
            }
            for item in items
        ]
    )


def one_task(known: list[str]) -> None:
    """A task, its settings and some of its items."""
    store = state.store()
    name = choose(st, "Show", {one: one for one in known}, "task-shown", link="show")
    users = tasks.used_by(store, name)
    try:
        about(shelf.load(store.workspace.root, name), users)
    except Problem as problem:
        refusal(problem)
    if not users and st.button("Remove", icon=":material/delete:", key=f"remove-{name}", **needs_role("operator")):
        act(ACTS, lambda: tasks.remove(store, name))


def about(task: EvalTask, users: list[str]) -> None:
    """What a task measures, which studies use it, and its first items."""
    metrics = ", ".join(metric.replace("_", " ") for metric in task.metrics)
    st.caption(
        f"{counted(len(task.items), 'item')}; {metrics}; {plain(task.source)}. "
        + (f"Measured by {plain(', '.join(users))}." if users else "No study measures it yet.")
    )
    for note in task.notes:
        st.warning(plain(note), icon=":material/rule:")
    if tasks.is_private(state.store(), task):
        st.caption(":material/lock: This task is private: none of its text is shown.")
    else:
        rows = [
            {
                "question": item.prompt[-400:],
                "right answer": " | ".join(item.right),
                "choices": " | ".join(item.choices),
            }
            for item in task.items[:SHOWN]
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
        st.caption(f"The first {len(rows)} of {counted(len(task.items), 'item')}.")
