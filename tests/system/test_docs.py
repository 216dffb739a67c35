"""The documentation does what it says: every command and block of code is run, or says why it cannot be.

A block may have a comment above it: `<!-- not run: why -->`, `<!-- run by tests/... -->` (a test that reads the page
itself; `as ...`: the file that it makes of it), or `<!-- file: name -->` (later blocks find it under that name).
Commands of one page run in order, in one folder, on a workspace of their own; Python of one section runs together.
Pages speak of "My study" and "My merges"; here these are the small finished ones.
"""

import gzip
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.core import access
from engine.jobs.backends.cluster_file import read_cluster
from engine.merging.config import read_config
from engine.spec.compute import Compute
from engine.spec.study import StudySpec
from tests.importing.flat import write as write_table
from tests.importing.made import HISTORY, RAW, repeated, text, under
from tests.studies.test_sizes import SIZES, columns_of
from tests.support.running import ROOT, copied, engine, write_domains

BLOCK = re.compile(
    r"^(?:[ ]*<!-- (?P<mark>.*?) -->\n)?(?P<indent>[ ]*)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")),
]
NAMES = {"My study": "Small", "My merges": "Small merge"}
TUTORIALS = ["docs/tutorials/mixtures.md", "docs/tutorials/merges.md"]  # one goes on from the other
FROM_NOTHING = {"docs/CORPUS.md", "docs/API.md", "docs/IMPORT.md"}  # an empty workspace
SHOWN = {"text", "nginx"}  # languages of what is only looked at


class Block(NamedTuple):
    page: str
    line: int
    mark: str
    language: str
    text: str
    section: str  # the heading above it

    @property
    def is_run(self) -> bool:
        return self.language not in SHOWN and not self.mark.startswith(("not run: ", "run by "))


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text()
    found = []
    for match in BLOCK.finditer(text):
        number, headings = text.count("\n", 0, match.start()) + 1, re.findall(r"^#+ .*", text[: match.start()], re.M)
        inside = re.sub(f"^{match['indent']}", "", match["text"], flags=re.M)
        found.append(
            Block(page, number, match["mark"] or "", match["language"], inside, headings[-1] if headings else "")
        )
    return found


def runs_alone(block: Block) -> bool:
    """Whether a block is run by itself: a program that a page saves and starts reads what its commands have made."""
    return block.is_run and (block.page in TUTORIALS or not block.mark.startswith("file: "))


def place(block: Block) -> str:
    return f"{block.page}:{block.line}"


RUN = [page for page in PAGES if any(block.is_run and block.language == "sh" for block in blocks(page))]


# What is shown is marked --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_every_fence_is_a_block_with_a_language(path):
    """Otherwise what it shows would escape these tests; so would a command in a block that is only looked at."""
    fences = re.findall(r"^[ >]*(?:```|~~~).*$", (ROOT / path).read_text(), re.M)
    assert len(fences) == 2 * len(blocks(path)), fences
    for block in blocks(path):
        commands = re.findall(r"^\s*(?:\$ )?mixdesk .*", block.text, re.M)
        assert not commands or block.language == "sh", (place(block), commands)


def test_a_block_that_is_not_run_says_why():
    all_blocks = [block for page in PAGES for block in blocks(page)]
    assert len(all_blocks) > 30
    for block in all_blocks:
        kind, _, rest = block.mark.partition(" as ")[0].partition(": " if ":" in block.mark else " by ")
        assert kind in ("", "not run", "run", "file"), block
        assert kind != "not run" or len(rest) > 15, block
        if kind == "run":
            assert Path(block.page).name in (ROOT / rest).read_text(), block


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", (ROOT / path).read_text()):
        assert ((ROOT / path).parent / link).exists(), link


# Pages that follow from the code ------------------------------------------------------------------------------


def test_pages_that_are_written_by_a_program_are_what_it_writes():
    for page, written in runpy.run_path(str(ROOT / "docs/generate.py"))["PAGES"].items():
        assert written() == (ROOT / page).read_text(), f"{page} is out of date: python docs/generate.py"


@pytest.mark.slow
def test_the_site_builds_and_asks_no_network(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loaded = re.findall(r"<(?:script|img|link)[^>]* (?:src|href)=\"?(https?://[^\s\">]+)", page.read_text())
        assert loaded == [], page.name


# Files and code -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        b
        for p in PAGES
        for b in blocks(p)
        if b.language in ("toml", "yaml", "json") and not b.mark.startswith("run by ")
    ],
    ids=place,
)
def test_files_are_read_by_their_readers(block, tmp_path):
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        (tmp_path / "config.yml").write_text(block.text)
        read_config(tmp_path / "config.yml")
    elif "sign_in" in (told := tomllib.loads(block.text)):
        (tmp_path / access.FILE).write_text(block.text)
        (tmp_path / access.FILE).chmod(0o600)
        assert access.read(tmp_path).url == told["url"]
    elif set(told) in ({"slurm"}, {"ray"}):
        (tmp_path / "cluster.toml").write_text(block.text)
        read_cluster(tmp_path, None, *told)
    elif set(told) == {"compute"}:
        Compute.from_dict(told["compute"])
    else:
        assert StudySpec.from_dict(told).name == told["name"]


@pytest.mark.parametrize(
    "block", [b for p in PAGES for b in blocks(p) if b.language == "python" and runs_alone(b)], ids=place
)
@pytest.mark.slow
def test_code_runs(block, tmp_path):
    section = [b for b in blocks(block.page) if b.language == "python" and b.section == block.section]
    code = "\n".join(b.text for b in section if b.line <= block.line)
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, env=here, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# Commands -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", [one for one in RUN if one not in TUTORIALS])
def test_commands_do_what_the_page_says(path, merged, tmp_path):
    workspace, folder = tmp_path / "workspace", tmp_path / "here"
    if path not in FROM_NOTHING:
        copied(merged, workspace)
    folder.mkdir()
    prepare(folder)
    follow(path, workspace, folder)


@pytest.mark.slow
@pytest.mark.soak
def test_the_tutorials_work_one_after_the_other_from_an_empty_folder(tmp_path):
    assert set(TUTORIALS) == {one for one in RUN if one.startswith("docs/tutorials/")}
    for path in TUTORIALS:
        follow(path, tmp_path / "workspace", tmp_path)


def follow(path: str, workspace: Path, folder: Path) -> None:
    """Save the files that a page shows, and run its commands, in their order."""
    last = ""
    for block in blocks(path):
        if block.mark.startswith("file: "):
            (folder / block.mark.removeprefix("file: ")).write_text(block.text)
        if block.language == "sh" and block.is_run:
            for line in block.text.replace("\\\n", " ").splitlines():
                last = run(line, workspace, folder, last) or last


def run(line: str, workspace: Path, folder: Path, last: str) -> str | None:
    """Run one line, `mixdesk ...` or `python ...`; ID stands for the last thing that was made. Returns the id of
    what it made."""
    words = [last if word == "ID" else NAMES.get(word, word) for word in shlex.split(line, comments=True)]
    if not words:
        return None
    assert words[0] in ("mixdesk", "python"), f"{line!r}: say why it is not run"
    if words[0] == "mixdesk":
        done = engine(workspace, *words[1:], check=False, folder=folder)
    else:
        here = {"MIXDESK_WORKSPACE": str(workspace), "PYTHONPATH": str(ROOT)}
        words = [sys.executable, *words[1:]]
        done = subprocess.run(words, cwd=folder, env=os.environ | here, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    try:
        made = json.loads(done.stdout)
    except ValueError:
        return None
    return (
        next((made[key] for key in ("candidate", "id", "token") if key in made), None)
        if isinstance(made, dict)
        else None
    )


def prepare(folder: Path) -> None:
    """The files that pages speak of: text, tables of runs, checkpoints."""
    write_domains(folder / "data")
    lines = [path.read_text("utf-8", "replace") for path in sorted((folder / "data" / "python").iterdir())]
    with gzip.open(folder / "web.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"content": text}) + "\n" for text in lines[::2])
    pyarrow.parquet.write_table(pa.table({"content": lines[1::2]}), folder / "code.parquet")
    (folder / "sets").mkdir()
    for name, given in (("short", lines[::2]), ("long", lines[1::2])):
        with open(folder / "sets" / f"{name}.jsonl", "w") as file:
            file.writelines(json.dumps({"instruction": one[:99], "output": one[99:]}) + "\n" for one in given)
    shutil.copytree(folder / "data", folder / "text")  # beside a domain that nobody can read
    (folder / "text" / "code").mkdir()
    (folder / "text" / "code" / "weights.bin").write_bytes(bytes(range(256)) * 16)
    for name, text_of in (("news", "prose"), ("letters", "python")):
        shutil.copytree(folder / "data" / text_of, folder / "new" / name)
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 24)
    losses = 3 - np.log(shares + 0.1) @ rng.uniform(0.1, 0.5, (3, 2))
    for name, columns, values in (
        ("train_mixture_1m.csv", "train_web,train_code,train_books", shares),
        ("train_pile_loss_1m.csv", "web_loss,code_loss", losses),
        ("new.csv", "train_web,train_code,train_books", shares[:3]),
    ):
        rows = [",".join([str(n), *map(repr, map(float, row))]) for n, row in enumerate(values)]
        (folder / name).write_text("\n".join([f"index,{columns}", *rows]) + "\n")
    write_table(folder / "sizes.csv", columns_of(SIZES))
    write_table(folder / "points.csv", {name: values[:3] for name, values in columns_of(SIZES).items() if "/" in name})
    (folder / "counts.csv").write_text("domain,tokens\npython,800000000\nprose,190000000\ndigits,10000000\n")
    raw = repeated(under("w_", RAW), 3)
    (folder / "history.csv").write_text(text(HISTORY | raw))
    from tests.support.checkpoints import llama, write  # torch takes seconds, and not all pages need it

    base = llama(0)
    write(folder / "base", base)
    for seed, name in enumerate(("expert-code", "expert-math"), 1):
        write(folder / name, llama(seed, base))


def test_what_kinds_of_data_did_is_what_was_measured():
    """Every effect that the page tells is one of the benchmark's."""
    rows = json.loads((ROOT / "benchmarks/results/kinds.json").read_text())["rows"]
    known = {f"{row['effect']:+.2f} ± {row['error']:.2f}" for row in rows}
    said = re.findall(r"[+-]\d+\.\d\d ± \d+\.\d\d", (ROOT / "docs/how-to/kinds-of-data.md").read_text())
    assert len(said) > 20 and set(said) <= known
