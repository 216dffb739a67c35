"""Makes clean text of source files: docstrings apart from code, no licence headers, no generated tables."""

import hashlib
import inspect
import re

BLOCK_BYTES = 60  # shorter blocks (imports, `return self`) may repeat: that is what code is like
LONGEST_LINE = 1000
MEAN_LINE = 100  # longer on average: minified, or data
MAX_DIGITS = 0.15  # of the characters; tables of numbers have more

LEGAL = re.compile(r"copyright|licen[cs]e|spdx|all rights reserved", re.IGNORECASE)
GENERATED = re.compile(r"@generated|auto-?generated|do not edit", re.IGNORECASE)
COMMENT = re.compile(r"\s*(/\*.*?\*/|(?:[ \t]*//[^\n]*\n)+|(?:[ \t]*#(?!\w)[^\n]*\n)+)", re.DOTALL)
DOCSTRING = re.compile(
    r"(?P<opening>\A(?:\s*#[^\n]*\n)*\s*|:[ \t]*(?:#[^\n]*)?\n)"
    r"(?P<indent>[ \t]*)[rRuU]?(?P<quotes>\"\"\"|''')(?P<text>.*?)(?P=quotes)[ \t]*\n",
    re.DOTALL,
)
INDENT = re.compile(r"\s*?^([ \t]*)\S", re.MULTILINE)  # of the next line that is not blank
BLOCK_END = re.compile(r"\n\s*\n")


def decoded(data: bytes) -> str | None:
    """UTF-8 text with plain line ends and no trailing blanks; None for anything else."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else without_trailing_blanks(text)


def without_trailing_blanks(text: str) -> str:
    """The text with plain line ends and no blanks before them."""
    return "\n".join(map(str.rstrip, text.split("\n")))


def is_clean(text: str) -> bool:
    """Whether text looks handwritten: no overlong lines, not mostly digits, not generated."""
    lines = text.splitlines()
    if not lines or GENERATED.search(text, 0, 2000):
        return False
    digits = sum(map(text.count, "0123456789"))
    return (
        len(text) <= MEAN_LINE * len(lines)
        and digits <= MAX_DIGITS * len(text)
        and max(map(len, lines)) <= LONGEST_LINE
    )


def without_licence(code: str) -> str:
    """Code without the leading comments that speak of rights. Comments that explain the file stay."""
    kept, position = [], 0
    while match := COMMENT.match(code, position):
        if not LEGAL.search(match.group()):
            kept.append(match.group())
        position = match.end()
    return "".join(kept) + code[position:]


def split_docstrings(source: str) -> tuple[str, list[str]]:
    """Python code without its docstrings, and the docstrings.

    By pattern, since parsing takes many times as long: a triple-quoted string that begins the file, or the
    line after a colon. A body that was only a docstring becomes `pass`.
    """
    found = []

    def take(match: re.Match) -> str:
        found.append(inspect.cleandoc(match["text"]))
        following = INDENT.match(source, match.end())
        alone = match["indent"] and (following is None or len(following[1]) < len(match["indent"]))
        return match["opening"] + (f"{match['indent']}pass\n" if alone else "")

    return DOCSTRING.sub(take, source), found


def prose(text: str) -> str:
    """The paragraphs of a docstring or document that read as sentences: no doctests, tables, signatures."""
    paragraphs = (re.sub(r"^-{3,}$|^={3,}$|^```.*$", "", block, flags=re.M).strip() for block in BLOCK_END.split(text))
    return "\n\n".join(block for block in paragraphs if is_prose(block))


def is_prose(block: str) -> bool:
    """At least six words, mostly letters, no prompt or directive, and not about rights."""
    if len(block.split(None, 6)) < 6 or block.startswith((">>>", "..", "$", "<", "|", "!", "[")):
        return False
    letters = sum(map(str.isalpha, block)) + block.count(" ") + block.count("\n")
    return letters >= 0.85 * len(block) and ">>>" not in block and not LEGAL.search(block)


class Blocks:
    """Drops blocks (runs of lines without a blank line) of 60 bytes and more that were seen before."""

    def __init__(self):
        self.seen: set[bytes] = set()
        self.dropped = 0

    def fresh(self, text: str) -> str:
        """The text without the blocks that an earlier text, or this one, had before; blanks do not count."""
        kept = []
        for block in BLOCK_END.split(text.strip("\n")):
            plain = " ".join(block.split()).encode("utf-8", "replace")
            if len(plain) >= BLOCK_BYTES:
                key = hashlib.blake2b(plain, digest_size=8).digest()
                if key in self.seen:
                    self.dropped += 1
                    continue
                self.seen.add(key)
            kept.append(block)
        return "\n\n".join(kept)
