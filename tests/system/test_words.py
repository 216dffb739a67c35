"""What is written is true and plain: files and names exist, commands and their options too, words are the field's."""

import argparse
import ast
import re
import shlex
from pathlib import Path

import pytest

from engine.cli.command_line import parser
from engine.jobs.serving import parser as worker
from tests.support.running import ROOT

PAGES = [path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.name != "LOG.md"]
RESULTS = [*ROOT.glob("benchmarks/results/*.md"), *ROOT.glob("tests/support/*.py")]
CODE = [path for room in ("engine", "store", "dashboard", "benchmarks") for path in (ROOT / room).rglob("*.py")]
FIELD = {  # what reads as translated -> what people in the field say
    r"put forward": "nominate",
    r"look closer": "details, view",
    r"inside the noise": "within noise",
    r"whole or not at all": "atomically",
    r"mend(s|ed|ing)?": "fix",
    r"anew": "again",
    r"held against": "compared with",
    r"foresee\w*|foreseen": "estimate, dry run",
    r"without a word": "no error message",
    r"for what cannot be|what is no number": "if ... is invalid; not a number",
    r"crew|steward": "process pool; advance",
    r"how arbitrary": "how much freedom there is",
    r"spreads a spread|unit spreads": "standardised effect",
    r"nothing drawn beats": "Pareto front",
    r"learn from text(?!,)": "data-driven merging",
    r"(rows?|objects?|records?|items?|files?|tensors?|numbers?|runs|tokens|columns?|experts?|coefficients?|seeds|"
    r"megabytes?) an? "
    r"(run|line|step|metric|domain|layer|expert|study|row|mixture|tensor)(?! (of|for|that|in|and)\b)": "per",
    r"(most|target|variance) a FLOP": "per FLOP",
    r"beware": "warnings",
    r"keep(ing)? house": "organise",
    r"let it write on|writ(es|ing) on(?= (from|here)|[.,;])|(texts?|models?|passages?) goe?s? on": "continue a text",
    r"(halve|beside) the doubt": "uncertainty",
    r"waits for you": "needs you, waiting for you",
}


def words_in(text: str) -> list[str]:
    """What a text says that is not said so."""
    found = [(one, say) for one, say in FIELD.items() if re.search(rf"\b({one})\b", text, re.I)]
    return [f"{re.search(one, text, re.I)[0]!r}: {say}" for one, say in found]


@pytest.mark.parametrize(
    "text",
    [
        "Many things were mended.",
        "Keep one row a run",
        "two seeds a mixture",
        "It is fitted anew",
        "Put forward",
        "To beware of",
        "one item a line",
        "either by choosing or by writing on.",
    ],
)
def test_what_reads_as_translated_is_found(text):
    assert words_in(text)


SAID = {  # in what programs say, comments and docstrings aside
    r"(?<![Tt]here )\b(is|are) no (?!longer\b|more\b)[a-z]\w*": "is not a ...",
    r"\bcannot be\.": "is invalid",
    r"\b(Read|Written|Given) are\b": "Formats: ...",
}


def said_in(code: str) -> list[tuple[int, str]]:
    """(line, what is said) for strings of a file that read as translated."""
    tree = ast.parse(code)
    quiet = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}  # docstrings
    strings = [one for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return [
        (one.lineno, f"{match[0]!r}: {say}")
        for one in strings
        if id(one) not in quiet
        for pattern, say in SAID.items()
        if (match := re.search(pattern, one.value))
    ]


def test_messages_are_the_fields():
    assert said_in('x = f"{x} is no folder."') and said_in('x = f"the offset {x} cannot be."')
    assert not said_in(
        'def f():\n    """None if it is no folder."""\n    return "there is no folder; it is no longer there"'
    )
    found = [f"{path.relative_to(ROOT)}:{line}: {what}" for path in CODE for line, what in said_in(path.read_text())]
    assert found == []


@pytest.mark.parametrize("text", ["one row per run", "the tokens a run of it reads", "a recommendation", "renewed"])
def test_plain_words_are_left_alone(text):
    assert words_in(text) == []


def test_words_are_the_fields():
    found = []
    for path in (*PAGES, *RESULTS, *CODE):
        text = path.read_text()
        for number, line in enumerate(text.splitlines() if words_in(text) else [], 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {one}" for one in words_in(line)]
    assert found == []


# What is named exists -----------------------------------------------------------------------------------------


def test_files_that_are_named_exist():
    made = set(re.findall(r"<!-- run by \S+ as (\S+) -->", (ROOT / "CONTRIBUTING.md").read_text()))
    missing = []
    for path in (*PAGES, *(one for one in CODE if "benchmarks" not in one.parts)):
        for name in re.findall(
            r"(?<![\w/.-])(?:engine|store|dashboard|tests|benchmarks)(?:/[\w.]+)+", path.read_text()
        ):
            name = name.rstrip(".")
            there = [ROOT / name, ROOT / f"{name}.py"]
            if name not in made and not any(one.exists() for one in there):
                missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert missing == []


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or the first name after its module occurs in it."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:k])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.exists():
            return k == len(parts) or bool(re.search(rf"\b{parts[k]}\b", module.read_text()))
    return False


def test_names_that_are_named_exist():
    assert exists("engine.spec.study.StudySpec") and not exists("engine.StudySpec") and not exists("engine.nowhere")
    missing = []
    for path in (*PAGES, *CODE):
        names = re.findall(r"(?<![\w/.@\"-])(?:engine|benchmarks)(?:\.\w+)+(?!\.md|\w|/)", path.read_text())
        missing += [f"{path.relative_to(ROOT)}: {name}" for name in names if not exists(name)]
    assert missing == []


def commands() -> dict[str, argparse.ArgumentParser]:
    """The commands of the command line; a command of commands by both words."""
    found = {}
    for name, one in _inner(parser()).items():
        found |= {name: one, **{f"{name} {sub}": deeper for sub, deeper in _inner(one).items()}}
    return found


def _inner(one: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: sub
        for action in one._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, sub in action.choices.items()
    }


def wrong_in(span: str, known: dict[str, argparse.ArgumentParser]) -> list[str]:
    """The command, or its options, that a piece of code in a sentence names and that do not exist."""
    prefix = re.match(r"(?:\.venv/bin/)?(mixdesk|python -m engine\.worker|python -m engine) ", span)
    try:
        words = shlex.split(span[prefix.end() :] if prefix else span)
    except ValueError:
        return []
    if prefix and prefix[1].endswith("worker"):
        one = worker()
    else:
        name = next((one for one in (" ".join(words[:2]), words[0] if words else "") if one in known), None)
        if name is None:
            return [span] if prefix and words[0] not in ("--help", "--version", "COMMAND") else []
        one = known[name]
    there = {option for action in one._actions for option in action.option_strings}
    return [f"{span}: {word}" for word in words if word.startswith("--") and word.split("=")[0] not in there]


def test_commands_in_sentences_exist_with_their_options():
    known = commands()
    assert wrong_in("mixdesk serach X", known) and wrong_in("start --nonsense", known)
    assert not wrong_in("mixdesk token create X --role viewer", known)
    wrong = [
        f"{path.relative_to(ROOT)}: {one}"
        for path in PAGES
        for span in re.findall(
            r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^[ ]*```.*?^[ ]*```", "", path.read_text(), flags=re.M | re.S)
        )
        for one in wrong_in(span, known)
    ]
    assert wrong == []


def test_every_argument_says_what_it_is():
    silent = [
        f"{name}: {action.dest}"
        for name, one in {**commands(), "worker": worker()}.items()
        for action in one._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert silent == []


def test_the_workers_options_are_those_of_its_page():
    told = re.search(r"## The worker's options\n(.*?)\n## ", Path(ROOT / "docs/CLUSTER.md").read_text(), re.S)[1]
    options = {option for action in worker()._actions for option in action.option_strings} - {"-h", "--help"}
    assert set(re.findall(r"--[a-z][\w-]*", told)) == options
