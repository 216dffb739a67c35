"""Merges that cannot be made: one sentence that names what is wrong, and nothing left behind."""

import shlex
import struct
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from engine.__main__ import main
from engine.core.errors import Problem
from engine.merging.checkpoints.reader import Checkpoint
from tests.support.checkpoints import FILE, WIDTH, family, tensors_of, write
from tests.support.running import ROOT

GOOD = """
merge_method: task_arithmetic
base_model: base
models: [{model: one, parameters: {weight: 0.6}}, {model: two, parameters: {weight: 0.3}}]
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return family(tmp_path_factory.mktemp("zoo"))


def refused(capsys, zoo, tmp_path, text, out=None) -> str:
    """The one sentence of a merge that cannot be done; nothing is left behind."""
    config = zoo / "bad.yml"
    config.write_text(text)
    out = out or tmp_path / "out"
    assert main(["merge", str(config), str(out)]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Cannot")]
    assert len(said) == 1 and not out.exists() and not list(out.parent.glob(".*"))
    return said[0]


ONE = "models: [{model: one, parameters: {weight: 1, density: 0.5}}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("merge_method: tise\nbase_model: base\n" + ONE, "'tise'"),
        ("merge_method: ties\nbase_modle: base\n" + ONE, "'base_modle'"),
        ("merge_method: ties\n" + ONE, "needs a base_model"),
        ("merge_method: ties\nbase_model: base\n" + ONE + "\nparameters: {densty: 1}", "'densty'"),
        ("merge_method: ties\nbase_model: base\nmodels: [{model: one, weight: 1}]", "'weight'"),
        ("merge_method: ties\nbase_model: base\nmodels: [{model: one}]", "'weight' is not given"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "much"), "'much'"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("weight: 1", "weight: .nan"), "nan"),
        ("merge_method: ties\nbase_model: nowhere\n" + ONE, "nowhere"),
        ("merge_method: slerp\nbase_model: base\nmodels: [{model: one}, {model: two}]\nparameters: {t: 1}", "takes 1"),
        ("merge_method: ties\nbase_model: base\nmodels: [{model: one}, {model: one}]", "named twice"),
        ("merge_method: ties\nbase_model: base\ndtype: int4\n" + ONE, "'int4'"),
        ("merge_method: ties\nbase_model: base\ntokenizer_source: union\n" + ONE, "no tokenizer that can be read"),
        ("merge_method: ties\nbase_model: base", "`models`, `slices` or `modules`"),
        ("merge_method: linear\nslices: [{sources: [{model: one, layer_range: [2, 1]}]}]", r"[2, 1]"),
        ("merge_method: [ties]\nbase_model: base\n" + ONE, "['ties']"),
        ("merge_method: {ties: 1}\nbase_model: base\n" + ONE, "{'ties': 1}"),
        ("merge_method: ties\nbase_model: base\nmodels: 5", "models is 5"),
        ("merge_method: linear\nslices: 5", "slices is 5"),
        ("merge_method: linear\nslices: [{sources: 3}]", "sources is 3"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "{filter: 1, value: 2}"), "1 as a filter"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("weight: 1", "weight: 1" + "0" * 400), "as weight"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "-0.5"), "-0.5 as density"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "[0.5, 50]"), "50 as density"),
        (
            "merge_method: emr_task\nbase_model: base\n"
            + ONE.replace(", density: 0.5", "")
            + "\nparameters: {task: 1.9}",
            "1.9 as task: it must be a whole number from 1 to",
        ),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("weight: 1", "weight: 1, weight: 2"), "'weight' twice"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "&a [{value: *a}]"), "an alias stands inside"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "[" * 3000), "nested too deeply"),
        ("merge_method: ties\nbase_model: base\n" + ONE.replace("0.5", "!!bool x"), "bad.yml"),
        (
            "merge_method: linear\nmodels: [{model: one, parameters: {weight: 1}}, "
            "{model: two, parameters: {weight: -1}}]",
            "weights [1.0, -1.0] sum to 0",
        ),
        (
            "merge_method: multislerp\nmodels: [{model: one, parameters: {weight: 1}}, "
            "{model: two, parameters: {weight: -1}}]",
            "weights [1.0, -1.0] sum to 0",
        ),
        ("genome: {models: [one]}\ntasks: [{name: arc}]", "a file of mergekit-evolve"),
        ("just words", "just words"),
        ("a: [", "bad.yml"),
    ],
)
def test_a_bad_merge_file_is_a_sentence(capsys, zoo, tmp_path, text, said):
    assert said in refused(capsys, zoo, tmp_path, text)


def changed(zoo, tmp_path, change) -> str:
    """A merge of base and one with a changed copy of an expert."""
    tensors = dict(tensors_of(zoo / "two"))
    write(tmp_path / "bad", tensors)
    change(tensors, tmp_path / "bad")
    one, two = (f"{{model: {path}, parameters: {{weight: 1}}}}" for path in ("one", tmp_path / "bad"))
    return f"merge_method: task_arithmetic\nbase_model: base\nmodels: [{one}, {two}]"


def rewrite(tensors, folder):
    save_file(tensors, folder / FILE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, f: (t.pop("model.norm.weight"), rewrite(t, f)), "has no tensor 'model.norm.weight'"),
        (lambda t, f: (t.update({"model.norm.weight": torch.ones(7)}), rewrite(t, f)), "[7]"),
        (lambda t, f: (t.update({"lm_head.weight": torch.ones(99, WIDTH)}), rewrite(t, f)), "vocabularies differ"),
        (lambda t, f: (t.update({"model.norm.weight": torch.full((WIDTH,), torch.nan)}), rewrite(t, f)), "not finite"),
        (lambda t, f: (f / FILE).write_bytes((f / FILE).read_bytes()[:5000]), "truncated"),
        (lambda t, f: (f / FILE).write_bytes(struct.pack("<Q", 10**15) + b"{}"), "damaged"),
        (lambda t, f: (f / FILE).write_bytes(b""), "damaged"),
        (lambda t, f: (f / FILE).rename(f / "pytorch_model.bin"), "is a safetensors file"),
        (lambda t, f: (f / FILE).unlink(), "no .safetensors file"),
    ],
)
def test_a_bad_checkpoint_is_named(capsys, zoo, tmp_path, change, said):
    sentence = refused(capsys, zoo, tmp_path, changed(zoo, tmp_path, change))
    assert said in sentence


def test_the_command_that_converts_a_pickle_is_safe_to_paste(tmp_path):
    """A file's name may hold quotes and commands: it stays one argument."""
    file = tmp_path / 'it\'s; $(touch owned) "x".bin'
    file.write_bytes(b"")
    with pytest.raises(Problem, match="is a pickle") as refused:
        Checkpoint(file)
    words = shlex.split(str(refused.value).split("convert it: ")[1])
    assert words[:2] == ["python", "-c"] and words[3:] == [str(file), str(file.with_suffix(".safetensors"))]


def test_what_stands_there_is_kept(capsys, zoo, tmp_path):
    (tmp_path / "out").mkdir()
    config = zoo / "kept.yml"
    config.write_text(GOOD)
    assert main(["merge", str(config), str(tmp_path / "out")]) == 1
    assert "it exists" in capsys.readouterr().err and list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(zoo, tmp_path):
    """A file-size limit stands for the disk: the room is taken before anything is merged."""
    config = zoo / "full.yml"
    config.write_text(GOOD)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        f"from engine.__main__ import main; sys.exit(main(['merge', {str(config)!r}, {str(tmp_path / 'out')!r}]))"
    )
    # -B: Python would cut its own compiled files at the limit, and everything after would fail to import them
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Free disk space" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
