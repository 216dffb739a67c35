"""The command line as a user meets it: real processes, JSON on stdout, one sentence on stderr, exit codes 0, 1, 2."""

import ast
import csv
import io
import json
import subprocess
import sys
import tomllib

import duckdb
import pytest
import yaml

from engine.__main__ import main
from engine.cli import catalogue
from engine.cli.command_line import parser
from engine.cli.words import print_json
from engine.core.system import hold_standard_streams
from engine.recipes import FORMATS
from tests.support.running import ROOT, STUDY, TINY, Page, answer, engine, said

DOMAINS = {"digits", "prose", "python"}


def test_a_mistyped_workspace_is_not_made_by_a_look(tmp_path):
    for words in ("list", "show x", "jobs", "corpora", "token list", "cancel x", "export-runs x y.csv"):
        assert "there is no workspace" in said(tmp_path / "wrokspace", *words.split())
    assert not (tmp_path / "wrokspace").exists()


def test_a_mistyped_workspace_is_left_by_no_command_that_decided_nothing(tmp_path):
    """What fails, and what only looks, leaves nothing; what else lay in the folder stays."""
    (tmp_path / "runs.csv").write_text("run,share/web,share/code,metric/loss\na,0.5,0.5,3\nb,0.8,0.2,2\nc,0.3,0.7,1\n")
    (tmp_path / "bad.csv").write_text("nothing\nof use\n")
    (tmp_path / "study.toml").write_text('name = "X"\ncorpus = "nowhere"')
    (tmp_path / "spec.json").write_text('{"kind": "dance"}')
    runs, bad = (f"import --study X --format flat --weights {tmp_path / name}.csv" for name in ("runs", "bad"))
    files = {path.name for path in tmp_path.iterdir()}
    for words, code in (
        (bad, 1),
        (f"{bad} --preview", 0),
        (f"{runs} --preview", 0),
        (f"start {tmp_path / 'study.toml'}", 1),
        (f"start {tmp_path / 'nothing.toml'}", 1),
        (f"submit {tmp_path / 'spec.json'}", 1),
        (f"corpus --folder {tmp_path / 'nothing'}", 1),
        ("corpus --name a/b", 1),
        ("token create x --days -3", 1),
    ):
        assert engine(tmp_path / "wrokspace", *words.split(), check=False).returncode == code, words
        assert {path.name for path in tmp_path.iterdir()} == files, words
    engine(tmp_path, *runs.split(), "--preview", check=False)  # a folder that was there, with files of its own
    assert {path.name for path in tmp_path.iterdir()} == files
    (tmp_path / "deep" / "imports").mkdir(parents=True)  # and one that was made for a workspace
    engine(tmp_path / "deep", *runs.split(), "--preview")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["imports"]
    engine(tmp_path / "deep" / "workspace", *runs.split())
    assert [one["name"] for one in answer(tmp_path / "deep" / "workspace", "list")] == ["X"]


def test_a_workspace_below_a_folder_that_is_missing_is_made_by_no_decision(tmp_path):
    """The folder may be the mistyped part. One that is not named lies in the current folder, and is made."""
    table = tmp_path / "runs.csv"
    table.write_text("run,share/web,share/code,metric/loss\na,0.5,0.5,3\nb,0.8,0.2,2\nc,0.3,0.7,1\n")
    words = f"import --study X --format flat --weights {table}".split()
    (tmp_path / "data").mkdir()
    told = said(tmp_path / "data" / "tema" / "a" / "workspace", *words)
    assert f"no folder {tmp_path}/data/tema/a. The nearest that is there is {tmp_path}/data." in told
    told = said(table / "a" / "workspace", *words)
    assert f"no folder {table}/a. The nearest that is there is {tmp_path}." in told
    assert {path.name for path in tmp_path.rglob("*")} == {"data", "runs.csv"}
    engine(tmp_path / "data" / "workspace", *words)


def test_a_report_of_a_mistyped_workspace_makes_none(tmp_path):
    command = [sys.executable, "-m", "dashboard.report.html", "x", "--workspace", str(tmp_path / "wrokspace")]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert told.returncode == 1 and "there is no workspace" in told.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_lacks_letters_gets_them_as_escapes(monkeypatch, encoding):
    """A result stays JSON; sentences are printed whatever they name."""
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr("sys.stdout", out)
    names = {"name": "漢 \U0001f600 é"}
    hold_standard_streams()
    print_json(names)
    assert json.loads(out.buffer.getvalue().decode(encoding)) == names
    print(names["name"], flush=True)
    assert b"\\u6f22" in out.buffer.getvalue()


def test_a_closed_pipe_ends_quietly(desk):
    command = [sys.executable, "-m", "engine", "--workspace", str(desk), "runs", answer(desk, "list")[0]["study"]]
    told = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    told.stdout.close()  # as `| head -0` does
    assert told.stderr.read() == b"" and told.wait() == 141


# Help and the command line itself --------------------------------------------------------------------------


OLD_NAMES = {"put-forward": "nominate", "wish": "targets"}  # which go on working


@pytest.mark.slow
def test_every_command_has_help(capsys):
    commands = parser()._subparsers._group_actions[0].choices
    assert len(commands) >= 13
    for name, command in commands.items():
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        shown = " ".join(capsys.readouterr().out.split())  # long lines are broken
        called = OLD_NAMES.get(name, name)
        assert f"mixdesk {called}" in shown and command.description in shown
    assert set(OLD_NAMES) <= set(commands)


@pytest.mark.parametrize(
    "words", ["", "paint", "show", "export x", "export x --format docx", "search x --points many", "corpus --cap-mb a"]
)
def test_a_wrong_command_line_is_exit_code_2(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == "" and "usage: mixdesk" in said.err


def alone(*words: str) -> tuple[str, set[str]]:
    """What a command prints in a process of its own, and the modules that it read for that."""
    code = "import atexit, sys; from engine.__main__ import main; sys.argv[0] = 'mixdesk'\n"
    code += "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.split())


HEAVY = {"numpy", "pyarrow", "duckdb", "pydantic", "tqdm", "store.database"}  # half a second to read, together


def test_the_program_says_how_it_is_called_and_reads_no_command_for_that():
    done = subprocess.run([sys.executable, "-m", "engine", "--help"], cwd=ROOT, capture_output=True, text=True)
    said, read = alone("--help")
    assert done.returncode == 0 and done.stdout == said and "Exit codes" in said
    assert not HEAVY & read and not {f"engine.cli.{subject}" for subject in catalogue.SUBJECTS} & read


# The main loop, asked from outside -------------------------------------------------------------------------


@pytest.mark.slow
def test_what_a_finished_study_shows(desk, small):
    (corpus,) = answer(desk, "corpora")
    assert corpus["corpus"] == "small" and set(corpus["train_tokens"]) == DOMAINS
    shown = answer(desk, "show", "Small")
    assert shown["study"] == small and shown["settled"] and shown["counts"] == {"done": shown["runs"]}
    assert shown["corrupt_journal_lines"] == 0 and {job["state"] for job in shown["jobs"]} == {"done"}
    assert shown["league"]["runs"] == shown["runs"] - 3, "the repeats are not fitted on"
    compared = {one["name"] for one in shown["league"]["league"]["standings"]}
    assert compared == {*tomllib.loads(STUDY)["surrogates"], "own_share"}, "those it names, and the baseline"
    rows = answer(desk, "runs", small)
    assert len(rows) == shown["runs"] and {row["state"] for row in rows} == {"done"}
    for row in rows:
        assert sum(row["weights"].values()) == pytest.approx(1) and set(row["losses"]) == DOMAINS
        assert all(0 < loss < 9 for loss in row["losses"].values())
    assert answer(desk, "wait", small)["counts"] == shown["counts"]


@pytest.mark.slow
def test_a_search_follows_the_priorities(desk, small):
    """Equal settings twice is one search. On the same draws, the mixture that is best for one domain's loss alone
    is at least as good there as the one that is best for another's: how far apart depends on the little study."""
    before, few = answer(desk, "searches", small), ("--surrogate", "gp", "--points", "20000", "--wait")
    domains = answer(desk, "show", small)["domains"]
    only = {one: [f"--priority={name}={int(name == one)}" for name in domains] for one in ("python", "prose")}
    python, again, prose = (answer(desk, "search", small, *only[one], *few) for one in ("python", "python", "prose"))
    assert [one.pop("already_there") for one in (python, again, prose)] == [False, True, False]
    assert python == again and python["settings"]["priorities"] == {name: name == "python" for name in domains}
    for name, mine, other in (("python", python, prose), ("prose", prose, python)):
        mine, other = mine["found"]["best"], other["found"]["best"]
        assert mine["aggregate"] == pytest.approx(mine["mean"][domains.index(name)])
        assert mine["aggregate"] <= other["mean"][domains.index(name)] + 1e-6
    assert answer(desk, "searches", small) == [prose, python, *before]


def test_fit_again_on_the_same_runs_is_the_same_league(desk, small):
    league = answer(desk, "show", small)["league"]
    assert answer(desk, "fit", small, "--wait") == league | {"already_there": True}


def read_back(format: str, folder) -> dict[str, float]:
    """The shares in some exported files, read by the tools that a user would read them with."""
    if format == "regmix_yaml":
        return yaml.safe_load((folder / "draft_mixture.yaml").read_text())["train"]
    if format == "json":
        return {one["name"]: one["share"] for one in json.loads((folder / "draft_mixture.json").read_text())["domains"]}
    if format == "csv":
        lines = csv.DictReader((folder / "draft_mixture.csv").open())
        return {line["domain"]: float(line["share_of_tokens"]) for line in lines}
    if format == "megatron":
        words = (folder / "draft_data_args.txt").read_text().split()
        return dict(zip(words[1::2], map(float, words[::2]), strict=True))
    if format == "parquet":
        rows = duckdb.sql(f"SELECT domain, share_of_tokens FROM '{folder / 'draft_mixture.parquet'}'").fetchall()
        return dict(rows)
    lines = ast.parse((folder / "draft_litgpt_mixture.py").read_text()).body
    return next(ast.literal_eval(line.value) for line in lines if isinstance(line, ast.Assign))


@pytest.mark.slow
def test_every_format_holds_the_same_shares(desk, small, tmp_path):
    rows = answer(desk, "runs", small)
    design = next(row for row in rows if row["role"] == "design")
    written = answer(desk, "export", small, "--format", "all", "--candidate", design["id"], "--out", str(tmp_path))
    assert sorted(written["written"]) == sorted(str(path) for path in tmp_path.rglob("*") if path.is_file())
    assert {path.name for path in tmp_path.iterdir()} == set(FORMATS) and "refused" not in written
    for format in ("regmix_yaml", "json", "csv", "megatron", "parquet", "litgpt"):
        shares = read_back(format, tmp_path / format)
        assert {name: shares.get(name, 0) for name in DOMAINS} == pytest.approx(design["weights"], abs=1e-6)


@pytest.mark.slow
def test_a_path_that_one_format_refuses_is_no_matter_of_the_others(desk, small, tmp_path, refused):
    spaced = ("--path", f"{min(DOMAINS)}=/data/my texts/a")
    wish = ("export", small, "--format", "all", "--candidate", "natural", "--out", str(tmp_path / "files"))
    told = answer(desk, *wish, *spaced)
    assert set(told["refused"]) == {"megatron"} and "white space" in told["refused"]["megatron"]
    assert {path.name for path in (tmp_path / "files").iterdir()} == set(FORMATS) - {"megatron"}
    assert "'nowhere'" in refused(*wish, "--force", "--path", "nowhere=x", workspace=desk)


def test_an_export_writes_over_nothing_unasked(desk, small, tmp_path, refused):
    (tmp_path / "draft_mixture.json").write_text("mine")
    wish = ("export", small, "--format", "json", "--tokens", "5e9", "--out", tmp_path)
    assert "--force" in refused(*wish, workspace=desk)
    assert (tmp_path / "draft_mixture.json").read_text() == "mine"
    engine(desk, *map(str, wish), "--force")
    assert json.loads((tmp_path / "draft_mixture.json").read_text())["target_tokens"] == 5e9


@pytest.mark.slow
def test_cancel_and_resume_of_a_new_study(desk):
    """Nobody works: the jobs wait, a cancel ends them at once, resume queues them again."""
    study = answer(desk, "start", str(desk.parent / "tiny.toml"))["study"]
    assert answer(desk, "show", study)["counts"] == {"planned": 11}
    assert answer(desk, "cancel", study)["state"] == "cancelled"
    shown = answer(desk, "show", study)
    assert shown["state"] == "cancelled" and shown["counts"] == {"cancelled": 11} and shown["settled"]
    assert answer(desk, "resume", study)["state"] == "active"
    shown = answer(desk, "show", study)
    assert shown["counts"] == {"planned": 11} and {job["state"] for job in shown["jobs"]} == {"queued"}
    answer(desk, "cancel", study)


# Through a running page ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_answers_through_the_page(desk, small, tmp_path, refused):
    """Where a server owns the workspace, commands go through it, and nothing else changes."""
    wishes = [("list",), ("show", small), ("runs", small), ("searches", small), ("corpora",)]
    wish = ("export", small, "--format", "json", "--candidate", "natural", "--out")
    here = [answer(desk, *wish) for wish in wishes]
    engine(desk, *wish, str(tmp_path / "here"))
    page = Page(desk)
    try:
        assert [answer(desk, *wish) for wish in wishes] == here
        engine(desk, *wish, str(tmp_path / "there"))
        said, read = alone("--workspace", str(desk), "list")
        assert json.loads(said) == here[0] and not HEAVY & read, "who asks needs nothing of what answers"
        assert "Studies here: " in refused("show", "nope", workspace=desk)
        assert "no corpus 'nope'" in refused("start", study_of(tmp_path, "nope"), workspace=desk)
    finally:
        page.stop()
    here, there = ((tmp_path / side / "draft_mixture.json").read_text() for side in ("here", "there"))
    assert here == there


def study_of(folder, corpus: str):
    path = folder / "study.toml"
    path.write_text(TINY.replace('corpus = "small"', f'corpus = "{corpus}"'))
    return path


def test_a_study_that_cannot_be_planned_holds_up_nothing_else(desk, tmp_path):
    """Its corpus is built after it was started, and lacks its domain: the workspace still answers."""
    workspace = tmp_path / "workspace"
    texts = json.loads((desk / "corpora" / "small" / "manifest.json").read_text())["spec"]["source"]["path"]
    engine(workspace, "corpus", "--name", "small", "--folder", texts)
    (tmp_path / "study.toml").write_text('domains = ["latin"]\n' + TINY)
    answer(workspace, "start", str(tmp_path / "study.toml"))
    done = engine(workspace, "corpus", "--name", "small", "--folder", texts, "--wait", check=False)
    assert done.returncode == 0
    assert answer(workspace, "list")[0]["name"] == "Tiny"
