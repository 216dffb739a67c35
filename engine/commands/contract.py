"""What each command takes, read off its signature: one declaration for the checks, the errors and the API's document.

`call` runs a command with arguments from outside; `openapi` describes all of them (OpenAPI 3.1).
"""

import inspect
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from engine import VERSION
from engine.commands import ALIASES, COMMANDS, READ_ONLY
from engine.commands.idempotency import once
from engine.core.checks import once_each
from engine.core.errors import Missing, Problem, TooLarge
from engine.core.people import need_for
from engine.core.records import LARGEST
from engine.core.shown import READS, shown
from store.database import Store

SMALLEST = 1e-100  # of a number but 0: what is divided by less, or squared, is no number any more
DEEPEST, LONGEST, NAME = 32, 1_000_000, 200  # levels of lists and objects; letters of a text, and of one on one line
SMALL, LARGE = 1 << 18, 16 << 20  # bytes of a command's arguments
MOST_VALUES = 1_000_000  # in them: millions of empty lists, small as bytes, hold up everybody while they are read
TOO_LARGE = "Cannot accept this request: it is too large. Send less at once."
WITH_ROWS = {"predict", "submit_runs", "measure_merge", "start_proposed", "submit_job"}  # take many numbers at once
Command = Callable[..., Any]


def body_limit(name: str) -> int:
    """Bytes of the JSON that a command's arguments may have."""
    return LARGE if name in WITH_ROWS else SMALL


def call(store: Store, name: str, arguments: object, key: str | None = None) -> Any:
    """The result of a command. Raises Missing if there is none, Problem for arguments that it does not take.

    key: of the request; one that was carried out before is answered, not repeated (engine/commands/idempotency.py).
    """
    name, command = command_of(name)
    need_for(command)
    if not isinstance(arguments, dict):
        raise Problem(f"Cannot read the arguments of {name}: send a JSON object of names and values.")
    check_json(arguments, name)
    try:
        model_of(name).model_validate(arguments)
    except ValidationError as error:
        raise Problem(f"Cannot read the arguments of {name}: {sentence(error)}.") from error
    if key is not None and name not in READ_ONLY:
        return once(store, key, name, arguments, lambda: command(store, **arguments))
    return command(store, **arguments)


def arguments_in(body: bytes) -> object:
    """What a request's JSON holds. Raises Problem if it is none, TooLarge if it may hold over MOST_VALUES values."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise TooLarge(TOO_LARGE)
    try:
        return json.loads(body or b"{}", object_pairs_hook=lambda pairs: once_each(pairs, "the arguments"), **READS)
    except (ValueError, RecursionError) as error:
        raise Problem(
            f"Cannot read the arguments: they are not JSON ({error}). Send an object of names and values."
        ) from error


def command_of(name: str) -> tuple[str, Command]:
    """The name and function of a command. Raises Missing if there is none."""
    name = ALIASES.get(name, name)
    if name not in COMMANDS:
        raise Missing(f"There is no command {name[:NAME]!r}. Commands: {', '.join(COMMANDS)}.")
    return name, COMMANDS[name]


def check_role(name: str) -> None:
    """Raise Refused if who acts may not ask for a command, before anything of its arguments is read; or Missing."""
    need_for(command_of(name)[1])


@cache
def model_of(name: str) -> type[BaseModel]:
    """The arguments of a command as a model: strict, so that a text is not a number, nor a list a text."""
    given = list(inspect.signature(COMMANDS[name]).parameters.values())[1:]
    more = any(one.kind == one.VAR_KEYWORD for one in given)
    fields: dict[str, Any] = {
        one.name: (one.annotation, ... if one.default is one.empty else one.default)
        for one in given
        if one.kind != one.VAR_KEYWORD
    }
    config = ConfigDict(strict=True, extra="allow" if more else "forbid", title=name)
    return create_model(name, __config__=config, **fields)


def sentence(error: ValidationError) -> str:
    """The first of what is wrong, as the rest of a sentence."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "it"
    if first["type"] == "missing":
        return f"{where!r} is missing"
    if first["type"] == "extra_forbidden":
        return f"there is no {where!r}"
    return f"{where!r} is {shown(first['input'])}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def check_json(value: object, what: str) -> None:
    """Raise Problem for what no command could use: texts that are not Unicode, numbers that are too large or
    too small, deep nesting."""
    level = [("", value)]
    for _ in range(DEEPEST):
        below: list[tuple[str, object]] = []
        for where, one in level:
            if isinstance(one, dict):
                for name, inner in one.items():
                    check_text(name, where, what)
                    below.append((f"{where}.{name}".strip("."), inner))
            elif isinstance(one, list):
                below += [(f"{where}[]", inner) for inner in one]
            elif isinstance(one, str):
                check_text(one, where, what)
            elif isinstance(one, int | float) and not (one == 0 or SMALLEST <= abs(one) < LARGEST):
                raise Problem(f"Cannot read the arguments of {what}: {where!r} is {shown(one)}; {cure_of(one)}.")
        level = below
        if not level:
            return
    raise Problem(f"Cannot read the arguments of {what}: they are nested more than {DEEPEST} levels deep.")


def cure_of(number: float) -> str:
    """What to give in place of a number that nothing could compute with."""
    if is_infinite(number):
        return "give a finite number"
    return "use smaller numbers" if abs(number) > 1 else f"give 0, or a number of at least {SMALLEST:g}"


def is_infinite(number: float) -> bool:
    """Whether it is an infinity, or not a number. Whole numbers of any length are none."""
    return isinstance(number, float) and not math.isfinite(number)


def check_text(text: str, where: str, what: str) -> None:
    """Raise Problem for a text that cannot be stored or shown."""
    if len(text) > LONGEST:
        raise Problem(
            f"Cannot read the arguments of {what}: {where!r} has {len(text):,} letters; send at most {LONGEST:,}."
        )
    if "\0" in text or text != text.encode("utf-8", "ignore").decode():
        raise Problem(
            f"Cannot read the arguments of {what}: {where!r} holds {shown(text)}, which is not text that can be stored "
            "(a zero byte, or half of a surrogate pair). Leave that letter out."
        )


def openapi(base: str = "") -> dict[str, Any]:
    """The document of the API: every command with what it takes, and how it answers. base: the path before it."""
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers = {
        "200": {"description": "done", "content": {"application/json": {"schema": {"type": "object"}}}},
        **{str(code): {"description": why, "content": error} for code, why in ERRORS.items()},
    }
    paths = {}
    for name, command in COMMANDS.items():
        schema = model_of(name).model_json_schema(ref_template="#/components/schemas/{model}")
        said = " ".join((inspect.getdoc(command) or "").split("\n\n")[0].split())
        paths[f"{base}/api/v1/{name}"] = {
            "post": {
                "operationId": name,
                "summary": said,
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
                "responses": answers,
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mixdesk", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


ERRORS = {
    400: "it cannot be done: a sentence says why and what to do",
    401: "the token is missing, wrong, revoked or expired",
    403: "the role does not allow it",
    404: "there is no such command, study, job or candidate",
    409: "a request with the same Idempotency-Key asked for something else, or was interrupted",
    413: "the request is too large",
    503: "the disk is full, or the database cannot be written: nothing was done; ask again later",
}
