"""Rivals against the leaderboard's answer: `OMP_NUM_THREADS=1 python -m benchmarks.training` (34 CPU minutes).

Two studies on a fresh workspace, each begun, fitted and searched as a user would by commands; then the four methods
that find a mixture from few runs (engine/spec/rivals.py), and a confirmation of all of them, the best predicted mixture
and the baselines, from three seeds each: the demo at its own size, and a smaller study of its own three domains at four
times the size of its proxies. Difference: the best predicted mixture minus a rival's, in the mean loss of the domains
that count, between runs of one seed, with its 95% interval. Writes benchmarks/results/training.json and training.md.
"""

import os
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.commands import engine
from engine.core.files import write_json
from engine.spec.rivals import RIVALS

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.training"
RESULTS = Path(__file__).parent / "results"
SEEDS = 3
SURROGATES = '["log_linear", "gp", "gp_rational", "around_law"]'  # the leaderboard's usual first ones, to save minutes
DEMO = f"""
name = "Demo"
runs = 64
repeats = 4
seed = 7
fidelity = "demo"
priorities = {{junk = 0.0}}
surrogates = {SURROGATES}
"""
OWN = f"""
name = "Own"
domains = ["python", "docs", "cpp"]
runs = 24
repeats = 3
seed = 11
surrogates = {SURROGATES}
[fidelity]
width = 32
layers = 1
tokens = 131072
eval_tokens = 8192
"""
STUDIES = {"Demo": (DEMO, 1), "Own": (OWN, 4)}  # name -> its file, and the size of its confirmation in its proxies'


def measured(workspace: Path, name: str) -> dict:
    """Begin a study and confirm its answer beside the rivals'; what came of it."""
    text, times = STUDIES[name]
    file = workspace.parent / f"{name}.toml"
    file.write_text(text)
    began = time.monotonic()
    engine(workspace, "start", str(file), "--wait")
    engine(workspace, "rivals", name, "--find", "--wait")
    chosen = [word for one in RIVALS for word in ("--rival", one)]
    size = ("--times", str(times), "--seeds", str(SEEDS), "--spread", "0")
    (trust,) = engine(workspace, "confirm", name, *size, *chosen, "--wait")
    told = engine(workspace, "rivals", name)
    search = engine(workspace, "searches", name)[0]["found"]
    shown = engine(workspace, "show", name)
    return {
        "domains": shown["domains"],
        "runs": shown["counts"]["done"],
        "surrogate": shown["league"]["league"]["default"],
        "times": times,
        "fidelity": trust["fidelity"],
        "best": search["found"]["shares"],
        "mixtures": dict(zip(trust["mixtures"], trust["trust"]["measured"], strict=True)),
        "noise": trust["trust"]["noise"],
        "methods": told["methods"],
        "against": told["confirmed"][0]["against"],
        "minutes": round((time.monotonic() - began) / 60, 1),
    }


def table(name: str, one: dict) -> list[str]:
    """A study's section of the page."""
    size = one["fidelity"]
    lines = [
        f"## {name}",
        "",
        f"{len(one['domains'])} domains, {one['runs']} proxies, answer by `{one['surrogate']}`; confirmed at "
        f"{one['times']} x the proxies' size (width {size['width']}, {size['layers']} layers, "
        f"{size['tokens'] / 1e6:.2g} million tokens), {SEEDS} seeds; {one['minutes']} minutes by the clock. Noise "
        f"between seeds {one['noise']:.4f}.",
        "",
        "| against | best predicted minus it, 95% | verdict | runs it took | of | " + " | ".join(one["domains"]) + " |",
        "|---|---|---|---|---|" + "---|" * len(one["domains"]),
    ]
    found = {method["title"]: method for method in one["methods"]}
    for row in one["against"]:
        shares = found[row["label"]]["found"]["mixture"].values()
        lines.append(
            f"| {row['label']} | {row['gap']:+.4f} ± {row['half']:.4f} | {row['verdict']} | {row['runs']:.2g} | "
            f"{row['of']} | " + " | ".join(f"{share:.1%}" for share in shares) + " |"
        )
    lines.append("| *best predicted* | | | | | " + " | ".join(f"{share:.1%}" for share in one["best"]) + " |")
    levels = ", ".join(f"{label} {value:.4f}" for label, value in one["mixtures"].items())
    return [*lines, "", f"Mean losses, in bits per byte: {levels}.", ""]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measured(Path(folder) / "workspace", name) for name in STUDIES}
    write_json(RESULTS / "training.json", found)
    lines = [
        "# Rivals of the leaderboard's answer",
        "",
        f"`{COMMAND}`, {date.today()}, {os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}.",
        "",
        "Four methods that find a mixture from few runs, against the best predicted mixture of a study, all trained "
        "alike. Difference below 0: the study's answer is better. Verdict: beyond the 95% interval over seeds, or not. "
        "Runs: what finding the mixture took, in proxies of the study; reading a token is a third of training on it.",
        "",
    ]
    lines += [line for name, one in found.items() for line in table(name, one)]
    (RESULTS / "training.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
