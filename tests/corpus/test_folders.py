"""What a folder of text holds: all of it is read, or named with the reason; a whole domain stays out only if asked."""

import argparse
import gzip
import json
import os
import socket

import numpy as np
import pytest

from engine.cli.corpus import corpus_options, corpus_spec
from engine.core.errors import Problem
from engine.corpus import CorpusSpec, build
from engine.corpus.layouts import of_folder
from engine.corpus.report import report
from engine.corpus.texts import WholeDomainsLeft, scan_of, sources_of
from tests.corpus.test_formats import read


def fill(root, *names, seed=0):
    """Files of JSON lines, of about 100 kB, all different."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps({"text": rng.bytes(500).hex()}) + "\n" for _ in range(100)).encode()
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)


def folder(root, **rest):
    return CorpusSpec(source={"type": "folder", "path": str(root), **rest})


def test_files_beside_folders_are_domains_and_all_else_is_named(tmp_path):
    root = tmp_path / "data"
    fill(root, "books/a.jsonl", "web/deep/b.json.gz", "code.jsonl", "math.ndjson")
    for name in ("README.md", ".DS_Store", "web/deep/page.html", "books/none.txt", "books/.cache/x.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("" if name.endswith("none.txt") else "x")
    manifest = build(folder(root), tmp_path / "c", processes=1)
    assert list(manifest["domains"]) == ["books", "code", "math", "web"]
    assert {left["path"]: left["reason"] for left in manifest["left_out"]} == {
        ".DS_Store": "it is hidden",
        "README.md": "it tells about the folder",
        "books/.cache": "it is hidden",
        "books/none.txt": "it is empty",
        "web/deep/page.html": ".html files are not read",
    }
    told = report(manifest)
    assert told["text"].startswith("Text from 4 of 4 files. Left out: 5 (")
    assert told["files"]["web"] == {"found": 1, "read": 1, "beyond_cap": 0, "paths": ["web/deep/b.json.gz"]}


def test_all_names_that_no_domain_can_have_are_named_at_once(tmp_path):
    fill(tmp_path, "web.jsonl", "a:b.jsonl", "new\nline.jsonl", f"{'x' * 70}.jsonl")
    (tmp_path / os.fsdecode(b"bad\xff.jsonl")).write_bytes((tmp_path / "web.jsonl").read_bytes())
    with pytest.raises(Problem, match=r"'a:b', 'bad\\udcff', 'new\\nline', 'x{70}' as the name of a domain.*Rename"):
        sources_of(folder(tmp_path))


LOST = {
    "folder of unknown files": ("code/a.html", "code/b.jsonl.lz4"),
    "unknown file": ("code.jsonl.lz4",),
    "packed table": ("code.parquet.gz",),
    "no suffix": ("code",),
    "beside train": ("train/web/a.jsonl", "train/books/a.jsonl", "code/a.jsonl"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_whole_domain_is_left_out_only_if_that_is_asked_for(tmp_path, case):
    root = tmp_path / "data"
    fill(root, *(() if case == "beside train" else ("web/a.jsonl", "books.jsonl")), *LOST[case])
    with pytest.raises(WholeDomainsLeft, match="code") as refused:
        sources_of(folder(root))
    (lost,) = refused.value.domains
    spec = folder(root, without=[lost])
    assert list(sources_of(spec)) == ["books", "web"]
    assert lost in {left.domain for left in scan_of(spec).left}


def test_links_pipes_and_sockets_are_named_and_never_opened(tmp_path):
    root = tmp_path / "data"
    fill(root, "web/a.jsonl", "books/a.jsonl")
    fill(tmp_path / "secret", "x.jsonl")
    os.mkfifo(root / "web" / "pipe.jsonl")
    (root / "web" / "link.jsonl").symlink_to(tmp_path / "secret" / "x.jsonl")
    (root / "books" / "folder").symlink_to(tmp_path / "secret")
    (root / "books" / "loop").symlink_to(root)
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind(os.path.relpath(root / "web" / "s.jsonl"))
    left = {one.path: one.reason for one in of_folder(str(root)).left}
    link = "it is a link, and links are not followed"
    assert left == {
        "books/folder": link,
        "books/loop": link,
        "web/link.jsonl": link,
        "web/pipe.jsonl": "it is a pipe, not a file",
        "web/s.jsonl": "it is a socket, not a file",
    }
    (root / "code").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "math.jsonl")
    with pytest.raises(WholeDomainsLeft, match=r"code \(code: it is a link.*math \(math.jsonl: it is a pipe"):
        sources_of(folder(root))


def test_a_file_that_becomes_a_link_after_the_scan_is_not_followed(tmp_path):
    fill(tmp_path, "secret.jsonl")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(Problem, match="gave no text"):
        read(tmp_path / "a.jsonl")


def test_a_readable_domain_may_stay_out_and_a_mistyped_one_is_refused(tmp_path):
    root = tmp_path / "data"
    fill(root, "web.jsonl", "code.jsonl", "books.jsonl")
    assert list(sources_of(folder(root, without=["code"]))) == ["books", "web"]
    with pytest.raises(Problem, match=r"no domain of that name\. It has books, code, web"):
        sources_of(folder(root, without=["cod"]))
    with pytest.raises(Problem, match="list of the domains"):
        folder(root, without="code")


def test_the_command_line_says_what_stays_out(tmp_path):
    root = tmp_path / "data"
    fill(root, "web.jsonl", "code.jsonl", "books.jsonl")
    parser = argparse.ArgumentParser()
    corpus_options(parser)
    spec = corpus_spec(parser.parse_args(["--folder", str(root), "--without", "code"]))
    assert list(sources_of(CorpusSpec.from_dict(spec))) == ["books", "web"]
    with pytest.raises(Problem, match="name only those that are wanted"):
        corpus_spec(parser.parse_args(["--file", "web=x.jsonl", "--without", "code"]))


def test_a_manifest_of_before_has_a_report():
    old = {"domains": {"web": {"skipped_count": 1}}, "skipped": [{"domain": "web", "path": "a", "reason": "why"}]}
    assert report(old)["text"] == "Could not be read: 1 (a: why)." and report(old)["left_out"] == []


def test_splits_are_not_taken_for_domains(tmp_path):
    fill(tmp_path, "train.jsonl", "test.jsonl", "validation.jsonl")
    with pytest.raises(Problem, match="splits of one data set"):
        of_folder(str(tmp_path))
