"""Commands that cannot be carried out: exit code 1, and one sentence that names what is wrong."""

import ast
import inspect

import pytest

from engine.commands import COMMANDS
from tests.support.running import ROOT, TINY


@pytest.mark.parametrize("command", ["show", "runs", "wait", "cancel", "resume", "fit", "search", "searches"])
def test_an_unknown_study_is_a_sentence(refused, command):
    assert refused(command, "nope") == "Cannot find the study 'nope': it may have another name. Studies here: none yet."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nruns = 9\nspeed = 3', "'speed'"),
        ('name = "x\nruns = 9', "line 1"),
        ('corpus = "x"', "name"),
        ('name = "x"\nfidelity = "huge"', "'huge'"),
        ('name = "x"\nfidelity = 3', "3"),
        ('name = "x"\n[fidelity]\nwidth = 0', "width = 0"),
        ('name = "x"\nruns = "many"', "many|str"),
        ('name = "x"\nruns = 3', "8 to 100,000"),
        ('name = "x"\ncorpus = "nope"', "no corpus 'nope'"),
        ('name = "x"\ncorpus = 5', "5"),
        ('name = "x"\nseed = -1', "-1"),
        ('name = "x"\nseed = "a"', "'a'|str"),
        ('name = "x"\npriorities = 5', "5|int"),
        ('name = "x"\npriorities = {python = -1.0}', "python"),
        ('name = "x"\ndesign = "grid"', "'grid'"),
        ('name = "x"\nsurrogates = ["gp", "magic"]', "Cannot fit magic"),
        ('name = "x"\nsurrogates = "gp"', "surrogates"),
        ('name = "x"\ndomains = "python"', "domains|domain"),
    ],
)
def test_a_bad_study_file_is_a_sentence(refused, tmp_path, text, said):
    (tmp_path / "study.toml").write_text(text)
    sentence = refused("start", tmp_path / "study.toml")
    assert sentence.startswith("Cannot ") and any(word in sentence for word in said.split("|"))


def test_a_missing_study_file_is_a_sentence(refused, tmp_path):
    assert "No such file" in refused("start", tmp_path / "none.toml")
    assert "Is a directory" in refused("start", tmp_path)


def test_a_domain_that_the_corpus_lacks_is_a_sentence(refused, desk, tmp_path):
    (tmp_path / "study.toml").write_text('domains = ["python", "latin"]\n' + TINY)
    sentence = refused("start", tmp_path / "study.toml", workspace=desk)
    assert "no domain 'latin'" in sentence and "digits, prose, python" in sentence


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (("search", "Small", "--priority", "latin=2"), "'latin'"),
        (("search", "Small", "--priority", "python=much"), "'much'"),
        (("search", "Small", "--priority", "python"), "'python'"),
        (("search", "Small", "--priority", "python=nan"), "nan"),
        (("search", "Small", "--priority", "python=-1"), "-1"),
        (("search", "Small", "--surrogate", "oracle"), "'oracle'"),
        (("search", "Small", "--points", "0"), "0"),
        (("export", "Small", "--format", "csv", "--candidate", "nobody"), "'nobody'"),
        (("export", "Small", "--format", "csv", "--tokens", "-5"), "-5"),
        (("export", "Small", "--format", "csv", "--tokens", "nan"), "nan"),
    ],
)
def test_a_wish_that_cannot_be_met_is_a_sentence(refused, desk, tmp_path, wish, said):
    out = ("--out", tmp_path / "out") if wish[0] == "export" else ()
    sentence = refused(*wish, *out, workspace=desk)
    assert sentence.startswith("Cannot ") and said in sentence


def test_a_folder_that_cannot_be_written_is_a_sentence(refused, desk, tmp_path):
    (tmp_path / "file").touch()
    wish = ("export", "Small", "--format", "csv", "--candidate", "uniform", "--out", tmp_path / "file" / "below")
    assert "file is not a folder" in refused(*wish, workspace=desk)
    assert "Choose a folder that you can write to" in refused(
        "corpus", "--name", "x", workspace=tmp_path / "file" / "workspace"
    )


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (("--folder", "nowhere"), "nowhere"),
        (("--folder", "one"), "at least 2"),
        (("--folder", "tiny"), "'b'"),
        (("--file", "web"), "'web'"),
        (("--file", "a=nowhere.txt", "--file", "b=nowhere.txt"), "nowhere.txt"),
        (("--folder", "tiny", "--cap-mb", "-1"), "-1"),
        (("--folder", "tiny", "--name", "../x"), "'../x'"),
    ],
)
def test_a_corpus_that_cannot_be_built_is_a_sentence(refused, tmp_path, monkeypatch, wish, said):
    """One domain only, one that is too small, none at all, and no such place."""
    monkeypatch.chdir(tmp_path)
    for domain, size in (("one/a", 90_000), ("tiny/a", 90_000), ("tiny/b", 500)):
        (tmp_path / domain).mkdir(parents=True)
        for part in range(10):
            words = " ".join(f"{part}{n}" for n in range(size // 60))
            (tmp_path / domain / f"{part}.txt").write_text(words)
    sentence = refused("corpus", "--name", "c", "--wait", *wish)
    assert said in sentence and sentence.startswith("Cannot ")


def test_the_command_line_gives_every_command_what_it_takes():
    """By name: a keyword that a command does not take would be found only by whoever uses that option."""
    wrong, seen = [], set()
    for path in [*(ROOT / "engine" / "cli").glob("*.py"), *(ROOT / "dashboard").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "call"):
                continue
            if not (node.args and isinstance(node.args[0], ast.Constant)):
                continue  # the name comes from the command line itself
            name = node.args[0].value
            takes = inspect.signature(COMMANDS[name]).parameters
            seen.add(name)
            if not any(one.kind == one.VAR_KEYWORD for one in takes.values()):
                wrong += [
                    f"{path.name}: {name}({one.arg})" for one in node.keywords if one.arg and one.arg not in takes
                ]
    assert wrong == [] and len(seen) > 40
