"""Recipes: every format comes back with its weights, by our readers and by the loaders' own packages or rules."""

import ast
import csv
import io
import json
import math
from types import SimpleNamespace

import duckdb
import pytest
import yaml

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.sheets import STARTS
from engine.recipes import FORMATS, Recipe, export, standing
from engine.review.recipe import lengths

LENGTHS = (400.0, 100.0, 250.0)  # mean tokens of a document


def recipe(domains=("web", "code", "junk"), shares=(0.7, 0.3, 0.0), **more):
    more = {"approved": True, "tokens_per_document": (100.0,) * len(domains), **more}
    return Recipe("pile", "best", tuple(domains), tuple(shares), 1e9, (5e8,) * len(domains), **more)


def text_of(files) -> str:
    return "".join(content for content in files.values() if isinstance(content, str))


def shares_in(format, files) -> dict[str, float]:
    """What a file says, as shares: of examples, where it holds numbers of these."""
    found = FORMATS[format].read(files)
    total = sum(found.values()) if FORMATS[format].weights == "examples" else 1
    return {name: weight / total for name, weight in found.items()}


@pytest.fixture(params=FORMATS)
def format(request):
    return request.param


# What every format promises --------------------------------------------------------------------------------


def test_a_plain_mixture(format):
    files = export(recipe(), format)
    assert shares_in(format, files)["web"] == pytest.approx(0.7, abs=1e-9)
    if format != "parquet":
        assert "token" in text_of(files).lower(), "the unit is stated"
        assert "1.4" in text_of(files), "epochs: 0.7 x 1e9 / 5e8"
    assert "draft" not in text_of(files).lower()
    assert json.loads(files["provenance.json"])["state"] == "approved"


def test_a_draft_says_so_in_names_and_text(format):
    files = export(recipe(approved=False), format)
    assert all(name.startswith("draft_") for name in files)
    assert "draft" in text_of(files).lower()
    assert json.loads(files["draft_provenance.json"])["state"] == "draft"


def test_many_small_shares_come_back(format):
    shares = [1 / 3**i for i in range(1, 16)]
    shares.append(1 - sum(shares))
    names = [f"d{i}" for i in range(16)]
    found = shares_in(format, export(recipe(names, shares), format))
    step = 2e-7 if FORMATS[format].weights == "examples" else 0  # of ten million
    assert found == pytest.approx(dict(zip(names, shares, strict=True)), abs=1e-8 + step)


ODD = ["a: b", 'say "x"', "l'été", "日本", "#hash", "yes", "null", "1.5", "-", "a,b", "😀", "{x}", "\\n"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_survive_or_are_refused(format, name):
    try:
        files = export(recipe((name, "web"), (0.25, 0.75)), format)
    except Problem as problem:
        assert format == "megatron" and " " in name, problem
    else:
        assert shares_in(format, files) == pytest.approx({name: 0.25, "web": 0.75})


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\t=1"])
def test_no_cell_of_a_table_is_a_formula(format, name):
    """Names of candidates, domains and metrics, in every CSV file that any format writes."""
    told = [{"metric": name, "unit": "bits", "mean": -1.5, "std": 0.1}]
    draft = Recipe(
        name,
        name,
        (name.strip(), "web"),
        (0.25, 0.75),
        1e9,
        None,
        approved=True,
        predictions=told,
        tokens_per_document=(9.0, 9.0),
    )
    tables = [text for file, text in export(draft, format).items() if file.endswith(".csv")]
    for cell in (cell for text in tables for row in csv.reader(io.StringIO(text, newline="")) for cell in row):
        assert not cell.startswith(STARTS) or is_number(float(cell))


@pytest.mark.parametrize("name", ["end\nweb: 1.0", "\u202egnp", "next\u2028line", "</script><b>", "\"'\\ %s {x}"])
def test_what_people_call_a_candidate_cannot_end_a_comment(format, name):
    """Names of candidates and studies may be anything; in files they stay inside their comment or string."""
    plain = Recipe(name, name, ("web", "code"), (0.5, 0.5), 1e9, None, approved=True, tokens_per_document=(9.0, 9.0))
    files = export(plain, format)
    assert shares_in(format, files) == pytest.approx({"web": 0.5, "code": 0.5})
    code = "".join(line for file, text in files.items() if file.endswith(".py") for line in text.splitlines(True))
    if code:
        ast.parse(code)
    assert "\u202e" not in "".join(files[file] for file in files if file.endswith((".py", ".yaml", ".txt")))


def test_what_cannot_be_said_is_known_before(format):
    told = standing(recipe(tokens_per_document=None, paths={"web": "my data/web"}))[format]
    counted = FORMATS[format].weights in ("document_shares", "examples")
    expected = {"megatron": "white space"}.get(format, "tokens a document" if counted else None)
    if expected:
        assert expected in told["problem"]
        with pytest.raises(Problem, match=expected):
            export(recipe(tokens_per_document=None, paths={"web": "my data/web"}), format)
    else:
        assert told["problem"] is None and told["unit"] in told["notes"][0]
        assert FORMATS[format].positive == any("junk is left out" in note for note in told["notes"])


def test_paths_stand_where_a_loader_reads_them():
    moved = recipe(paths={"web": "/d/web_text_document"})
    assert export(moved, "megatron")["data_args.txt"].split()[:2] == ["0.700000000", "/d/web_text_document"]
    assert "/d/web_text_document" in export(moved, "levanter")["levanter.yaml"]
    with pytest.raises(Problem, match="one path"):
        recipe(paths={"web": "code"})
    with pytest.raises(Problem, match="'wob'"):
        recipe(paths={"wob": "x"})


# By the loaders' own packages and rules --------------------------------------------------------------------


@pytest.mark.slow
def test_megatron_core_reads_its_arguments():
    utils = pytest.importorskip("megatron.core.datasets.utils")
    files = export(recipe(), "megatron")
    prefixes, weights = utils.get_blend_from_list(files["data_args.txt"].split())
    assert dict(zip(prefixes, weights, strict=True)) == pytest.approx({"web": 0.7, "code": 0.3})
    for split in json.loads(files["per_split.json"]).values():
        assert utils.get_blend_from_list(split) == (prefixes, weights)


def test_hf_datasets_draws_the_shares_of_tokens():
    """Rows of unequal length: what is drawn has the recipe's shares of tokens, not of rows."""
    datasets = pytest.importorskip("datasets")
    wanted = recipe(("web", "code", "maths"), (0.6, 0.25, 0.15), tokens_per_document=LENGTHS)
    space: dict = {}
    exec(export(wanted, "hf_datasets")["hf_mixture.py"], space)
    rows = {
        name: datasets.Dataset.from_dict({"tokens": [length] * 2000, "domain": [name] * 2000})
        for name, length in zip(wanted.domains, LENGTHS, strict=True)
    }
    drawn = space["train_dataset"](rows).select(range(4000)).to_pandas()
    shares = drawn.groupby("domain")["tokens"].sum() / drawn["tokens"].sum()
    assert shares.to_dict() == pytest.approx(dict(zip(wanted.domains, wanted.shares, strict=True)), abs=0.03)
    assert wanted.document_shares != pytest.approx(wanted.shares, abs=0.05)


def test_olmo_core_keeps_its_own_rules():
    """As SourceMixtureConfig.validate and SourceMixtureList.validate of ai2-olmo-core 3.0 ask; its dependencies would
    move pins here."""
    wanted = recipe()
    sources = yaml.safe_load(export(wanted, "olmo_core")["sources.yaml"])["sources"]
    assert all(set(one) == {"source_name", "target_ratio", "max_repetition_ratio", "paths"} for one in sources)
    assert all(0 < one["target_ratio"] <= 1 and one["max_repetition_ratio"] >= 1 and one["paths"] for one in sources)
    assert sum(one["target_ratio"] for one in sources) == pytest.approx(1, rel=1e-5, abs=1e-8)
    for one in sources:  # "Insufficient tokens for source" otherwise
        assert 5e8 * one["max_repetition_ratio"] >= int(1e9 * one["target_ratio"])


def test_regmix_takes_its_yaml():
    """TinyLlama's script of RegMix reads train and valid as names to weights, and divides by the sum of train's."""
    whole = yaml.safe_load(export(recipe(), "regmix_yaml")["mixture.yaml"])
    assert set(whole) == {"train", "valid"} and set(whole["train"]) == set(whole["valid"])
    total = sum(whole["train"].values())
    assert [weight / total for weight in whole["train"].values()] == pytest.approx([0.7, 0.3, 0.0], abs=1e-9)


def test_python_files_compile_and_name_what_they_need(format):
    for name, text in export(recipe(), format).items():
        if name.endswith(".py"):
            tree = ast.parse(text)
            imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            imported = {alias.name for node in imports for alias in node.names}
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert imported <= used, "nothing is imported for nothing"


def test_parquet_holds_everything(tmp_path):
    rows = ({"metric": "web", "unit": "bits per byte", "mean": 2.5, "std": 0.1},)
    files = export(recipe(predictions=rows, provenance={"seed": 3}), "parquet")
    for name in ("mixture.parquet", "predictions.parquet"):
        (tmp_path / name).write_bytes(files[name])
    found = duckdb.sql(f"SELECT domain, share_of_tokens, epochs FROM '{tmp_path}/mixture.parquet'").fetchall()
    assert found == [("web", 0.7, 1.4), ("code", 0.3, 0.6), ("junk", 0.0, 0.0)]
    low = duckdb.sql(f"SELECT low_95 FROM '{tmp_path}/predictions.parquet'").fetchall()[0][0]
    assert low == pytest.approx(2.5 - 1.96 * 0.1)
    metadata = f"SELECT key::VARCHAR, value::VARCHAR FROM parquet_kv_metadata('{tmp_path}/mixture.parquet')"
    told = dict(duckdb.sql(metadata).fetchall())
    assert told["unit"] == "tokens" and "seed" in told["recipe"]


def test_json_holds_everything():
    rows = ({"metric": "web", "mean": 2.5, "std": 0.1},)
    whole = json.loads(export(recipe(predictions=rows, provenance={"seed": 3}), "json")["mixture.json"])
    assert (whole["predictions"], whole["provenance"], whole["state"]) == (list(rows), {"seed": 3}, "approved")


# What is refused -------------------------------------------------------------------------------------------


def test_a_file_that_comes_back_wrong_is_refused(monkeypatch):
    careless = FORMATS["csv"]._replace(write=lambda r: {"mixture.csv": "domain,share_of_tokens\nweb,0.6\ncode,0.4\n"})
    monkeypatch.setitem(FORMATS, "csv", careless)
    with pytest.raises(Problem, match=r"'web' 0\.7 as 0\.6"):
        export(recipe(), "csv")


@pytest.mark.parametrize(
    ("domains", "shares", "said"),
    [
        (("a", "b"), (0.7, 0.4), "sum to 1.1"),
        (("a", "b"), (1.2, -0.2), "at least 0"),
        (("a", "a"), (0.5, 0.5), "one name"),
        (("a\nb", "c"), (0.5, 0.5), "control characters"),
        (("", "c"), (0.5, 0.5), "empty"),
        (("a",), (0.5, 0.5), "one of each"),
    ],
)
def test_what_is_no_recipe(domains, shares, said):
    with pytest.raises(Problem, match=said):
        recipe(domains, shares)


def test_unknown_format():
    with pytest.raises(Problem, match="regmix_yaml"):
        export(recipe(), "excel")


@pytest.mark.parametrize("format", ["json", "csv"])
def test_nan_is_refused(format):
    with pytest.raises(Problem, match="Remove that value"):
        export(recipe(provenance={"mean": float("nan")}), format)


@pytest.mark.parametrize("given", [0.0, 5e-324, -1.0, math.nan, math.inf])
def test_documents_of_no_length_are_refused_and_not_replaced_by_the_corpus(given):
    """Shares of documents would be no numbers, or of another length than the one that was given."""
    facts = {"train_tokens": 10, "train_documents": 2}
    study = SimpleNamespace(domains=["web", "code"], corpus={"domains": {"web": facts, "code": facts}})
    assert lengths(study, None) == (5.0, 5.0) and lengths(study, {"web": 2.5}) == (2.5, 5.0)
    with pytest.raises(Problem, match=r"length of a document of 'web'.* at least 1"):
        lengths(study, {"web": given})
