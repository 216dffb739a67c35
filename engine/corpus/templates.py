"""Own data: how a conversation is written out as text, and which of that text the model itself says.

A template is jinja, as tokenizers have it: it sees `messages` and `add_generation_prompt`, and may mark what the model
says by `{% generation %}`, as transformers does. Where it does not, each answer is what the text gains by it, which
needs that a template writes what came before as it did without the answer.

Templates from outside are read and run in a sandbox, and in a process of their own: no loop and no string of theirs
takes the reader's time or memory. Reading alone works out what is constant in one, such as 'x' * 10**10.
"""

import json
import selectors
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, Protocol

from engine.core.errors import Problem
from engine.corpus.document import Written

Turn = dict[str, Any]  # "role", "content", and what else a message has

CHATML = """\
{% for turn in messages %}<|im_start|>{{ turn.role }}
{% if turn.role == "assistant" %}{% generation %}{{ turn.content }}<|im_end|>
{% endgeneration %}{% else %}{{ turn.content }}<|im_end|>
{% endif %}{% endfor %}"""
ALPACA = """\
{% for turn in messages %}{% if turn.role == "assistant" %}### Response:
{% generation %}{{ turn.content }}

{% endgeneration %}{% elif turn.role == "system" %}{{ turn.content }}

{% else %}### Instruction:
{{ turn.content }}

{% endif %}{% endfor %}"""
PLAIN = """\
{% for turn in messages %}{% if turn.role == "assistant" %}{% generation %}{{ turn.content }}
{% endgeneration %}{% else %}{{ turn.content }}
{% endif %}{% endfor %}"""
TEMPLATES = {"chatml": CHATML, "alpaca": ALPACA, "plain": PLAIN}

LONGEST = 100_000  # characters of a template
SECONDS, MEMORY, STARTING = 10, 1 << 30, 120  # a conversation may take; the process has; its start may take
# A template is given up after so many conversations that took too much, and one more for each PER that it has written:
# so a few odd ones among many cost no others.
GIVEN_UP, PER = 3, 1000
SLOW = 2.0  # seconds of a refusal that took too much, whatever its reason


class Refused(Exception):
    """A template cannot write a conversation; the message says why."""


class TooMuch(Refused):
    """It wrote without end, or took all the memory that it has."""


class Writes(Protocol):
    """What writes conversations out. Raises Refused for one that it cannot write."""

    def __call__(self, turns: Sequence[Turn]) -> Written: ...


def check_template(template: str) -> None:
    """Raise Problem unless `template` names one of ours, or is one that can be read."""
    if template in TEMPLATES:
        return
    if len(template) > LONGEST:
        raise Problem(f"Cannot use a template of {len(template):,} characters: at most {LONGEST:,} are read.")
    if "{" not in template:
        raise Problem(
            f"Cannot find the template {template[:80]!r}. Choose one of {', '.join(TEMPLATES)}, or give the text of a "
            "jinja template, such as a tokenizer's chat_template."
        )
    if fault := fault_of(template):
        raise Problem(f"Cannot read the template: {fault}. Give a jinja template that sees `messages`.")


@lru_cache(maxsize=64)
def fault_of(template: str) -> str:
    """Why a template from outside cannot be read; "" if it can."""
    reader = Apart(template)
    try:
        reader.start()
    except Refused as refused:
        return str(refused)
    finally:
        reader.close()
    return ""


def writer(template: str) -> Writes:
    """What writes conversations by a template: one of ours here, one from outside in a process of its own."""
    if template not in TEMPLATES:
        return Apart(template)
    from engine.corpus.rendering import Template

    return Template(TEMPLATES[template])


class Apart:
    """A template in a process of its own, which is ended where a conversation takes too long. A template that takes too
    much for several is given up."""

    def __init__(self, template: str) -> None:
        self.template, self.odd, self.written = template, 0, 0
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, turns: Sequence[Turn]) -> Written:
        if self.odd >= GIVEN_UP + self.written // PER:
            raise Refused(
                f"the template took too much time, text or memory for {self.odd} others: it is not asked again"
            )
        child, began = self.start(), monotonic()
        answer = self._asked(child, {"messages": list(turns)}, SECONDS)
        if answer is None:
            self.odd += 1
            raise Refused(f"the template takes more than {SECONDS} seconds, or ends its process")
        if "fault" in answer:
            self.odd += answer["too_much"] or monotonic() - began > SLOW
            raise Refused(answer["fault"])
        self.written += 1
        return Written(answer["text"], tuple((start, end) for start, end in answer["context"]))

    def start(self) -> "subprocess.Popen[bytes]":
        """The process, which has read the template. Raises Refused where it cannot, and Problem without a process."""
        if self.child is None:
            child = self.child = subprocess.Popen(
                [sys.executable, "-m", "engine.corpus.rendering"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if self._asked(child, {}, STARTING) is None:
                raise Problem("Cannot start the process that a template runs in. The machine may be out of memory.")
            answer = self._asked(child, {"template": self.template}, SECONDS)
            if answer is None or "fault" in answer:
                self.close()
                raise Refused(answer["fault"] if answer else f"reading it takes more than {SECONDS} seconds")
        return self.child

    def _asked(self, child: "subprocess.Popen[bytes]", question: Turn, seconds: float) -> Turn | None:
        """The answer to a line; None, and the process has ended, where it does not come."""
        line = b""
        try:
            child.stdin.write(json.dumps(question).encode() + b"\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
                line = child.stdout.readline() if selector.select(seconds) else b""  # type: ignore[union-attr]
        except BrokenPipeError:
            pass
        if line.endswith(b"\n"):
            found: Turn = json.loads(line)
            return found
        self.close()
        return None

    def close(self) -> None:
        """End the process."""
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None

    __del__ = close
