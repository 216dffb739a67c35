"""Domains that came split: text for testing is never trained on, and a split is no domain of its own."""

import pytest

from engine.core.errors import Problem
from engine.corpus import build
from engine.corpus.layouts import of_files, of_folder
from engine.corpus.texts import sources_of
from tests.corpus.test_folders import fill, folder

OTHER = "it is another split ({}) than those for training and validation"
SPLIT = {  # files -> the sides of web's
    ("web_train.jsonl", "web_valid.jsonl"): {"web_train.jsonl": "train", "web_valid.jsonl": "valid"},
    ("train-web-00.jsonl", "train-web-01.jsonl", "val-web.jsonl"): {
        "train-web-00.jsonl": "train",
        "train-web-01.jsonl": "train",
        "val-web.jsonl": "valid",
    },
    ("web.train.jsonl.gz", "web.test.jsonl"): {"web.train.jsonl.gz": "train"},
    ("web/train-00000-of-00002.jsonl", "web/train-00001-of-00002.jsonl", "web/dev-00000-of-00001.jsonl"): {
        "web/train-00000-of-00002.jsonl": "train",
        "web/train-00001-of-00002.jsonl": "train",
        "web/dev-00000-of-00001.jsonl": "valid",
    },
    ("web/train/deep/a.jsonl", "web/validation/a.jsonl", "web/test/a.jsonl", "web/more.jsonl"): {
        "web/train/deep/a.jsonl": "train",
        "web/validation/a.jsonl": "valid",
        "web/more.jsonl": "",
    },
    ("web/valid.jsonl", "web/dev.jsonl", "web/train.jsonl"): {"web/valid.jsonl": "valid", "web/train.jsonl": "train"},
}


@pytest.mark.parametrize("names", SPLIT)
def test_splits_are_sides_and_other_splits_are_named(tmp_path, names):
    root = tmp_path / "data"
    fill(root, "books.jsonl", *names)
    scan = of_folder(str(root))
    assert list(scan.domains) == ["books", "web"]
    assert {file.name: file.side for file in scan.domains["web"]} == SPLIT[names]
    left = {one.path: (one.reason, one.domain) for one in scan.left}
    others = {name: next(word for word in ("test", "dev") if word in name) for name in set(names) - set(SPLIT[names])}
    assert left == {name: (OTHER.format(word), "web") for name, word in others.items()}


@pytest.mark.parametrize("names", [("web_test.jsonl", "unit_test.jsonl"), ("web/test.jsonl", "unit/eval/a.jsonl")])
def test_without_a_split_for_training_names_are_names(tmp_path, names):
    root = tmp_path / "data"
    fill(root, *names)
    scan = of_folder(str(root))
    assert len(scan.domains) == 2 and not scan.left
    assert {file.side for files in scan.domains.values() for file in files} == {""}


def test_folders_that_are_named_one_by_one_come_split_too(tmp_path):
    fill(tmp_path, "a/train.jsonl", "a/test.jsonl", "b/x.jsonl")
    scan = of_files({name: str(tmp_path / name) for name in "ab"})
    assert [file.side for file in scan.domains["a"]] == ["train"] and [one.path for one in scan.left] == ["test.jsonl"]


def test_splits_beside_train_are_named_as_such_and_dev_validates(tmp_path):
    root = tmp_path / "data"
    fill(root, "train/web.jsonl", "train/code.jsonl", "dev/web.jsonl", "test/web.jsonl", "eval.jsonl")
    scan = of_folder(str(root))
    assert [file.side for file in scan.domains["web"]] == ["train", "valid"]
    assert {one.path: (one.reason, one.domain) for one in scan.left} == {
        name: ("it is another split than those for training and validation", "") for name in ("test", "eval.jsonl")
    }


def test_a_split_corpus_validates_on_its_own_split(tmp_path):
    root = tmp_path / "data"
    for seed, name in enumerate(("web/train.jsonl", "web/valid.jsonl", "web/test.jsonl", "books.jsonl")):
        fill(root, name, seed=seed)
    manifest = build(folder(root), tmp_path / "c", processes=1)
    web = manifest["domains"]["web"]
    assert web["train_documents"] == web["valid_documents"] == 100
    assert [one["path"] for one in manifest["left_out"]] == ["web/test.jsonl"]


def test_one_folder_of_domains_inside_is_pointed_to(tmp_path):
    fill(tmp_path, "data/web/a.jsonl", "data/code/a.jsonl")
    with pytest.raises(Problem, match=r"/data holds code, web: give that"):
        sources_of(folder(tmp_path))
    fill(tmp_path, "data/web/b.jsonl")
    assert list(sources_of(folder(tmp_path / "data"))) == ["code", "web"]
