"""Rows that are no finished runs: their state says so, or is one that nobody knows here, which is asked."""

import re
from collections import Counter

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.names import kind_of, leaf
from engine.importing.questions import Question
from engine.importing.tables import Table, text_of

FAILED = {
    *("crashed", "crash", "failed", "fail", "failure", "killed", "pruned", "running", "waiting", "scheduled", "queued"),
    *("cancelled", "canceled", "preempted", "preempting", "timeout", "timed", "error", "aborted", "interrupted"),
    *("pending", "deleted", "lost", "oom", "nan", "diverged", "unfinished", "incomplete"),
}
FINISHED = {"finished", "complete", "completed", "success", "succeeded", "successful", "done", "ok", "passed"}
SAYS = ("state", "status", "outcome")  # columns that say it in a word
YES, NO = {"true", "yes", "1"}, {"false", "no", "0"}
BAD = re.compile(  # columns whose yes is a failure
    r"(is_)?(failed|crashed|diverged|oom|(in|un)usable|invalid|excluded?|discard(ed)?|ignored?|skipped|outlier|"
    r"unfinished|broken)|(is|run)_bad|bad_run",
    re.I,
)
COUNT = re.compile(r"\d+(\.\d*)?")
CODE = re.compile(r"(exit|return)_?(code|status)", re.I)  # columns whose 0 is none
ENUM = re.compile(r"^\w+\.(?=\w+$)")  # TrialState.COMPLETE
FEW = 8  # states that nobody knows here: with more of them the column tells something else


def without_failed(table: Table, answers: dict[str, str]) -> tuple[Table, list[str], list[Question]]:
    """The table without the rows whose state says that they did not finish, what was left out, and what is asked.

    Raises Problem where no row is left.
    """
    dropped: list[str] = []
    asked: list[Question] = []
    for column in [name for name in table.columns if kind_of(name) == "state"]:
        states = [ENUM.sub("", text_of(cell).lower()) for cell in table.columns[column]]
        if _counts(leaf(column), states):
            continue
        verdicts = [has_ended(leaf(column), state) for state in states]
        if question := _question(table, column, states, verdicts):
            asked.append(question)
            if question.answer(answers) == "leave out":
                verdicts = [bool(verdict) for verdict in verdicts]
        kept = [place for place, verdict in enumerate(verdicts) if verdict is not False]
        if len(kept) == len(table):
            continue
        lost = [place for place, verdict in enumerate(verdicts) if verdict is False]
        why = listed(sorted({states[place] or "nothing" for place in lost}))
        if not kept:
            raise Problem(f"Cannot import {table.name}: no row is finished: column {column!r} says {why} in every one.")
        lines = [str(table.lines[place]) for place in lost]
        rows = f"rows {listed(lines, 8)}" if len(lost) > 1 else f"row {lines[0]}"
        dropped.append(f"{rows} of {table.name}: column {column!r} says {why}")
        table = table.only(kept)
    return table, dropped, asked


def has_ended(column: str, state: str) -> bool | None:
    """Whether a run with this state is finished; None where the word does not tell. column: what says so."""
    if column.lower() not in SAYS:
        if CODE.fullmatch(column) and re.fullmatch(r"-?\d+", state):
            return int(state) == 0
        if state in YES | NO:
            return (state in YES) != bool(BAD.fullmatch(column))
    word = re.match(r"[a-z]*", state)
    first = word[0] if word else ""
    return False if first in FAILED else True if first in FINISHED else None


def _counts(column: str, states: list[str]) -> bool:
    """Whether a column that could say yes or no counts something: skipped batches, ignored tokens."""
    says = column.lower() in SAYS or CODE.fullmatch(column)
    return not says and any(COUNT.fullmatch(state) and state not in YES | NO for state in states)


def _question(table: Table, column: str, states: list[str], verdicts: list[bool | None]) -> Question | None:
    """What is asked about states that nobody knows, where others are known to be finished; else None."""
    unknown = Counter(state for state, verdict in zip(states, verdicts, strict=True) if verdict is None and state)
    if True not in verdicts or not 0 < len(unknown) <= FEW:
        return None
    said = listed([f"{state!r} ({count} of {len(states)} rows)" for state, count in unknown.most_common()])
    options = {"leave out": "no: these rows are left out", "keep": "yes: they are runs like the others"}
    return Question("state", f"Column {column!r} of {table.name} says {said}. Are these runs finished?", options)
