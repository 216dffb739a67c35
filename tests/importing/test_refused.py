"""Tables that are refused by their names, are larger than they look, or are damaged."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.core.errors import Problem
from engine.importing import read_runs, read_table
from engine.importing.limits import COLUMNS
from tests.importing import made
from tests.importing.made import PLAIN, text
from tests.importing.reading import reading, runs_of, written

REFUSED = {
    "a header of values": (
        "ckpt/70M_0.3-0.7\tvalid.bin\t2.5\nckpt/70M_0.4-0.6\tvalid.bin\t2.6\n",
        "first line holds values",
    ),
    "shares in names": ("ckpt,valid_loss\n70M_0.3-0.7,2.5\n70M_0.4-0.6,2.6\n", "'0.3-0.7' in column 'ckpt'"),
    "lists without names": (
        '{"weights": [0.5, 0.5], "loss": 1}\n{"weights": [0.4, 0.6], "loss": 2}',
        "'weights' holds lists",
    ),
    "a title above": ("My runs\nrun,a,b\n1,2,3\n", "remove what is above"),
    "a workbook": (b"PK\x03\x04" + bytes(40), "workbook"),
    "a pickle": (b"\x80\x04\x95" + bytes(40), "pickle"),
    "an Arrow file": (b"ARROW1" + bytes(40), "Arrow or Feather file. Save the table as Parquet"),
    "a database": (b"SQLite format 3\x00" + bytes(40), "database"),
    "results of one model": (json.dumps({"results": {"arc": {"acc": 1}}, "configs": {"arc": {}}}), "no table of runs"),
    "a broken line": ('{"a": 1}\n{"a":\n', "line 2"),
    "a field twice": ('[{"run": 1, "web": 0.3, "web": 0.5, "loss": 1}]', "'web' is there twice"),
    "a field twice in a line": ('{"web": 0.3}\n{"web": 0.3, "web": 0.5}\n', "line 2 of runs.csv: 'web' is there twice"),
    "a domain twice in a cell": (
        'run,mix\n1,"{""a"": 0.4, ""b"": 0.6}"\n2,"{""a"": 0.5, ""b"": 0.5}"\n3,"{""a"": 0.5, ""a"": 0.5}"\n',
        "row 4.*'mix'",
    ),
    "split, without columns": ('{"columns": 5, "data": [[1]]}', "row 1 of runs.csv: its data is"),
    "split, with a short row": (
        '{"columns": ["a", "b"], "data": [[1, 2], [3]]}',
        r"row 2 of runs.csv: its data is '\[3\]'",
    ),
    "split, of numbers": ('{"columns": ["a"], "data": [1, 2]}', "row 1 of runs.csv: its data is '1'"),
    "split, a name twice": ('{"columns": ["a", "a"], "data": [[1, 2]]}', "'a' is there twice"),
    "deep nesting": ("[" * 100_000, "too deep"),
    "two decimal marks": ("run;w_a;w_b\n1;0,5;0.5\n2;0,4;0,6\n3;0,4;0.6\n", "row 2.*'w_b'|row 3.*'w_b'"),
    "some percent signs": ("run,w_a,w_b\n1,50%,50%\n2,0.4,60%\n3,30%,70%\n", "row 3.*'0.4' has no percent sign"),
    "an ambiguous comma": ("run;w_a;w_b;loss\n" + "1;1,234;2,345;1\n2;1,334;2,445;2\n", "'decimal'"),
    "one object among texts": (
        'run,mix\n1,"{""a"": 0.4, ""b"": 0.6}"\n2,"{""a"": 0.5, ""b"": 0.5}"\n3,oops\n',
        "row 4.*'oops'",
    ),
    "a pair that stands twice": (
        "run,domain,weight\n1,a,0.5\n1,b,0.5\n1,b,0.5\n2,a,1\n2,b,0\n",
        "row 4.*'b' in column 'domain'",
    ),
    "all runs crashed": (
        "Name,State,w_a,w_b,loss\nx,crashed,0.5,0.5,1\ny,failed,0.4,0.6,2\n",
        "crashed, failed in every one",
    ),
    "a quote that is never closed": (
        text(PLAIN).replace("\n5,", '\n"5,', 1),
        "lines 7 to 17 of runs.csv: they have 1 cell,.*a quote that is never closed",
    ),
    "names that look alike": (
        text({**PLAIN, "caf\u00e9": PLAIN["web"], "cafe\u0301": PLAIN["web"]}),
        "two of its columns are called 'cafe\u0301'",
    ),
    "too many columns": (",".join(map(str, range(COLUMNS + 1))) + "\n" + ",".join("1" * (COLUMNS + 1)), "columns"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_its_name(tmp_path, name):
    content, said = REFUSED[name]
    with pytest.raises(Problem, match=said):
        runs_of(written(tmp_path / "runs.csv", content))


@pytest.mark.slow
def test_parquet_is_bounded_by_what_it_says_of_itself(tmp_path):
    """A few kilobytes that would unpack to gigabytes."""
    zeros = pa.table({f"c{i}": np.zeros(200_000) for i in range(60)})
    parquet.write_table(zeros, tmp_path / "wide.parquet")
    with pytest.raises(Problem, match="12,000,000 values"):
        read_table(tmp_path / "wide.parquet")
    parquet.write_table(pa.table({"list": pa.array([np.zeros(11_000_000)])}), tmp_path / "list.parquet")
    with pytest.raises(Problem, match="11,000,000 values"):
        read_table(tmp_path / "list.parquet")
    with pytest.raises(Problem, match="larger than 256 MiB"):
        read_table(written(tmp_path / "runs.csv.gz", gzip.compress(bytes(270 << 20), 1)))


@pytest.mark.slow
def test_thousands_of_columns_are_explained_at_once(tmp_path):
    rows = 20
    shares = np.random.default_rng(0).dirichlet(np.ones(4), rows)
    table = {f"m{i}": [i * 1e-6, i * 1.01e-6] * (rows // 2) for i in range(3000)}
    table |= {name: shares[:, i].tolist() for i, name in enumerate("abcd")} | {"val_loss": list(range(rows))}
    found = reading(written(tmp_path / "runs.csv", table))
    assert list(found.mapping.weights) == list("abcd") or found.questions
    assert len(found.columns) == 3005


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("runs.parquet", lambda path: parquet.write_table(pa.table(PLAIN), path)),
        ("runs.csv", text(made.WANDB)),
        ("runs.csv", made.python_text),
        ("runs.jsonl", made.json_lines),
    ],
)
def test_damaged_files_are_refused_or_read_and_never_end_the_process(tmp_path, file, content):
    path = written(tmp_path / file, content)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_runs(reading(path))
        except Problem as problem:
            assert str(problem).startswith("Cannot ")
