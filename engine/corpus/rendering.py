"""Own data: the jinja of templates, in a sandbox; and the process in which templates from outside run."""

import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.corpus.document import Written
from engine.corpus.templates import MEMORY, Refused, TooMuch, Turn

OPENS, CLOSES = "\0<", "\0>"  # around what the model says: no text of a corpus holds a zero byte
MARK = re.compile("\0[<>]")
TAG = re.compile(r"{%[-+]?\s*generation\b")
MOST_TEXT, TIMES = 1_000_000, 4  # characters that a conversation may become, beside so many times its own


class Generation(Extension):
    """`{% generation %}`: what stands in it, the model says."""

    tags: ClassVar = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller: Any) -> str:
        return f"{OPENS}{caller()}{CLOSES}"


@cache
def environment() -> ImmutableSandboxedEnvironment:
    """The sandbox. What is constant in a template is worked out while it is read, also where it is not optimised."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.globals["raise_exception"] = _raise
    return made


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


class Template:
    """A template in this process. Raises jinja2.TemplateError if it cannot be read."""

    def __init__(self, source: str) -> None:
        self.template = environment().from_string(source)
        self.marks = TAG.search(source) is not None

    def __call__(self, turns: Sequence[Turn]) -> Written:
        try:
            found = self._marked(turns) if self.marks else self._by_prefix(turns)
        except Refused:
            raise
        except MemoryError:
            raise TooMuch(f"the template needs more than {MEMORY >> 30} GB for it") from None
        except RecursionError:
            raise Refused("the template calls itself too often") from None
        except Exception as error:  # what a template does with values that it did not expect is anything
            raise Refused(f"the template says: {str(error).splitlines()[0][:200] if str(error) else 'no'}") from error
        if sum(end - start for start, end in found.context) == len(found.text):
            raise Refused("the template writes nothing that the model says")
        return found

    def _text(self, turns: Sequence[Turn], prompt: bool = False) -> str:
        """What the template writes, no further than it makes sense."""
        most = MOST_TEXT + TIMES * sum(len(str(value)) for turn in turns for value in turn.values())
        parts, size = [], 0
        for part in self.template.generate(messages=list(turns), add_generation_prompt=prompt):
            parts.append(part)
            if (size := size + len(part)) > most:
                raise TooMuch(f"the template writes more than {most:,} characters for it")
        return "".join(parts)

    def _marked(self, turns: Sequence[Turn]) -> Written:
        parts = MARK.split(marked := self._text(turns))
        if [mark[1] for mark in MARK.findall(marked)] != ["<", ">"] * (len(parts) // 2):
            raise Refused("the template has one {% generation %} inside another")
        return joined(parts)

    def _by_prefix(self, turns: Sequence[Turn]) -> Written:
        """What the text gains by each answer."""
        whole, parts, done = self._text(turns), [], 0
        for place, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            before, after = self._text(turns[:place], prompt=True), self._text(turns[: place + 1])
            if not (after.startswith(before) and whole.startswith(after) and len(before) >= done):
                raise Refused(
                    "the template writes what came before otherwise once more follows, so that answers cannot be told "
                    "from the rest: put {% generation %} around them"
                )
            parts += [whole[done : len(before)], whole[len(before) : len(after)]]
            done = len(after)
        return joined([*parts, whole[done:]])


def joined(parts: Sequence[str]) -> Written:
    """A text of parts that are read and that the model says, in turn."""
    context, at = [], 0
    for place, part in enumerate(parts):
        if place % 2 == 0 and part:
            context.append((at, at + len(part)))
        at += len(part)
    return Written("".join(parts), tuple(context))


def main() -> None:
    """The process: an empty question, then a template, then a conversation on each line; an answer for every line."""
    with suppress(ImportError, ValueError, OSError):  # where a system has no such limit, seconds are one
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    template = None
    for line in sys.stdin.buffer:
        question, answer = json.loads(line), {}
        try:
            if "template" in question:
                template = read(question["template"])
            elif template is not None:
                answer = template(question["messages"])._asdict()
        except Refused as refused:
            answer = {"fault": str(refused), "too_much": isinstance(refused, TooMuch)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def read(source: str) -> Template:
    """A template from outside. Raises Refused, with the reason, where it cannot be read."""
    try:
        return Template(source)
    except MemoryError:
        raise TooMuch(f"reading it needs more than {MEMORY >> 30} GB") from None
    except Exception as error:  # a number of too many digits, a nesting too deep, a constant that cannot be worked out
        raise Refused(str(error).splitlines()[0][:300] if str(error) else "it cannot be read") from error


if __name__ == "__main__":
    main()
