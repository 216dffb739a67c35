"""Studies that continue from a saved proxy: measured as it is, trained on from there, refused where it does not fit."""

import json

import pytest

from tests.support.running import MERGE, TINY, answer, copied, said

pytestmark = pytest.mark.slow
CORPUS = 'corpus = "small"'
TOKENS = "tokens = 8192"


@pytest.fixture(scope="module")
def desk(merged, tmp_path_factory):
    return copied(merged, tmp_path_factory.mktemp("starts") / "workspace")


@pytest.fixture(scope="module")
def base(desk) -> str:
    """The base of the merge study, as a path in the workspace."""
    study = next(one for one in answer(desk, "list") if one["name"] == "Small merge")["study"]
    (run,) = [
        row["id"] for row in answer(desk, "runs", "Small merge") if row["label"] == "base" and row["role"] == "expert"
    ]
    return f"experts/{study}/{run}.safetensors"


def file(folder, name: str, start: str, text: str = TINY, **changes: str) -> str:
    text = text.replace(CORPUS, f'{CORPUS}\nstart = "{start}"').replace("tokens = 32768", TOKENS)
    text = text.replace('"Tiny"', f'"{name}"').replace('"Small merge"', f'"{name}"')
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / f"{name}.toml").write_text(text.replace('["log_linear", "ridge", "gp", "stack"]', '["ridge"]'))
    return str(folder / f"{name}.toml")


def losses_of(desk, study: str, role: str, label: str | None = None) -> list[dict]:
    rows = [row for row in answer(desk, "runs", study) if row["role"] == role and row["state"] == "done"]
    return [row["losses"] for row in rows if label in (None, row["label"])]


def test_a_study_continues_from_a_saved_proxy(desk, base, tmp_path):
    told = answer(desk, "start", file(tmp_path, "Onwards", base), "--wait")
    assert told["state"] == "active"
    (own,) = losses_of(desk, "Small merge", "expert", "base")
    (start,) = losses_of(desk, "Onwards", "start")
    assert start == pytest.approx(own, abs=1e-4), "it is measured as it is"
    trained = losses_of(desk, "Onwards", "design")
    assert len(trained) == 8 and all(sum(one.values()) < 1.2 * sum(start.values()) for one in trained)
    assert all(one != start for one in trained), "and trained from there"
    found = answer(desk, "since-start", "Onwards")
    assert [one["start"] for one in found["changes"]] == pytest.approx(list(start.values()))
    for one in found["changes"]:
        assert one["gap"] == pytest.approx(one["predicted"] - one["start"]) and one["half"] > 0
        assert one["beyond"] == (abs(one["gap"]) > one["half"])
    shown = answer(desk, "show", "Onwards")
    assert shown["roles"]["start"] == 1 if "roles" in shown else shown["counts"]["done"] >= 12


def test_a_merge_study_takes_the_start_as_its_base(desk, base, tmp_path):
    answer(desk, "start", file(tmp_path, "From there", base, MERGE, **{"runs = 16": "runs = 8"}), "--wait")
    (own,) = losses_of(desk, "Small merge", "expert", "base")
    (mine,) = losses_of(desk, "From there", "expert", "base")
    assert mine == pytest.approx(own, abs=1e-4)
    (alone,) = losses_of(desk, "From there", "baseline", "base")
    assert alone == pytest.approx(own, abs=0.05), "the merge without any expert is the base, measured on less text"


def test_what_does_not_fit_is_refused_before_anything_is_queued(desk, base, tmp_path):
    for name, start, changes, why in (
        ("Wide", base, {"width = 16": "width = 32"}, "another architecture. Its 'embedding.weight' is 256 x 16"),
        ("Deep", base, {"layers = 1": "layers = 2"}, "'layers.1.attention.output.weight' is missing"),
        ("Gone", base.replace(".safetensors", "-gone.safetensors"), {}, "it is not a saved proxy of this workspace"),
        ("Out", "../elsewhere.safetensors", {}, "elsewhere"),
        ("Corpus", "corpora/small/manifest.json", {}, "it is not a saved proxy of this workspace"),
    ):
        assert why in said(desk, "start", file(tmp_path, name, start, **changes))
    damaged = desk / "exports" / "damaged.safetensors"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    assert "'embedding.weight' is missing" in said(
        desk, "start", file(tmp_path, "Empty", "exports/damaged.safetensors")
    )
    damaged.write_bytes(b"\xff" * 64)
    assert "the file is damaged" in said(desk, "start", file(tmp_path, "Damaged", "exports/damaged.safetensors"))
    assert not {one["name"] for one in answer(desk, "list")} & {"Wide", "Deep", "Gone", "Out", "Corpus", "Empty"}


def test_what_needs_another_size_or_random_weights_says_so(desk, base):
    """Follows the first test: its study is trained."""
    assert "begin with a saved proxy of their own size" in said(desk, "confirm", "Onwards", "--times", "4")
    assert "begin with a saved proxy" in said(desk, "fidelity-lab", "Onwards", "--plan")
    assert "begin with a saved proxy" in said(desk, "rivals", "Onwards", "--find", "--method", "doremi")
    assert "begin with random weights" in said(desk, "since-start", "Small")


def test_confirmed_runs_are_saved_and_can_be_begun_with(desk, tmp_path):
    ids = answer(
        desk, "confirm", "Onwards", "--candidate", "natural", "--times", "1", "--seeds", "1", "--spread", "0", "--wait"
    )
    study = next(one for one in answer(desk, "list") if one["name"] == "Onwards")["study"]
    rows = [row["id"] for row in answer(desk, "runs", "Onwards") if row["role"] == "confirm"]
    saved = [desk / "experts" / study / f"{run}.safetensors" for run in rows]
    assert ids and saved and all(one.exists() for one in saved)
    again = json.loads(
        json.dumps(answer(desk, "start", file(tmp_path, "Again", saved[0].relative_to(desk).as_posix())))
    )
    assert again["study"]
