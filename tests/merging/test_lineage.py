"""Licences and ancestors of what is merged: read from cards and configs, walked, and their conflicts named."""

import pytest

from engine.merging.companions import family
from engine.merging.layout import opened
from engine.merging.licences import claims_more, conflicts, outcome, terms_of, unknown
from engine.merging.lineage import front_matter
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.support.checkpoints import family as models
from tests.support.checkpoints import merging, tensors_of, write


def card(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"---\n{text}\n---\n# A model\n")


@pytest.fixture
def zoo(tmp_path):
    """two was tuned from one, which was merged from the base and a model that is not here; the base from a root."""
    root = models(tmp_path)
    card(root / "root", "license: llama3\nlanguage: [en]")
    card(root / "base", "license: apache-2.0\nbase_model: somebody/root")
    (root / "one" / "mergekit_config.yml").write_text(
        "models: [{model: base}, {model: far/away}]\nmerge_method: linear"
    )
    card(root / "one", "license: cc-by-nc-4.0")
    card(root / "two", "license: other\nlicense_name: house-rules\nbase_model: [me/one]\nbase_model_relation: finetune")
    return root


def test_ancestors_are_walked_and_conflicts_named(zoo):
    found = preflight(merging(zoo), zoo / "out")
    told = found.to_dict()["family"]
    by_name = {one["model"]: one for one in told["models"]}
    base, one, two = (str(zoo / name) for name in ("base", "one", "two"))
    assert set(by_name) == {base, one, two, "somebody/root", "far/away"}
    assert by_name[two]["parents"] == [one] and by_name[one]["parents"] == [base, "far/away"]
    assert by_name[one]["how"] == "merged" and by_name[base]["parents"] == ["somebody/root"]
    assert by_name["somebody/root"]["licence"] == "llama3" and not by_name["far/away"]["here"]
    assert told["conflicts"] == [
        f"The merge may not be used commercially: the licence of {one} (cc-by-nc-4.0) forbids it.",
        "If the merge is shared, its name must begin with 'Llama 3': a licence asks for it.",
        f"The card of {base} says apache-2.0, and it was made from somebody/root (llama3): the latter's terms hold, "
        "too.",
    ]
    assert all(sentence in found.warnings for sentence in told["conflicts"])
    assert "'house-rules', which is not known here" in told["unknown"][0] and "far/away" in told["unknown"][1]


def test_the_card_has_licence_and_family(zoo):
    card(zoo / "two", "license: CC-BY-NC-4.0\nbase_model: one")
    card(zoo / "root", "license: mit")
    merge(merging(zoo), zoo / "out")
    said, text = front_matter(zoo / "out" / "README.md"), (zoo / "out" / "README.md").read_text()
    assert said["license"].lower() == "cc-by-nc-4.0" and said["base_model"] == ["base", "one", "two"]
    assert said["base_model_relation"] == "merge" and said["tags"] == ["merge", "mixdesk"]
    lines = [line.strip() for line in text.splitlines()]
    assert "graph TD" in lines and 'merge["this merge"]' in lines and "m1 -->|fine-tuned| m2" in lines
    assert "The merge may not be used commercially" in text
    (zoo / "out" / "config.json").rename(zoo / "config.json")
    write(zoo / "next", tensors_of(zoo / "out"))
    (zoo / "next" / "README.md").write_text(text)
    found = family(opened(merging(zoo, ["next"]))).members[str(zoo / "next")]
    assert found.how == "merged" and set(found.parents) == {str(zoo / "base"), "one", "two"}


def test_adapters_and_the_hubs_cache(zoo):
    """An adapter's base is the model it stands on; a model of the hub's is found where its cache keeps it."""
    cached = zoo / "models--somebody--root" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    (zoo / "root" / "README.md").rename(cached / "README.md")
    (zoo / "root").rmdir()
    assert family(opened(merging(zoo))).members["somebody/root"].licence == "llama3"


def test_circles_end_and_damaged_cards_say_nothing(zoo):
    card(zoo / "base", "base_model: two")
    (zoo / "one" / "README.md").write_text("---\nlicense: [\n---\n")
    (zoo / "one" / "mergekit_config.yml").write_text("a: [")
    found = family(opened(merging(zoo)))
    assert found.members[str(zoo / "one")].licence is None and len(found.members) == 3
    assert any("names no licence" in said for said in found.unknown())


@pytest.mark.parametrize(
    ("licences", "said", "claimed"),
    [
        ({"a": "mit", "b": "mit"}, None, "mit"),
        ({"a": "mit", "b": "apache-2.0"}, None, "other"),
        ({"a": "mit", "b": "llama2"}, None, "llama2"),
        ({"a": "gpl-3.0", "b": "llama2"}, "each ask that what is made from them", "other"),
        ({"a": "cc-by-nc-nd-4.0"}, "allows no changed versions", "other"),
        ({"a": "cc-by-nc-4.0", "b": "mit"}, "may not be used commercially", "cc-by-nc-4.0"),
        ({"a": "llama3.2"}, "must begin with 'Llama'", "llama3.2"),
        ({"a": "bigscience-bloom-rail-1.0", "b": "gemma"}, "each ask", "other"),
        ({"a": "house-rules"}, None, "other"),
        ({}, None, "other"),
    ],
)
def test_what_licences_ask_of_a_merge(licences, said, claimed):
    found = conflicts(licences)
    assert (said is None) == (not found) and (said is None or any(said in one for one in found))
    assert outcome(licences) == claimed and len(unknown(licences)) == sum(
        terms_of(one) is None for one in licences.values()
    )


def test_a_child_may_claim_less_freedom_and_not_more():
    assert (
        claims_more("mit", "llama3")
        and claims_more("apache-2.0", "cc-by-nc-4.0")
        and claims_more("mit", "cc-by-nd-4.0")
    )
    assert (
        not claims_more("cc-by-nc-4.0", "mit") and not claims_more("llama3", "llama3") and not claims_more("mit", None)
    )
    assert terms_of("llama3.1") == terms_of("llama3.3") != terms_of("llama3") and terms_of("mitre") is None
