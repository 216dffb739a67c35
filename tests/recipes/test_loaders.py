"""Every export, run by the loader that it is for: what comes out has the recipe's shares of tokens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.errors import Problem
from engine.recipes import FORMATS, Recipe, export, standing
from engine.recipes.base import BY_RULE
from tests.support.loaders import LOADERS
from tests.support.loaders.order import LENGTH, Order
from tests.support.running import ROOT

SHARES = {"web": 0.628, "code": 0.308, "books": 0.064, "junk": 0.0}
DRAWS = 4000
CASES = {  # rows of each domain, and of a file at most
    "one file per domain": ({"web": 3000, "code": 2000, "books": 600, "junk": 400}, 4000),
    "many files": ({"web": 3000, "code": 2000, "books": 600, "junk": 400}, 100),
    "the most wanted is the smallest": ({"web": 300, "code": 900, "books": 3000, "junk": 2000}, 90),
}
SAMPLING = {"litgpt": 0.03, "hf_datasets": 0.03, "levanter": 0.03}  # those that draw lots; the others count out
PACKAGES = ROOT / ".venv" / "loaders"
COUNTED_OUT = 0.004  # whole sequences of every file


def made(sizes: dict[str, int], shares: dict[str, float], draws: int = DRAWS) -> Recipe:
    tokens = tuple(float(rows * LENGTH) for rows in sizes.values())
    lengths = tuple(
        LENGTH / 4 if name == "web" else float(LENGTH) for name in sizes
    )  # as loaders/hf_datasets.py has it
    given = {"approved": True, "tokens_per_document": lengths}
    return Recipe("pile", "best", tuple(sizes), tuple(shares.values()), float(draws * LENGTH), tokens, **given)


def delivered(format: str, folder: Path, sizes, shares, chunk: int, draws: int = DRAWS) -> dict[str, float]:
    """Shares of the tokens that come out of a format's loader. Skips where it is not installed."""
    (folder / "data").mkdir(parents=True)
    (folder / "export").mkdir()
    for name, content in export(made(sizes, shares, draws), format).items():
        (folder / "export" / name).write_text(content)
    order = Order(format, str(folder / "export"), str(folder / "data"), sizes, shares, chunk, draws)
    command = [sys.executable, "-m", f"tests.support.loaders.{LOADERS[format]}", order.json()]
    paths = os.pathsep.join([str(ROOT), str(PACKAGES)])
    # Nothing is fetched, and nothing is sent: the loaders' packages would greet their makers
    quiet = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        command, cwd=folder, env=os.environ | quiet | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    counts = json.loads(ran.stdout.splitlines()[-1])
    if "missing" in counts:
        pytest.skip(f"{counts['missing']}: `make soak` installs requirements-loaders.txt")
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("format", LOADERS)
def test_what_comes_out_is_what_was_asked(format, case, tmp_path):
    sizes, chunk = CASES[case]
    found = delivered(format, tmp_path, sizes, SHARES, chunk)
    row = [f"{FORMATS[format].title}", case, *(f"{found[name]:.4f}" for name in SHARES)]
    print("|", " | ".join(row), "|")  # benchmarks/results/loaders.md is made of these lines
    assert found == pytest.approx(SHARES, abs=SAMPLING.get(format, COUNTED_OUT))
    assert found["junk"] == 0


def test_formats_say_how_they_are_checked():
    """A format that names a loader has a file here that runs it, and the others say that they have none."""
    assert set(LOADERS) == {name for name, one in FORMATS.items() if one.checked != BY_RULE}
    folder = ROOT / "tests/support/loaders"
    assert {f"{file}.py" for file in LOADERS.values()} == {one.name for one in folder.glob("*.py")} - {
        "__init__.py",
        "order.py",
    }
    for name, told in standing(made(CASES["many files"][0], SHARES)).items():
        assert told["checked"] == FORMATS[name].checked and f"Checked {told['checked']}." in told["notes"]


def test_no_package_for_loaders_is_one_of_ours():
    """So none can change a version here."""
    names = {}
    for file in ("requirements-loaders.txt", "requirements.txt", "requirements-dev.txt"):
        lines = (line.split("==")[0].lower() for line in (ROOT / file).read_text().splitlines())
        names[file] = {line for line in lines if line and line[0] not in "#-"}
    assert not names["requirements-loaders.txt"] & (names["requirements.txt"] | names["requirements-dev.txt"])


@pytest.mark.parametrize(("names", "said"), [(("code", "code-docs"), "code-docs"), (("web", "co*e"), "pattern")])
def test_names_whose_files_regmix_would_mix_up_are_refused(names, said):
    """Its script takes all files of the pattern `<name>-*` for a domain's."""
    with pytest.raises(Problem, match=said):
        export(made(dict.fromkeys(names, 10), dict.fromkeys(names, 0.5)), "regmix_yaml")


def test_hugging_face_stops_at_the_budget_only_if_told():
    """all_exhausted goes on until the largest set has been read: many times over the budget."""
    files = export(made(CASES["many files"][0], SHARES), "hf_datasets")
    assert "nothing to do with the budget" in files["hf_mixture.py"] and "max_steps" in files["hf_mixture.py"]


@pytest.mark.soak
def test_a_small_share_is_delivered_too(tmp_path):
    """Levanter gives each domain whole sequences of a block, and blocks of its own size would give this one none."""
    shares = {"web": 0.7, "code": 0.2997, "books": 0.0003}
    found = delivered("levanter", tmp_path, dict.fromkeys(shares, 500), shares, 500, draws=32_768)
    assert found == pytest.approx(shares, abs=1e-4)
