"""What a merge writes appears whole or not at all: whatever ends it, whatever stands there, whatever does not fit."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.core.errors import Problem
from engine.jobs.parts import part_of
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.support.checkpoints import FILE, family, tensors_of, write
from tests.support.running import ROOT


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return family(tmp_path_factory.mktemp("zoo"))


def mean(zoo, models=("one", "two"), method="linear", **settings):
    """The mean of two models, as a merge file has it."""
    named = [{"model": str(name), "parameters": {"weight": 0.5}} for name in models]
    return from_dict({"merge_method": method, "models": named, **settings}, zoo)


def hidden(folder):
    return list(folder.glob(".*"))


@pytest.mark.parametrize("kind", ["a pipe", "a link", "a device"])
def test_what_is_no_file_is_not_written_over(zoo, tmp_path, kind):
    out = Path(os.devnull) if kind == "a device" else tmp_path / "out"
    {"a pipe": lambda: os.mkfifo(out), "a link": lambda: out.symlink_to("nowhere"), "a device": lambda: None}[kind]()
    with pytest.raises(Problem, match=f"it is {kind}. Choose another place"):
        merge(mean(zoo), out)
    assert any(f"it is {kind}" in said for said in preflight(mean(zoo), out).refusals) and os.path.lexists(out)


# Ended from outside ------------------------------------------------------------------------------------------

WAITING = """
import signal, sys, time
from engine.__main__ import main
from engine.merging.methods import METHODS
from engine.merging.methods.base import Method, PerExpert

signal.signal(signal.SIGINT, signal.default_int_handler)  # as at a terminal, wherever the tests were started
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def waiting(x, weight: PerExpert):
    if x.name == "model.norm.weight":  # by now the part stands there; the preflight times larger tensors
        print("merging", flush=True)
        time.sleep(120)
    return x.combined(weight)

METHODS["waiting"] = Method(waiting, "Waiting", "none")
sys.exit(main(sys.argv[1:]))
"""


def ended(zoo, out, number):
    """The exit code of a command that gets a signal while it merges, and what it said."""
    config = zoo / "waiting.yml"
    config.write_text(
        "{merge_method: waiting, base_model: base, models: [{model: one, parameters: {weight: 1}}], dtype: float16}"
    )
    command = [sys.executable, "-c", WAITING, "merge", str(config), str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "merging\n"
        child.send_signal(number)
        said = child.communicate(timeout=60)[1]
    return child.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_merge_and_nothing_is_left(zoo, tmp_path, number):
    code, said = ended(zoo, tmp_path / "out", number)
    assert code == 128 + number and "Interrupted. Nothing unfinished was left." in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_killed_merge_leaves_nothing_that_loads_and_the_next_clears_it(zoo, tmp_path):
    assert ended(zoo, tmp_path / "out", signal.SIGKILL)[0] == -signal.SIGKILL
    (part,) = hidden(tmp_path)
    assert not (tmp_path / "out").exists()
    with pytest.raises(Problem, match="header"):
        Checkpoint(part / "whole")
    (tmp_path / ".mine.part-x").mkdir()  # somebody else's
    merge(mean(zoo), tmp_path / "other")
    assert hidden(tmp_path) == [tmp_path / ".mine.part-x"] and (tmp_path / "other" / FILE).exists()


@pytest.mark.parametrize("out", ["out", "out.safetensors"])
def test_merges_beside_each_other_leave_each_other_alone(zoo, tmp_path, out):
    """Both in one process here, as two containers may have one number."""
    with part_of(tmp_path / out) as part:
        (part / "whole").mkdir()
        merge(mean(zoo), tmp_path / out)
        assert hidden(tmp_path) == [part] and (part / "whole").is_dir()
    assert hidden(tmp_path) == [] and (tmp_path / out).exists()


# What stands there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["out", "out.safetensors"])
@pytest.mark.parametrize("appears", ["a file", "a folder", "a link"])
def test_what_appears_meanwhile_is_kept(zoo, tmp_path, out, appears):
    place = tmp_path / out

    def progress(done, total, note):
        if place.is_symlink() or place.exists():
            return
        if appears == "a file":
            place.write_text("precious")
        elif appears == "a folder":
            place.mkdir()
            (place / "precious").write_text("precious")
        else:
            place.symlink_to("nowhere")

    with pytest.raises(Problem, match="something appeared there"):
        merge(mean(zoo), place, progress)
    found = place / "precious" if appears == "a folder" else place
    assert place.is_symlink() if appears == "a link" else found.read_text() == "precious"
    assert not hidden(tmp_path)


def test_a_file_among_a_models_own_is_refused(zoo):
    with pytest.raises(Problem, match="it would be read as part of the model"):
        merge(mean(zoo), zoo / "one" / "inner.safetensors")
    merge(mean(zoo), zoo / "one" / "inner")  # a folder is not
    assert Checkpoint(zoo / "one").tensors.keys() == Checkpoint(zoo / "one" / "inner").tensors.keys()


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("file/out", "file is not a folder. Choose another place."),
        ("new/out", "there is no folder .*new. Make it first, or choose another place."),
        ("x" * 250, "File name too long. Choose a place where you may write. Nothing was left there."),
    ],
)
def test_a_place_that_cannot_be_written_is_a_sentence(zoo, tmp_path, inside, said):
    """Not one about disk space; and nothing is left."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match=said):
        merge(mean(zoo), tmp_path / inside)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


# What does not fit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "size", "fits"),
    [
        ("float16", 65_519.0, True),
        ("float16", 65_520.0, False),
        ("float16", -1e5, False),
        ("bfloat16", 1e5, True),
        ("bfloat16", 3.3999e38, False),
        ("float32", 1e38, True),
    ],
)
def test_numbers_too_large_for_what_is_written_are_refused(tmp_path, dtype, size, fits):
    """One number in a tensor of several chunks, next to what rounds down to the largest."""
    tensor = torch.ones(300_000)
    tensor[200_001] = size
    save_file({"w": tensor}, tmp_path / "a.safetensors")
    config = mean(tmp_path, ["a.safetensors"], out_dtype=dtype)
    if not fits:
        with pytest.raises(Problem, match=f"'w' as {dtype}: it has values up to .* Write bfloat16 or float32"):
            merge(config, tmp_path / "out.safetensors")
        assert not (tmp_path / "out.safetensors").exists() and not hidden(tmp_path)
        return
    merge(config, tmp_path / "out.safetensors")
    assert torch.equal(load_file(tmp_path / "out.safetensors")["w"], tensor.to(getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_model_with_numbers_that_are_none_is_named(zoo, tmp_path, dtype, wrong):
    tensors = tensors_of(zoo / "two")
    tensors["model.norm.weight"][3] = wrong
    write(tmp_path / "bad", tensors)
    with pytest.raises(Problem, match=r"'model.norm.weight': .*bad.* not finite"):
        merge(mean(zoo, ["one", tmp_path / "bad"], out_dtype=dtype), tmp_path / "out")


@pytest.mark.parametrize("method", ["linear", "multislerp"])
def test_weights_that_cancel_are_a_sentence_without_warnings(zoo, tmp_path, method):
    models = [{"model": name, "parameters": {"weight": weight}} for name, weight in (("one", 0.3), ("two", -0.3))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Problem, match="sum to 0"):
            merge(from_dict({"merge_method": method, "models": models}, zoo), tmp_path / "out")
