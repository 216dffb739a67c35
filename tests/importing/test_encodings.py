"""Tables in older encodings: asked, with their words as they would read; damaged UTF-8 is refused by its line."""

import pytest

from engine.core.errors import Problem
from engine.importing import read, read_runs, read_table
from tests.importing.made import LOSS, MIX, RUN, text

NAMES = {
    "windows-1252": ("cp1252", "caf\u00e9", "b\u00fccher"),
    "windows-1250": ("cp1250", "\u017elu\u0165", "k\u016f\u0148"),
    "windows-1251": ("cp1251", "\u043a\u043e\u0434", "\u043a\u043d\u0438\u0433\u0438"),
    "macintosh": ("mac_roman", "caf\u00e9", "b\u00fccher"),
    "shift-jis": ("cp932", "\u30b3\u30fc\u30c9", "\u672c"),
    "gb18030": ("gb18030", "\u4ee3\u7801", "\u4e66"),
}


def file(tmp_path, first: str, second: str):
    columns = {**RUN, first: MIX["web"], "code": MIX["code"], second: MIX["books"], "val_loss": LOSS.tolist()}
    return tmp_path / "runs.csv", text(columns)


@pytest.mark.parametrize("name", NAMES)
def test_an_older_encoding_is_asked_about_and_read(tmp_path, name):
    coding, first, second = NAMES[name]
    path, whole = file(tmp_path, first, second)
    path.write_bytes(whole.encode(coding))
    (question,) = read_table(path).asked
    assert question.id == "encoding" and f"'{first}', '{second}'" in question.options[name]
    assert "line 1 holds the byte 0x" in question.text and "not UTF-8" in question.text
    answers = {"encoding": name}
    found = read("flat", read_table(path, answers=answers), answers=answers)
    assert list(found.mapping.weights) == [first, "code", second]
    assert read_runs(found).values[:, 0].tolist() == LOSS.tolist() and f"runs.csv was read as {name}." in found.notes


def test_quotes_of_a_word_processor_in_a_cell_are_asked_about_too(tmp_path):
    columns = {
        "name": ["\u201cfirst\u201d \u2013 run"] + [f"r{i}" for i in range(15)],
        **MIX,
        "val_loss": LOSS.tolist(),
    }
    (tmp_path / "runs.csv").write_bytes(text(columns).encode("cp1252"))
    (question,) = read_table(tmp_path / "runs.csv").asked
    assert next(iter(question.options)) == "windows-1252"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xe2\x82"])
def test_damaged_utf_8_is_refused_by_its_line(tmp_path, bad):
    path, whole = file(tmp_path, "caf\u00e9", "b\u00fccher")
    path.write_bytes(whole.encode().replace(b"code", b"co" + bad + b"de"))
    with pytest.raises(Problem, match=r"line 1 holds the byte 0x.*Save the file as UTF-8"):
        read_table(path)


def test_an_answer_that_is_none_of_them_is_refused(tmp_path):
    path, whole = file(tmp_path, "caf\u00e9", "b\u00fccher")
    path.write_bytes(whole.encode("cp1252"))
    with pytest.raises(Problem, match=r"'klingon'.*choose one of windows-1252"):
        read_table(path, answers={"encoding": "klingon"})


def test_bytes_that_are_no_text_in_any_encoding_are_refused(tmp_path):
    (tmp_path / "runs.csv").write_bytes(bytes(range(1, 256)) * 20)
    with pytest.raises(Problem, match="not valid utf-8"):
        read_table(tmp_path / "runs.csv")
