"""Commands about runs that were trained elsewhere: import them as a study, predict new mixtures with it."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.analysis.explain import EXTRAPOLATED
from engine.cli.files import as_file, new_output, numbers_in, plain_table
from engine.cli.numbers import number_given
from engine.cli.waiting import wait_for_study, waited
from engine.cli.words import pairs
from engine.core.errors import Problem
from engine.core.files import CHECKOUT, given_path, replacing
from engine.core.settings_text import text_of, toml
from engine.core.sheets import as_text
from engine.core.short_names import listed
from engine.core.system import UNREADABLE, read_fault
from engine.core.workspace import Workspace
from engine.importing import FORMATS, Table, read_points
from engine.importing.harness_files import combined, files_in
from engine.importing.mapping import KEYS
from engine.jobs.events import JobFailed
from engine.jobs.journal import last_event
from engine.jobs.parts import WHOLE, part_of
from engine.jobs.supervisor import CHILD_ENVIRONMENT
from engine.studies.reach import extrapolation_note, places
from engine.surrogates import load

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, list[str]]]  # (N, D) -> mean, std (N, M), N places
CHUNK = 4096  # mixtures predicted at once
REPEATS = 1  # of the cross-validation that calibrates a single fitted surrogate


def add(command) -> None:
    one = command("import", import_runs, "create a study from runs that were trained elsewhere", wait=True, makes=True)
    one.add_argument("--study", required=True, metavar="NAME", help="name of the new study")
    one.add_argument("--format", required=True, choices=list(FORMATS), help="docs/IMPORT.md describes them")
    one.add_argument(
        "--weights", required=True, type=given_path, metavar="CSV", help="CSV, JSON or Parquet with the shares"
    )
    second = "the second file of a pair; or results of lm-evaluation-harness or lighteval, a file or a folder of them"
    one.add_argument("--metrics", type=given_path, metavar="CSV", help=second)
    one.add_argument("--preview", action="store_true", help="say what would be imported, and import nothing")
    answer = "an answer to what the table leaves open; repeat"
    one.add_argument("--answer", action="append", default=[], metavar="QUESTION=ANSWER", help=answer)
    column_options(one)
    one.add_argument(
        "--available-tokens", type=given_path, metavar="FILE", help="CSV or JSON: domain, available tokens"
    )
    one.add_argument(
        "--prior", type=given_path, metavar="FILE", help="CSV or JSON of shares, where tokens are not known"
    )
    one.add_argument("--priority", action="append", default=[], metavar="METRIC=WEIGHT", help="repeat; default: all 1")
    one.add_argument("--target-tokens", type=number_given, default=0.0, help="budget of the real run")
    one.add_argument("--constraints", type=given_path, metavar="TOML", help="bounds and groups, as in a study's file")
    one.add_argument("--epoch-cap", type=number_given, default=4.0, help="max epochs of a domain in the real run")
    few = "surrogates to compare, besides the one-share baseline (default: all, which takes minutes on many runs)"
    one.add_argument("--surrogates", nargs="+", default=[], metavar="NAME", help=few)
    predict_options(command("predict", predict, "predict the metrics of new mixtures"))


def column_options(one) -> None:
    """What a table leaves to be guessed: which columns are what."""
    for name, what in (("weight", "shares"), ("metric", "metrics")):
        text = f"columns of {what}, names or globs (guessed where absent)"
        one.add_argument(f"--{name}-columns", nargs="+", action="extend", metavar="COLUMN", help=text)
    one.add_argument(
        "--higher-is-better", nargs="*", metavar="COLUMN", help="metrics that are better when higher, names or globs"
    )
    one.add_argument("--unit", help="unit of the metrics (default: guessed from their names)")
    for name, what in (
        ("key", "each run's key"),
        ("seed", "each run's seed"),
        ("model-size", "each run's model size"),
        ("n-tokens", "each run's training tokens"),
    ):
        one.add_argument(f"--{name}", metavar="COLUMN", help=f"the column with {what} (default: guessed; '': none)")


def predict_options(one) -> None:
    """What `predict` takes."""
    from engine.surrogates import SURROGATES

    one.add_argument("--study", required=True, metavar="NAME", help="the study's id or name")
    one.add_argument("--surrogate", choices=list(SURROGATES), help="default: the best on the leaderboard")
    one.add_argument(
        "--parameters", type=number_given, metavar="N", help="of the model, where runs are of several sizes"
    )
    one.add_argument(
        "--tokens", type=number_given, metavar="T", help="that it trains on, where the runs are of several sizes"
    )
    one.add_argument(
        "--weights", required=True, type=given_path, metavar="CSV", help="CSV or Parquet with new mixtures"
    )
    one.add_argument("--out", required=True, type=given_path, metavar="CSV", help="where the predictions go")
    one.add_argument("--force", action="store_true", help="overwrite an existing file")


def import_runs(client, workspace, options):
    """Import tables as a study, or preview that; ask on the terminal what the tables leave open."""
    files = {
        name: copied(workspace, options.study, path, name)
        for name, path in (("weights", options.weights), ("metrics", options.metrics))
        if path is not None
    }
    names = ("weight_columns", "metric_columns", "higher_is_better", "unit", "key", "seed", "model_size", "n_tokens")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    given |= {"answers": pairs(options.answer)} if options.answer else {}
    shown = client.call("preview_import", format=options.format, **files, **given)
    for line in what_was_read(shown):
        print(line, file=sys.stderr)
    if options.preview:
        if shown["problem"]:
            print(shown["problem"], file=sys.stderr)
        return shown
    check_answers(shown)
    given |= {
        name: numbers_in(path)
        for name, path in (("available_tokens", options.available_tokens), ("prior", options.prior))
        if path is not None
    }
    given |= constraints_in(options.constraints) if options.constraints else {}
    try:
        priorities = {name: float(value) for name, value in pairs(options.priority).items()}
    except ValueError as error:
        raise Problem(f"Cannot read the priorities: {error}. Write them as --priority METRIC=2.") from error
    result = client.call(
        "import_runs",
        name=options.study,
        format=options.format,
        **files,
        **given,
        priorities=priorities,
        target_tokens=options.target_tokens,
        epoch_cap=options.epoch_cap,
        surrogates=options.surrogates,
    )
    if options.wait:
        wait_for_study(client, workspace, result["study"])
    return result


def what_was_read(shown: dict) -> list[str]:
    """A preview as lines: the shares and why, what else was plausible, the metrics, what is left out, what is asked."""
    weights, metrics = shown["mapping"]["weights"], shown["mapping"]["metrics"]
    lines = []
    if weights:
        lines.append(f"Shares: {listed(list(weights.values()))}: {shown['shares']['why']}.")
    lines += [f"Plausible too: {listed(one['columns'])}: {one['why']}." for one in shown["shares"]["others"]]
    if metrics:
        directions = [f"{name} ({one['better']} is better)" for name, one in metrics.items()]
        lines.append(f"Metrics: {listed(directions)}.")
    out = [f"{one['column'] or 'nameless'} ({one['reason']})" for one in shown["columns_read"] if not one["read"]]
    if out:
        lines.append(f"Not read: {listed(out, len(out))}.")
    lines += shown["notes"]
    for one in shown["questions"]:
        lines.append(f"Question {one['id']}: {one['text']}")
        options = {shlex.quote(f"{one['id']}={name}"): text for name, text in one["options"].items()}
        lines += [f"    --answer {option}: {text}" for option, text in options.items()]
    return lines


def check_answers(shown: dict) -> None:
    """Raise Problem where the tables cannot be read, or a question has no answer."""
    problem = shown["problem"]
    if unanswered := [one["id"] for one in shown["questions"] if one["answer"] is None]:
        raise Problem(
            f"Cannot import before {'this question is' if len(unanswered) == 1 else 'these questions are'} answered: "
            f"{', '.join(unanswered)}. Repeat the command with an --answer to each, as listed above."
            + (f" With the first of all answers it would be refused: {problem}" if problem else "")
        )
    if problem:
        raise Problem(problem)


def folder_of(study: str) -> str:
    """The folder in which files for a study are kept."""
    return re.sub(r"[^A-Za-z0-9]+", "-", study).strip("-")[:60] or "study"


def copied(workspace: Workspace, study: str, path: Path, role: str) -> str:
    """Copy a file into the workspace's imports folder, and return its name there; of a folder of metrics, its results
    of harnesses, as one file. role: the name of what is piped."""
    folder = folder_of(study)
    (into := workspace.root / "imports" / folder).mkdir(parents=True, exist_ok=True)
    if role == "metrics" and path.is_dir():
        text, notes = combined(files_in(path), str(path))
        with replacing(into / f"{role}.jsonl") as part:
            part.write_text(text)
        for note in notes:
            print(note, file=sys.stderr)
        return f"{folder}/{role}.jsonl"
    if role == "metrics" and path.is_file():  # which may be called as the shares are, in another folder
        (into := into / role).mkdir(exist_ok=True)
    with as_file(path) as file:
        target = into / (file.name if file is path else f"{role}{file.suffix}")
        if file.resolve() != target.resolve():
            with replacing(target) as part:
                shutil.copyfile(file, part)
    return str(target.relative_to(workspace.root / "imports"))


def constraints_in(path: Path) -> dict:
    """Bounds and groups of a TOML file. Raises Problem if it is not valid, or has other keys."""
    try:
        found = toml(text_of(path))
    except UNREADABLE as error:
        raise Problem(f"Cannot read the constraints in {path}: {read_fault(error, 'Fix the file.')}") from error
    if unknown := set(found) - {"bounds", "groups"}:
        raise Problem(f"Cannot use {min(unknown)!r} in {path}: it may hold [bounds] and [[groups]].")
    return found


def predict(client, workspace, options):
    """One row per input row, in its order: the key's column, then <metric> and <metric>_std for every metric, and
    `place`: whether the runs reach there."""
    new_output(options.out, options.force)
    with as_file(options.weights) as file:
        table = plain_table(file)
    size = {name: getattr(options, name) for name in ("parameters", "tokens") if getattr(options, name) is not None}
    if size and options.surrogate:
        raise Problem(
            f"Cannot predict at a size with {options.surrogate!r}: it knows shares alone. Leave --surrogate out, or "
            "--parameters and --tokens."
        )
    fit = of_all_sizes(client, options.study, size) if size else fitted(client, workspace, options)
    points, notes = read_points(table, fit["columns"], fit["scale"])
    for note in [*fit["notes"], *table.notes, *notes]:
        print(note, file=sys.stderr)
    there = write_predictions(options.out, table, fit, fit["predict"], points)
    if beyond := extrapolation_note(there):
        print(beyond, file=sys.stderr)
    return {
        "study": fit["study"],
        "surrogate": fit["surrogate"],
        **({**size, "notes": fit["notes"]} if size else {}),
        "rows": len(points),
        "extrapolated": there.count(EXTRAPOLATED),
        "metrics": fit["metrics"],
        "written": str(options.out),
    }


def of_all_sizes(client, study: str, size: dict[str, float]) -> dict:
    """What predictions at a size need; "predict": points (N, D) -> mean, std (N, M) and their N places, by
    the process that owns them."""
    shown = client.call("show", name=study)
    fit = dict.fromkeys(("key", "scale")) | {"columns": {name: name for name in shown["domains"]}}
    fit |= {name: shown["imported"].get(name) for name in ("columns", "key", "scale")} if shown["imported"] else {}
    metrics = [one["metric"] for one in shown["metrics"]]

    def at_size(points):
        rows = [dict(zip(shown["domains"], point, strict=True)) for point in points.tolist()]
        found = client.call("predict", name=study, weights=rows, **size)
        mean, std = (np.array([[row[m][what] for m in metrics] for row in found]) for what in ("mean", "std"))
        return mean, std, [row[metrics[0]]["place"] for row in found]

    notes = client.call("list_sizes", name=study, **size)["notes"]
    return {
        **fit,
        "study": shown["study"],
        "surrogate": "sizes",
        "metrics": metrics,
        "notes": notes,
        "predict": at_size,
    }


def fitted(client, workspace, options) -> dict:
    """The same at the study's own size, by its fitted surrogate, in this process; fits it first where it has to."""
    fit = client.call("fitted", name=options.study, surrogate=options.surrogate)
    if fit["file"] is None and options.surrogate:
        print(f"{options.surrogate} is not fitted yet: fitting it to the runs, alone.", file=sys.stderr)
        fit["file"] = fitted_alone(workspace, fit["fit"], options.surrogate)
    elif fit["file"] is None:
        print("No surrogate is fitted yet: waiting for the fit, which chooses the best.", file=sys.stderr)
        waited(client, workspace, [fit["job"]])
        fit = client.call("fitted", name=options.study)
    notes = client.call("list_sizes", name=options.study)["notes"]
    surrogate, runs = load(workspace.root / fit["file"]), np.array(fit["runs"], float)
    return {**fit, "notes": notes, "predict": lambda points: (*surrogate.predict(points), places(points, runs))}


def fitted_alone(workspace: Workspace, spec: dict, surrogate: str) -> str:
    """Fit one surrogate as the background fit would, in a process of its own with one thread; returns its file.

    Nothing of it goes into the study's journals: the full fit runs when a worker does.
    """
    spec = {**spec, "surrogates": [surrogate], "repeats": REPEATS}
    with part_of(workspace.root / "alone") as part:  # a killed one is cleared by the next, and in no backup
        folder = part / WHOLE
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps(spec))
        (folder / "lease.json").write_text(json.dumps({"attempt": "alone"}))
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.jobs.run", str(folder), str(workspace.root), "alone"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **CHILD_ENVIRONMENT},
            cwd=CHECKOUT,
        )
        try:
            while process.poll() is None:
                time.sleep(0.2)
        finally:
            process.kill()
        failed = last_event(folder, JobFailed)
    if process.returncode:
        raise Problem(failed.message if failed else "its process ended")
    return f"surrogates/{spec['study']}/{spec['fingerprint']}/{surrogate}.npz"


def write_predictions(path: Path, table: Table, fit: dict, predicted: Predict, points: np.ndarray) -> list[str]:
    """Write the file atomically; returns the place of every row."""
    found: list[str] = []
    wanted = dict.fromkeys([fit["key"], *KEYS])
    carried = [name for name in wanted if name in table.columns and name not in fit["columns"].values()]
    with replacing(path) as part, open(part, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        named = (name for metric in fit["metrics"] for name in (metric, f"{metric}_std"))
        rows.writerow([as_text(name) for name in (*carried, *named, "place")])
        for start in range(0, len(points), CHUNK):
            mean, std, there = predicted(points[start : start + CHUNK])
            found += there
            for row, (m, s, place) in enumerate(zip(mean.tolist(), std.tolist(), there, strict=True), start):
                kept = [as_text(str(table.columns[name][row])) for name in carried]
                rows.writerow([*kept, *(number for pair in zip(m, s, strict=True) for number in pair), place])
    return found
