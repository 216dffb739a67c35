"""The bytes of a text file as text: Unicode where they are, else asked, with how its words would read."""

import re
import unicodedata
from itertools import islice

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.questions import Question

# Longest first: UTF-32's mark begins with UTF-16's.
MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# What spreadsheets and older programs write instead: the name that people know -> Python's.
OLDER = {
    "windows-1252": "cp1252",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
    "windows-1253": "cp1253",
    "windows-1254": "cp1254",
    "macintosh": "mac_roman",
    "shift-jis": "cp932",
    "gb18030": "gb18030",
    "big5": "cp950",
    "euc-kr": "cp949",
    "iso-8859-1": "latin-1",
}
LINE = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")  # with a byte beyond ASCII
LINES = 10_000  # of them that are looked at
WORD = re.compile(r"[^\s,;|\t\"]*[^\x00-\x7f][^\s,;|\t\"]*")  # with a letter beyond ASCII
TEXTUAL = {"L", "M", "N", "P", "S", "Z"}  # categories of characters that text is made of
SHOWN = 3  # words of a file, in each reading


def decoded(data: bytes, name: str, answers: dict[str, str]) -> tuple[str, Question | None]:
    """(the text of a file, what has to be asked about it).

    Raises Problem, naming the line, for bytes that are not valid in any encoding known here.
    """
    coding = next((coding for mark, coding in MARKS.items() if data.startswith(mark)), None)
    head = data[:4096]
    if coding is None and 4 * max(head[::2].count(0), head[1::2].count(0)) > len(head):  # every other byte, or nearly
        coding = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    try:
        text, question = data.decode(coding or "utf-8"), None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        where = f"line {line} holds the byte 0x{data[error.start]:02x}, which is not valid {error.encoding}"
        question = None if coding else encoding_question(data, f"{name} is not UTF-8 ({where}).", answers)
        if question is None:
            raise Problem(f"Cannot read {name}: {where}. Save the file as UTF-8.") from error
        text = data.decode(OLDER[question.answer(answers)], "replace")
    wide = coding is not None and coding != "utf-8-sig"  # any bytes make some UTF-16
    foreign = wide and 2 * sum(map(str.isascii, text)) < len(text)
    if "\x00" in text or foreign:
        raise Problem(f"Cannot read {name}: its zero bytes show that it is not text. Give a CSV, JSON or Parquet file.")
    return text, question


def encoding_question(data: bytes, why: str, answers: dict[str, str]) -> Question | None:
    """Which encoding bytes are in that are no UTF-8; None where they are damaged UTF-8, or text in none of them."""
    sample = b"\n".join(line.group() for line in islice(LINE.finditer(data), LINES))
    reading = sample.decode("utf-8", "replace")
    if 2 * reading.count("\ufffd") <= sum(not one.isascii() for one in reading):
        return None
    found: dict[str, str] = {}
    for name, coding in OLDER.items():
        try:
            text = sample.decode(coding)
        except UnicodeDecodeError:
            continue
        if is_text(text) and (name == answers.get("encoding") or text not in found.values()):
            found[name] = text
    options = {name: f"it holds {words_of(text)}" for name, text in found.items()}
    return Question("encoding", f"{why} Which encoding is it in?", options) if options else None


def is_text(text: str) -> bool:
    """Whether characters are those of text: letters, numbers, punctuation, and no others but ends of lines and tabs."""
    return all(unicodedata.category(one)[0] in TEXTUAL for one in set(text) - set("\t\r\n"))


def words_of(text: str) -> str:
    """The first words that are not ASCII."""
    found = list(dict.fromkeys(word.group()[:40] for word in WORD.finditer(text)))
    return listed(list(map(repr, found)), SHOWN)
