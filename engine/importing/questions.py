"""What a table leaves open: asked, with the answers to choose from, and never guessed."""

from dataclasses import dataclass, field
from typing import Any

from engine.core.errors import Problem


@dataclass(frozen=True)
class Question:
    """id: what answers call it; text: what is asked; options: answer -> what it means, the likeliest first.

    default: the answer that counts until somebody gives another; None where nothing is imported before one does.
    """

    id: str
    text: str
    options: dict[str, str]
    default: str | None = None

    def answer(self, answers: dict[str, str]) -> str:
        """The given answer, else the default, else the first option, with which a preview goes on."""
        given = answers.get(self.id)
        if given is not None and given not in self.options:
            raise Problem(
                f"Cannot use {given!r} as the answer to {self.id!r}: choose one of {', '.join(self.options)}."
            )
        return given or self.default or next(iter(self.options))

    def to_dict(self, answers: dict[str, str]) -> dict[str, Any]:
        """As JSON-able values; answer: None while it is open."""
        answer = answers.get(self.id, self.default)
        return {"id": self.id, "text": self.text, "options": self.options, "answer": answer}


@dataclass
class Talk:
    """What is asked, done and left out while tables are read; answers: to the questions, by their ids."""

    answers: dict[str, str]
    questions: list[Question] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def ask(self, question: Question) -> str:
        """The question's answer, as far as there is one: see Question.answer."""
        self.questions.append(question)
        return question.answer(self.answers)


def checked_answers(answers: object) -> dict[str, str]:
    """Answers as text; numbers may be given for options that are numbers. Raises Problem for anything else."""
    if answers is None:
        return {}
    if not isinstance(answers, dict) or not all(isinstance(one, (str, int, float)) for one in answers.values()):
        raise Problem(
            f"Cannot use {answers!r} as answers: give an object of questions and the options that answer them."
        )
    return {str(name): one if isinstance(one, str) else f"{one:.15g}" for name, one in answers.items()}


def refuse_open(questions: tuple[Question, ...], answers: dict[str, str]) -> None:
    """Raise Problem where a question has no answer, or an answer no question."""
    for one in questions:
        if answers.get(one.id, one.default) is None:
            options = "; ".join(f"{name} ({text})" for name, text in one.options.items())
            raise Problem(f"Cannot import before the question {one.id!r} is answered. {one.text} Answers: {options}.")
    known = {one.id for one in questions}
    if astray := [name for name in answers if name not in known]:
        raise Problem(
            f"Cannot use the answer to {astray[0]!r}: this table has no such question"
            f"{': ' + ', '.join(sorted(known)) if known else ''}. Leave it out."
        )
