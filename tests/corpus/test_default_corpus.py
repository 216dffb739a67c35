"""The default corpus: six domains of what is installed, each what its name says, and the same everywhere."""

import json
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from engine import corpus
from engine.corpus import CorpusSpec, build
from engine.corpus.packages import STANDARD_LIBRARY
from engine.corpus.sources import BINARIES, DOMAINS, LIBRARIES, MATHEMATICS, WITH_HEADERS

SMALL_CAP = 0.4  # MB per domain


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """The default corpus, small, read by two processes."""
    out = tmp_path_factory.mktemp("corpora") / "default"
    build(CorpusSpec(cap_mb=SMALL_CAP), out)
    return corpus.load(out)


@pytest.mark.slow
def test_default_corpus_has_six_domains_within_the_cap(default):
    assert default.domains == ["docs", "python", "cpp", "js", "math", "junk"]
    for name, facts in default.manifest["domains"].items():
        size, cap = facts["train_bytes"] + facts["valid_bytes"] - facts["documents"], DOMAINS[name].part * SMALL_CAP
        assert 0.8 * cap * 1e6 < size <= cap * 1e6
        assert facts["valid_bytes"] >= 16_384
        assert facts["available_bytes"] > size
        assert len(facts["examples"]) == min(3, facts["valid_documents"])
        assert all(0 < len(text) <= 300 for text in facts["examples"])
        assert facts["leak"]["own"] <= facts["leak"]["any"] < 0.35


def test_default_manifest_names_packages_and_is_json(default):
    named = {package["name"]: package for package in default.manifest["packages"]}
    assert {"Python", "torch", "scipy", "sympy", "pydeck"} <= set(named)
    assert all(package["version"] and package["licence"] for package in named.values())
    assert json.loads(json.dumps(default.manifest, allow_nan=False)) == default.manifest
    assert default.manifest["missing"] == []


@pytest.mark.slow
def test_default_domains_are_distinct(default):
    """A byte model of each domain predicts validation text of its own domain best, and junk tells nothing."""
    bits = {}
    for target in default.domains:
        text = np.asarray(default.valid(target)[:16_000])
        bits[target] = {source: bits_per_byte(default.train(source), text) for source in default.domains}
        assert min(bits[target], key=bits[target].get) == target, bits[target]
    assert all(bits[target]["junk"] > 2 * bits[target][target] for target in default.domains[:-1])


def bits_per_byte(train, text, orders=4):
    """Bits per byte of (T,) bytes under back-off counts of `train` with contexts of up to 4 bytes."""
    probability = np.full(len(text) - orders, 1 / 256)
    for order in range(orders + 1):
        seen, asked = (windows(data, order, orders) for data in (np.asarray(train), text))
        contexts, counts = np.unique(seen >> np.uint64(8), return_counts=True)
        nexts, together = np.unique(seen, return_counts=True)
        counted = (
            looked_up(keys, asked >> shift, values)
            for keys, values, shift in ((contexts, counts, np.uint64(8)), (nexts, together, np.uint64(0)))
        )
        context, both = counted
        probability = (both + 4 * probability) / (context + 4)
    return -np.log2(probability).mean()


def windows(data, order, orders):
    """(T - orders,) numbers of the last `order` bytes before each byte and that byte."""
    wide, count = data.astype(np.uint64), len(data) - orders
    shifts = np.arange(order, -1, -1, dtype=np.uint64) * np.uint64(8)
    starts = range(orders - order, orders + 1)
    return sum((wide[s : s + count] << shift for s, shift in zip(starts, shifts, strict=True)), np.uint64(0))


def looked_up(keys, asked, values):
    """values[keys == asked], 0 where there is no such key."""
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)


def test_default_text_is_what_it_says(default):
    texts = {domain: default.decode(default.train(domain)) for domain in default.domains}
    assert texts["cpp"].count("#include") > 50 and "namespace" in texts["cpp"]
    assert texts["python"].count("def ") > 200 and '"""' not in texts["python"][:20_000].replace('r"""', "")
    assert "sympy" in texts["math"] and " the " in texts["docs"]
    assert max(map(len, texts["js"].splitlines())) <= 1000
    assert set(texts["junk"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n")
    assert not any("Licensed under the Apache License" in text for text in texts.values())


@pytest.mark.slow
def test_one_process_and_two_build_the_same(default, tmp_path):
    manifest = build(CorpusSpec(cap_mb=SMALL_CAP), tmp_path / "again", processes=1)
    for domain, facts in manifest["domains"].items():
        assert facts["sha256"] == default.manifest["domains"][domain]["sha256"]


def installed_by(requirements: Path) -> set[str]:
    """The packages that a file of requirements installs, with all that these need, by normalised name."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    waiting, found = [Requirement(line) for line in lines if line], set()
    while waiting:
        one = waiting.pop()
        if (name := canonicalize_name(one.name)) not in found:
            found.add(name)
            waiting += [
                need
                for need in map(Requirement, requires(name) or [])
                if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in one.extras or {""})
            ]
    return found


def test_the_default_corpus_reads_only_what_a_plain_install_has():
    listed = {*LIBRARIES, *MATHEMATICS, *BINARIES, *WITH_HEADERS} - {STANDARD_LIBRARY}
    plain = installed_by(Path(__file__).parents[2] / "requirements.txt")
    assert {name for name in listed if canonicalize_name(name) not in plain} == set()
