"""What messages quote is short, and a number that is too large for 64 bits is told as it was written."""

import copy
import json
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.models.external_form import domains_in
from engine.cli.command_line import main
from engine.commands.contract import arguments_in, call
from engine.core.checks import check
from engine.core.errors import Problem
from engine.core.safe_yaml import parsed
from engine.core.settings_text import toml
from engine.core.shown import MOST, READS, bounded, number, shown
from tests.importing.made import LOSS, MIX, RUN
from tests.importing.reading import runs_of, written

HUGE = ("1e400", "-1e999", "9" * 400, "1" + "0" * 5000)


@given(st.text(max_size=60), st.sampled_from(["x", "x ", "'", '"', "\\", "\n", "'a", "é "]), st.integers(0, 50_000))
def test_no_message_is_long_whatever_it_quotes(before, letter, times):
    value = letter * times
    for message in (f"Cannot read {value!r}: {before}.", f"Cannot {before} {value}", f"{before!r}{value}"):
        assert len(str(Problem(message))) <= MOST
    assert len(shown(value)) < 300 and len(shown([value])) < 300


def test_a_long_value_is_cut_and_counted_and_the_cure_stays():
    said = str(Problem(f"Cannot use {'a b ' * 9000!r} as a name, as of the file's 'web': use 64 letters."))
    assert said.endswith("characters) as a name, as of the file's 'web': use 64 letters.") and "(36,002 char" in said
    short = "It's the adapter's 'q_proj' of " + "a folder " * 30
    assert bounded(short) == short


def test_a_path_is_shown_whole_or_with_both_ends():
    """People copy it, and several differ in their middle or at their end alone."""
    for quote in ("'", ""):
        paths = [
            f"/data/{'a folder/' if quote else 'folder/'}{'deep-er/' * 70}run-{n}/model.safetensors" for n in (1, 2)
        ]
        for path in paths:
            assert f"{quote}{path}{quote}" in str(Problem(f"Cannot read {quote}{path}{quote}: write it again."))
    assert shown(paths[0]) == repr(paths[0])
    long = f"/data/{'deep-er/' * 400}model.safetensors"
    assert "/data/deep-er/" in (said := str(Problem(f"Cannot read {long}: write it again.")))
    assert "deep-er/model.safetensors: (3,2" in said and said.endswith("write it again.") and len(said) < 800
    both = str(Problem(f"Cannot copy {paths[0]} to {paths[1]}: no room."))
    assert paths[0] in both and paths[1] in both
    assert "y...y" not in shown("x/" + "y" * 999) and len(shown("x/" + "y" * 999)) < 120, "no system has such a name"


def test_shortening_takes_no_time():
    begin = time.process_time()
    for text in ("' " * 500_000, "x" * 390 + " ", '"' * 999_999, "'\\" * 500_000):
        bounded(text * (1_000_000 // len(text) or 1))
    assert time.process_time() - begin < 20


def test_infinities_keep_the_text_of_the_number_that_they_were():
    one = number("1e400")
    for copied in (one, copy.deepcopy([one])[0], pickle.loads(pickle.dumps(one))):
        assert copied == float("inf") and f"{copied:g}" == str(copied) == "1e400 (too large for a number of 64 bits)"
    assert shown(2**64) == f"{2**64} (too large for a number of 64 bits)" and shown(10**400).startswith("1000")
    assert shown(10**5000) == "a whole number of about 5,001 digits (too large for a number of 64 bits)"
    assert number("inf") == float("inf") and str(number("inf")) == "inf" and number("1e300") == 1e300
    assert json.loads('{"a": Infinity}', **READS) == {"a": float("inf")}
    with pytest.raises(ValueError, match=r"9\.\.\. \(5,000 characters\) is too large for a number of 64 bits"):
        toml("a = " + "9" * 5000)
    assert toml(f'a = "{"9" * 5000}"  # {"9" * 5000}')["a"] == "9" * 5000
    for text in ('{"web": 1e400}', "web = 1e400", "web = -1e999%"):
        with pytest.raises(Problem, match="too large for a number of 64 bits"):
            domains_in(text)
    for found in (toml("a = 1e400"), parsed("a: 1.0e+400"), arguments_in(b'{"a": 1e400}')):
        with pytest.raises(Problem, match=r"1\.?0?e\+?400 \(too large for a number of 64 bits\)"):
            check(abs(found["a"]) < 9, found["a"], "a", "a number below 9")


@pytest.mark.parametrize("text", HUGE)
def test_an_import_names_a_number_that_is_too_large(tmp_path, text):
    rows = [*LOSS[:-1].tolist(), text]
    said = f"column 'val_loss': {text[:80]}.* too large for a number of 64 bits"
    with pytest.raises(Problem, match=said):
        runs_of(written(tmp_path / "a.csv", {**RUN, **MIX, "val_loss": rows}))
    records = [dict(zip(("web", "code", "books"), row, strict=True)) for row in zip(*MIX.values(), strict=True)]
    records = [one | {"val_loss": loss} for one, loss in zip(records, LOSS.tolist(), strict=True)]
    whole = json.dumps(records).replace(f"{records[3]['val_loss']}" + "}", text + "}")
    with pytest.raises(Problem, match=said):
        runs_of(written(tmp_path / "a.json", whole))
    cells = [str(one).replace(f"{records[3]['val_loss']}" + "}", text + "}") for one in records]  # as Python prints it
    with pytest.raises(Problem, match=said.replace("val_loss", "all.val_loss")):
        runs_of(written(tmp_path / "python.csv", {**RUN, "all": cells}))
    with pytest.raises(Problem, match=r"column 'val_loss': .* too large for a number of 64 bits"):
        runs_of(written(tmp_path / "all.csv", {**RUN, **MIX, "val_loss": [text] * len(rows)}))


@pytest.mark.parametrize("text", HUGE)
def test_commands_name_a_number_that_is_too_large(tmp_path, capsys, text):
    for words in (["trade-off", "x", "--priority", f"web={text}"], ["predict", "--study", "x", "--tokens", text]):
        try:
            assert main(words) == 1
        except SystemExit as ended:
            assert ended.code == 2
        assert len(capsys.readouterr().err) < MOST
    with pytest.raises(Problem, match="too large for a number of 64 bits"):
        call(None, "list_studies", arguments_in(b'{"a": ' + text.encode() + b"}"))
