"""Studies with other domains as one table: `OMP_NUM_THREADS=1 python -m benchmarks.contents [FOLDER]`.

The text of installed packages is cut into domains in three ways: by kind, by package, by folder. A study of small
proxies is trained on each; all measure the same held-out text of five kinds, which none is trained on. Each study's
runs are then ranked (mean loss of the five) by the runs of the other two alone, over the contents of the mixtures, and
again with the contents of all domains permuted among them; beside it, by the study's own other runs (a Gaussian
process over shares, each run left out), which is about what its noise allows. Prices: the change that 5% more of each
domain make at the natural mixture, by the other two studies' runs, against a Gaussian process over shares on the
study's own runs. Some minutes of training on two cores; with a FOLDER the workspace stays there and is not trained
again. Writes benchmarks/results/contents.json and .md.
"""

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.analysis.contents import ContentsProcess, change
from engine.analysis.statistics import rank_correlation
from engine.cli import command_line
from engine.core.workspace import Workspace
from engine.corpus.contents import mixed
from engine.corpus.document import Tally
from engine.corpus.sources import DOMAINS, documents
from engine.spec.statistics import ci_half_width
from engine.studies.contents import contents_of_study
from engine.studies.measured import for_fitting
from engine.surrogates import SURROGATES
from store import studies
from store.database import Store

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.contents"
RESULTS = Path(__file__).parent / "results"
BYTES = 4_000_000  # of each kind of text
HELD = 12  # one in so many documents is held out for everybody
KINDS = [kind for kind in DOMAINS if kind != "junk"]  # that are measured: nobody wants a model of junk
GROUPS = 8  # of folders
PERMUTATIONS, DRAWS, SHARE = 200, 4000, 0.05
STUDY = """
name = "{name}"
corpus = "{name}"
runs = 40
repeats = 0
surrogates = ["linear"]
bounds = {{ {bounds} }}
priorities = {{ {priorities} }}
[fidelity]
tokens = 131072
eval_tokens = 16384
"""


class Text(NamedTuple):
    """A document: the kind of its text, its path, its words."""

    kind: str
    path: str
    words: str

    @property
    def package(self) -> str:
        """The package that it comes from, the smaller ones together."""
        first = re.split(r"[/@]", self.path.lstrip("@"))[0].split("-")[0].lower()
        return first if first in PACKAGES else "others"

    @property
    def folder(self) -> str:
        """One of some groups of folders, by a hash of the folder's name."""
        return str(_hash("/".join(self.path.split("@")[0].split("/")[:2])) % GROUPS)


PACKAGES = ("torch", "scipy", "sympy", "sklearn", "pandas", "numpy", "python", "networkx", "streamlit", "pyarrow")
WAYS: dict[str, Callable[[Text], str]] = {
    "kind": lambda text: text.kind,
    "package": lambda text: text.package,
    "folder": lambda text: text.folder,
}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def read() -> list[Text]:
    """The documents of all kinds."""
    found = []
    for kind in DOMAINS:
        size = 0
        for document in documents(kind, Tally()):
            found.append(Text(kind, document.group, document.data.decode("utf-8", "replace")))
            size += len(document.data)
            if size > BYTES * DOMAINS[kind].part:
                break
    return found


def write(folder: Path, texts: list[Text], way: str) -> list[str]:
    """The documents as a folder of domains, held-out ones as domains of their own; the names of the domains."""
    files: dict[str, list[str]] = {}
    for text in texts:
        held = text.kind in KINDS and _hash(text.path) % HELD == 0
        side = "valid" if held and _hash(text.path) // HELD % 3 else "train"
        name = f"check-{text.kind}" if held else f"{way}-{WAYS[way](text)}"
        files.setdefault(f"{side}/{name}-0.jsonl", []).append(json.dumps({"text": text.words}))
    for name, lines in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines))
    return sorted({Path(name).name.removesuffix("-0.jsonl") for name in files})


def trained(folder: Path) -> Workspace:
    """A workspace with the three studies, trained."""
    texts = read()
    for way in WAYS:
        names = write(folder / "text" / way, texts, way) if not (folder / "text" / way).exists() else None
        run = ["--workspace", str(folder / "workspace")]
        if names is None:
            continue
        checks = [name for name in names if name.startswith("check-")]
        bounds = ", ".join(f'"{name}" = 0.0' for name in checks)
        priorities = ", ".join(f'"{name}" = 0.0' for name in names if name not in checks)
        file = folder / f"{way}.toml"
        file.write_text(STUDY.format(name=way, bounds=bounds, priorities=priorities))
        built = ["corpus", "--name", way, "--folder", str(folder / "text" / way), "--wait"]
        for words in (built, ["start", str(file), "--wait"]):
            if code := command_line.main([*run, *words]):
                raise SystemExit(code)
    return Workspace.open(folder / "workspace")


class Runs(NamedTuple):
    """A study's runs: shares (R, D), losses (R, 5) on the held-out text; contents (D, C), natural (D,), domains."""

    shares: np.ndarray
    losses: np.ndarray
    contents: np.ndarray
    natural: np.ndarray
    domains: list[str]


def runs_of(store: Store, name: str) -> Runs:
    study = studies.get(store, name)
    measured = for_fitting(store, study.id)
    checks = [study.metrics.index(f"check-{kind}") for kind in KINDS]
    natural = measured.weights[measured.labels.index(next(one for one in measured.labels if one))]
    contents = contents_of_study(store, study)
    return Runs(measured.weights, measured.losses[:, checks], contents, natural, study.domains)


def permuted(table: list[Runs], rng: np.random.Generator) -> list[Runs]:
    """The same runs with the contents of all domains permuted among them; the held-out text's own stay."""
    rows = [[i for i, name in enumerate(one.domains) if not name.startswith("check-")] for one in table]
    pool = np.concatenate([one.contents[kept] for one, kept in zip(table, rows, strict=True)])
    parts = np.split(rng.permutation(pool), np.cumsum([len(kept) for kept in rows])[:-1])
    found = []
    for one, kept, part in zip(table, rows, parts, strict=True):
        contents = one.contents.copy()
        contents[kept] = part
        found.append(one._replace(contents=contents))
    return found


def fitted(others: list[Runs]) -> ContentsProcess:
    """The process over the runs of some studies."""
    points = np.concatenate([mixed(one.shares, one.contents) for one in others])
    origin = np.repeat(np.arange(len(others)), [len(one.shares) for one in others])
    return ContentsProcess.of(points, np.concatenate([one.losses for one in others]), origin)


def predicted(table: list[Runs]) -> list[np.ndarray]:
    """(R,) mean losses of each study's runs, by the runs of the others."""
    return [
        fitted([other for other in table if other is not one]).mean(mixed(one.shares, one.contents)).mean(axis=1)
        for one in table
    ]


def by_own_runs(one: Runs) -> float:
    """Rank correlation of a study's runs, each by all of its others."""
    found = []
    for row in range(len(one.shares)):
        kept = np.arange(len(one.shares)) != row
        own = SURROGATES["gp_rational"].fit(one.shares[kept], one.losses[kept])
        found.append(own.mean(one.shares[[row]]).mean())
    return float(rank_correlation(one.losses.mean(axis=1), np.array(found)))


def prices(table: list[Runs]) -> list[tuple[str, float, float, float, float]]:
    """(domain, change and its half interval by the others' runs, change and half by a process over own shares)."""
    found, weights = [], np.full(len(KINDS), 1 / len(KINDS))
    for one in table:
        process = fitted([other for other in table if other is not one])
        own = SURROGATES["gp_rational"].fit(one.shares, one.losses.mean(axis=1))
        base = one.natural
        for j, name in enumerate(one.domains):
            if name.startswith("check-"):
                continue
            more = (1 - SHARE) * base + SHARE * np.eye(len(base))[j]
            points = mixed(np.stack([base, more]), one.contents)
            moved = change(process, *points, weights)
            covariance = own.covariance(np.stack([base, more]))[0]
            spread = np.sqrt(max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
            measured = float(np.diff(own.mean(np.stack([base, more]))[:, 0])[0])
            found.append((name, moved.aggregate, moved.half, measured, ci_half_width(spread)))
    return found


def drawn(table: list[Runs], true: list[np.ndarray], chance: list[list[np.ndarray]]) -> dict:
    """Rank correlations of each study's runs, by true and by permuted contents, and their bootstrapped difference."""
    rng, measured = np.random.default_rng(0), [one.losses.mean(axis=1) for one in table]
    own = np.array([rank_correlation(y, x) for y, x in zip(measured, true, strict=True)])
    by_chance = np.array([[rank_correlation(y, x) for y, x in zip(measured, one, strict=True)] for one in chance])
    gaps = np.zeros((DRAWS, len(table)))
    for k, y in enumerate(measured):
        both = np.stack([true[k], *(one[k] for one in chance)])
        for draw in range(DRAWS):
            rows = rng.integers(len(y), size=len(y))
            ranks = rank_correlation(y[rows], both[:, rows])
            gaps[draw, k] = ranks[0] - ranks[1:].mean()
    return {
        "rank": own.tolist(),
        "permuted": by_chance.mean(axis=0).tolist(),
        "mean": float(own.mean()),
        "permuted_mean": float(by_chance.mean()),
        "permuted_most": float(by_chance.mean(axis=1).max()),
        "as_good": int((by_chance.mean(axis=1) >= own.mean()).sum()),
        "difference": float(own.mean() - by_chance.mean()),
        "interval": np.quantile(gaps.mean(axis=1), [0.025, 0.975]).tolist(),
    }


def report(table: list[Runs], found: dict, priced: list[tuple]) -> str:
    """The tables of the results."""
    lines = ["| study left out | domains | runs | by the other two | contents permuted | by its own other runs |"]
    lines.append("|---|---|---|---|---|---|")
    for k, (way, one) in enumerate(zip(WAYS, table, strict=True)):
        domains = sum(not name.startswith("check-") for name in one.domains)
        numbers = f"{found['rank'][k]:.3f} | {found['permuted'][k]:.3f} | {found['own'][k]:.3f}"
        lines.append(f"| by {way} | {domains} | {len(one.shares)} | {numbers} |")
    low, high = found["interval"]
    lines += [
        "",
        f"Mean {found['mean']:.3f}, permuted {found['permuted_mean']:.3f} (the best of {PERMUTATIONS}: "
        f"{found['permuted_most']:.3f}; {found['as_good']} reach the true ones). **Difference "
        f"{found['difference']:.3f} [{low:.3f}, {high:.3f}]**, bootstrap over the runs of each study left out.",
        "",
        "| domain | change by the others' runs | by its own study's runs |",
        "|---|---|---|",
    ]
    for name, moved, half, measured, spread in priced:
        lines.append(f"| {name} | {moved:+.4f} ± {half:.4f} | {measured:+.4f} ± {spread:.4f} |")
    moved, half, measured, spread = np.array([one[1:] for one in priced]).T
    rank = float(rank_correlation(measured, moved))
    clear = np.abs(moved) > half
    right = (np.sign(moved) == np.sign(measured))[clear]
    inside = np.abs(moved - measured) <= np.hypot(half, spread)
    lines += [
        "",
        f"Prices of {len(priced)} domains that the others' runs never saw: rank correlation {rank:.2f}; "
        f"{clear.sum()} can be told from 0, {right.sum()} of them with the sign of their own study; "
        f"{inside.mean():.0%} within the two intervals.",
    ]
    return "\n".join(lines)


def main(folder: Path) -> None:
    store = Store(trained(folder))
    table = [runs_of(store, name) for name in WAYS]
    store.close()
    true, rng = predicted(table), np.random.default_rng(1)
    found = drawn(table, true, [predicted(permuted(table, rng)) for _ in range(PERMUTATIONS)])
    found["own"], priced = [by_own_runs(one) for one in table], prices(table)
    text = report(table, found, priced)
    about = " ".join(__doc__.split("\n\n")[1].split()).split(" Some minutes")[0]
    (RESULTS / "contents.md").write_text(
        f"# Studies with other domains as one table\n\n`{COMMAND}`, {date.today().isoformat()}.\n\n{about}\n\n{text}\n"
    )
    names = ("domain", "change", "half", "own", "own_half")
    kept = {**found, "prices": [dict(zip(names, one, strict=True)) for one in priced]}
    (RESULTS / "contents.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
