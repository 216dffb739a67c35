"""What tests of imports share: tables written from columns, text or bytes, and read with all questions answered."""

from engine import importing
from engine.importing import read_runs, read_table, refuse_open
from tests.importing.made import text


def reading(path, second=None, format="flat", **given):
    answers = given.get("answers")
    return importing.read(format, *[one and read_table(one, answers=answers) for one in (path, second)], **given)


def runs_of(path, second=None, format="flat", **given):
    """The runs of tables whose every question is answered."""
    found = reading(path, second, format, **given)
    refuse_open(found.questions, found.answers)
    return read_runs(found)


def written(path, content):
    """A file of text, bytes, columns, or of what a function writes into it."""
    if callable(content):
        content(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else text(content))
    return path
