"""Files appear atomically: all of them or nothing, with the mode that was asked for, and nothing is left beside."""

import json
import stat

import pytest

from engine.core.files import clear_parts, replacing, write_json, write_text


def test_a_file_is_replaced_in_one_move(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "one")
    with replacing(path) as part:
        part.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "one")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, [float("nan")])
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "gone" / "a.txt", "no folder is made: a job's may just have moved")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_never_readable_by_others(tmp_path):
    write_json(tmp_path / "door.json", {"token": "t"}, mode=0o600)
    assert stat.S_IMODE((tmp_path / "door.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "door.json").read_text()) == {"token": "t"}


def test_leftovers_of_a_killed_writer_are_cleared(tmp_path):
    left, other = tmp_path / ".a.bin.0011aabb.part", tmp_path / ".b.bin.0011aabb.part"
    left.touch()
    other.touch()
    clear_parts(tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == [other]
