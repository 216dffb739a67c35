"""Own data: which fields of a record are its text, or a conversation that a template writes out as one.

A text column goes first. Without it, `messages` (role and content), `conversations` (from and value), and pairs such as
instruction and output are read; only what the model says counts in their losses.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from engine.core.short_names import listed
from engine.corpus.document import PIECE_BYTES, Written
from engine.corpus.labels import label_of
from engine.corpus.templates import Refused, Turn, Writes, writer

TEXT, TEMPLATE = "text", "chatml"  # unless another column, or template, is asked for
EMPTY = "empty"
TURNS = ("messages", "conversations", "conversation")
PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("instruction", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("query", "response"),
    ("input", "output"),
)
BESIDE = ("system", "system_prompt", "input", "context", "history")  # fields that a pair may have beside it
ROLES = {"human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
KNOWN = ("system", "user", "assistant", "tool", "developer")
BY = {"role", "from"}  # fields of a message that say whose it is


NOTHING = (None, "", [])  # what a field holds that a record has only because others of its file have it
PREFERENCE = ("chosen", "rejected")
CHOICE = (
    "two answers to prefer between ('chosen', 'rejected'), and nothing says which is to be learned: name one of them "
    "as the text, or write it as 'messages'"
)


class Unsaid(Exception):
    """A record holds no conversation that can be written; the message says why."""


class Fields:
    """What is read of every record: the text in a column, else a conversation by a template; of records that say their
    domain in columns, only those that say `only`."""

    def __init__(
        self,
        column: str = TEXT,
        template: str = TEMPLATE,
        domain: Sequence[str] = (),
        only: tuple[str, ...] = (),
    ) -> None:
        self.column, self.template, self.domain, self.only = column, template, tuple(domain), only
        self._writes: Writes | None = None

    def of(self, only: tuple[str, ...]) -> "Fields":
        """The same for one domain."""
        return Fields(self.column, self.template, self.domain, only) if only else self

    def keeps(self, record: dict[str, Any]) -> bool:
        """Whether a record belongs to the domain."""
        return not self.only or label_of(record, self.domain) == self.only

    def written(self, record: Any) -> tuple[Written, str]:
        """(the text of a record, "") or (nothing, why not). A list of texts is joined by line ends."""
        if not isinstance(record, dict):
            return Written(""), f"not an object but {type(record).__name__}"
        if not self.keeps(record):
            return Written(""), ""
        text = record.get(self.column)
        if isinstance(text, list) and text and all(isinstance(part, str) for part in text):
            text = "\n".join(text)
        if isinstance(text, str) and text:
            return Written(text), ""
        if is_messages(text):
            return self._conversation({self.column: text}, self.column)
        if text in NOTHING and conversation_columns(record):
            return self._conversation(record)
        if self.column in record:
            return Written(""), EMPTY if text in NOTHING else f"{self.column!r} holds no text but {_kind(text)}"
        if set(PREFERENCE) <= record.keys():
            return Written(""), CHOICE
        there = listed([repr(str(name)[:40]) for name in record], 8) or "none"
        return Written(""), f"no text in {self.column!r}; its fields: {there}"

    def _conversation(self, record: dict[str, Any], column: str | None = None) -> tuple[Written, str]:
        """A conversation as text; column: the one field that holds it, where somebody named it."""
        self._writes = self._writes or writer(self.template)
        try:
            found = self._writes(turns_of(record, column))
        except (Refused, Unsaid) as why:
            return Written(""), str(why)
        if len(found.text.encode("utf-8", "replace")) > PIECE_BYTES:
            return Written(""), f"a conversation of more than {PIECE_BYTES:,} bytes"
        return found, ""


def _kind(value: Any) -> str:
    return type(value).__name__


def is_messages(value: Any) -> bool:
    """Whether a field holds messages, each by somebody."""
    return isinstance(value, list) and value != [] and all(isinstance(one, dict) and BY & one.keys() for one in value)


def conversation_columns(names: Iterable[str]) -> list[str]:
    """The fields, of those of a record or table, that hold a conversation; none if there is none. Of a record, those
    that hold something go first: where records of several shapes became one file, each has the fields of all."""
    if isinstance(names, dict) and (found := conversation_columns([k for k, v in names.items() if v not in NOTHING])):
        return found
    there = set(names)
    for one in TURNS:
        if one in there:
            return [one]
    for asked, said in PAIRS:
        if {asked, said} <= there:
            return [asked, said, *(one for one in BESIDE if one in there and one != asked)]
    return []


def conversation_fields(names: Iterable[str]) -> list[str]:
    """The columns of a table that hold conversations of any shape, since its rows may be of several."""
    there = set(names)
    pairs = [name for pair in PAIRS if there.issuperset(pair) for name in pair]
    found = [*TURNS, *pairs, *(BESIDE if pairs else ())]
    return [name for name in dict.fromkeys(found) if name in there]


def turns_of(record: dict[str, Any], column: str | None = None) -> list[Turn]:
    """The messages of a record that has such fields, or that holds them in a column. Raises Unsaid."""
    first, *others = [column] if column else conversation_columns(record)
    turns = _pair(record, first, others) if others else _messages(record[first], first)
    if not any(turn["role"] == "assistant" and turn["content"].strip() for turn in turns):
        raise Unsaid("nobody answers in its conversation")
    return turns


def _pair(record: dict[str, Any], asked: str, others: Sequence[str]) -> list[Turn]:
    """What was asked and said, with what stands beside it."""
    said, beside = others[0], others[1:]
    if isinstance(record[asked], list):  # both are messages
        return _messages(record[asked], asked) + _messages(record[said], said, "assistant")
    turns = []
    for name in ("system", "system_prompt"):
        if name in beside and record[name]:
            turns.append({"role": "system", "content": _text(record[name], name)})
    if "history" in beside and record["history"]:
        turns += _history(record["history"])
    told = [_text(record[asked], asked)]
    told += [_text(record[name], name) for name in ("input", "context") if name in beside and record[name]]
    return [
        *turns,
        {"role": "user", "content": "\n\n".join(told)},
        {"role": "assistant", "content": _text(record[said], said)},
    ]


def _history(value: Any) -> list[Turn]:
    """Earlier pairs, as instruction sets keep them: [[asked, said], ...]."""
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Unsaid("its history is not a list of pairs")
    roles = ("user", "assistant")
    return [
        {"role": role, "content": _text(one, "history")}
        for pair in value
        for role, one in zip(roles, pair, strict=True)
    ]


def _messages(value: Any, name: str, role: str = "user") -> list[Turn]:
    """Messages as they are, with the field's usual names of roles. role: of one that is a bare text."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        raise Unsaid(f"{name!r} holds no messages")
    return [_message(one, name) for one in value]


def _message(one: Any, name: str) -> Turn:
    if not isinstance(one, dict):
        raise Unsaid(f"a message in {name!r} is {_kind(one)}, not an object")
    said = one.get("role", one.get("from"))
    role = ROLES.get(said, said) if isinstance(said, str) else said
    if role not in KNOWN:
        raise Unsaid(f"a message in {name!r} is by {said!r:.40}; known are {', '.join((*KNOWN, *ROLES))}")
    if one.get("tool_calls"):
        raise Unsaid(f"a message in {name!r} calls tools, which are not read")
    content = one.get("content", one.get("value"))
    return {**one, "role": role, "content": _text(content, name)}


def _text(value: Any, name: str) -> str:
    """A text, or the texts of parts. Raises Unsaid."""
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        if others := [part.get("type") for part in value if not isinstance(part.get("text"), str)]:
            raise Unsaid(f"a message in {name!r} holds {others[0]!r:.40}, which is not text")
        value = "".join(part["text"] for part in value)
    if not isinstance(value, str):
        raise Unsaid(f"{name!r} holds no text but {_kind(value)}")
    if "\0" in value:
        raise Unsaid(f"{name!r} holds zero bytes")
    return value
