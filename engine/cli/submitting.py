"""The commands `submit-runs` and `give-up-runs`: results of runs that were trained elsewhere, and runs given up.

One run by options, or many in a file: JSON as the API takes it, or a table of a tracker's or of anybody's that holds
the ids of planned runs.
"""

import json
from pathlib import Path
from typing import Any

from engine.cli.files import as_file, plain_table
from engine.cli.words import numbers, pairs
from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.short_names import listed
from engine.core.system import UNREADABLE, read_fault
from engine.importing.harness_files import combined, files_in, sample_files
from engine.importing.harness_samples import as_sent, samples_in
from engine.importing.limits import JSON_BYTES
from engine.importing.reducing import CHOICES
from engine.importing.reported import Wanted, results_in_table
from engine.jobs.reported import STATES
from engine.studies.result_files import MOST_BYTES, runs_in
from engine.studies.submissions import MOST

FACTS = {"seed": int, "parameters": int, "tokens": int, "seconds": float, "device": str}
PLANNED = ("seed", "parameters", "tokens")  # of a run in a manifest, besides its mixture
LISTS = ("added", "filled", "in_training", "already_there", "notes")  # of an answer


def add(command) -> None:
    one = command("submit-runs", submit, "add results of runs that were trained elsewhere to a study", True)
    one.add_argument("--run", dest="planned", metavar="ID", help="a planned run, by its id in the manifest")
    one.add_argument("--id", help="your own id of a run that was not planned: the same run twice is one run")
    share = "its share of a domain, 0 where it is left out; repeat"
    one.add_argument("--weight", action="append", default=[], metavar="DOMAIN=SHARE", help=share)
    one.add_argument("--loss", action="append", default=[], metavar="METRIC=VALUE", help="what was measured; repeat")
    results = "what lm-evaluation-harness or lighteval wrote of its model: a results file, or a folder with one"
    one.add_argument("--results", type=given_path, metavar="PATH", help=results)
    samples = "what a harness kept of single items: a folder with samples_….jsonl or details_….parquet, or such a file"
    one.add_argument("--samples", type=given_path, metavar="PATH", help=samples)
    one.add_argument("--private", action="store_true", help="show none of the samples' text")
    one.add_argument("--state", choices=STATES, help="of a planned run (default: done, where something was measured)")
    one.add_argument("--message", help="why a planned run failed")
    for name, kind in FACTS.items():
        one.add_argument(f"--{name}", type=kind, help="of its training, where known")
    many = (
        "results of many runs: JSON, JSON lines, or a table with the ids of planned runs (CSV, Parquet, Trackio's .db)"
    )
    one.add_argument("--file", type=given_path, metavar="PATH", help=many)
    options = "; ".join(f"{name}: {text}" for name, text in CHOICES.items())
    one.add_argument("--value", choices=list(CHOICES), help=f"of a history in the file, what counts ({options})")
    column = "the table's column of a metric, where its name does not tell; repeat"
    one.add_argument("--column", action="append", default=[], metavar="METRIC=COLUMN", help=column)
    said = "the manifest that the runs were trained by: its mixtures, seeds and sizes are compared with the plan"
    one.add_argument("--manifest", type=given_path, metavar="PATH", help=said)
    said = "give up planned runs: their results are refused until the study is resumed"
    command("give-up-runs", give_up, said, True).add_argument("planned", metavar="ID", nargs="+", help="planned runs")


def submit(client, workspace, options):
    """Send one run, or those of a file."""
    check_options(options)
    notes: list[str] = []
    private = {"private": True} if options.private else {}
    runs = [one_run(options, notes)] if options.file is None else runs_in_file(client, options, notes)
    if options.manifest is not None:
        runs = by_manifest(options.manifest, runs)
    answer: dict[str, Any] = {}
    for first in range(0, len(runs), MOST):
        told = client.call("submit_runs", name=options.study, runs=runs[first : first + MOST], **private)
        lists = {name: [*answer.get(name, ()), *told[name]] for name in LISTS}
        answer = {**told, **lists, "samples": summed(answer.get("samples", {}), told["samples"])}
    return answer | {"notes": [*notes, *answer["notes"]]}


def check_options(options) -> None:
    """Raise Problem unless they name one run, or a file of several."""
    given = [name for name in ("planned", "id", "file") if getattr(options, name) is not None]
    if len(given) != 1:
        raise Problem("Cannot tell what is sent: give one of --run (a planned run), --id (one of your own) and --file.")
    if options.id is not None and not options.weight:
        raise Problem(f"Cannot send the run {options.id!r}: give its mixture, with --weight for each domain.")


def summed(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    """How many runs both tell of, by task."""
    return {task: one.get(task, 0) + other.get(task, 0) for task in dict.fromkeys([*one, *other])}


def one_run(options, notes: list[str]) -> dict[str, Any]:
    """The run that the options tell of; adds to the notes what of its samples was left."""
    run: dict[str, Any] = {"id": options.id} if options.planned is None else {"run": options.planned}
    run |= {"weights": numbers(options.weight)} if options.weight else {}
    run |= {"losses": numbers(options.loss)} if options.loss else {}
    run |= {"results": results_in(options.results)} if options.results else {}
    run |= {"samples": samples_of_run(options.samples, notes)} if options.samples else {}
    facts = (*FACTS, "state", "message")
    return run | {name: getattr(options, name) for name in facts if getattr(options, name) is not None}


def runs_in_file(client, options, notes: list[str]) -> list[dict[str, Any]]:
    """The runs of a file: of JSON as it is, of a table by the ids in it; adds to the notes what was read and left."""
    with as_file(options.file) as file:
        if file.stat().st_size <= MOST_BYTES and is_runs(head := file.read_bytes()[:MOST_BYTES]):
            found = runs_in(head.decode("utf-8", "replace"), options.file.name)
            return [{name: value for name, value in one.items() if name != "study"} for one in found]
        table = plain_table(file)
    shown = client.call("show", name=options.study)
    planned = [one["id"] for one in client.call("list_runs", name=options.study) if one["role"] != "submitted"]
    wanted = [Wanted(one["metric"], one["higher_is_better"]) for one in shown["metrics"]]
    read = results_in_table(table, set(planned), wanted, options.value, pairs(options.column))
    notes += read.notes
    notes.append(f"Read as: {listed([f'{metric} from {column!r}' for metric, column in read.columns.items()], 12)}.")
    if not read.runs:
        raise Problem(f"Cannot take {options.file}: none of its planned runs has ended. {' '.join(read.notes)}")
    return read.runs


def is_runs(data: bytes) -> bool:
    """Whether a file holds runs as `submit_runs` takes them, and no table: JSON with `run`, `id` and `losses`."""
    begins = data.lstrip()[:1]
    return begins in (b"{", b"[") and (b'"run"' in data or b'"runs"' in data or b'"id"' in data)


def by_manifest(path: Path, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs with what a manifest says of each. Raises Problem for a file that is none, and runs that it lacks."""
    with as_file(path) as file:
        try:
            rows = {row["run"]: row for row in json.loads(file.read_text())["runs"]}
        except (*UNREADABLE, LookupError, TypeError) as error:
            raise Problem(
                f"Cannot read the manifest {path}: {read_fault(error, 'Export the design again.')}"
            ) from error
    if missing := [one["run"] for one in runs if "run" in one and one["run"] not in rows]:
        raise Problem(f"Cannot find {missing[0]!r} in {path}: it has {len(rows)} other runs. Name its own manifest.")
    found = []
    for one in runs:
        row = rows.get(one.get("run"), {})
        told = {name: row[name] for name in PLANNED if row.get(name) is not None}
        found.append({**told, **({"weights": row["mixture"]} if "mixture" in row else {}), **one})
    return found


def give_up(client, workspace, options):
    return client.call("give_up_runs", name=options.study, runs=options.planned)


def samples_of_run(path: Path, notes: list[str]) -> dict[str, Any]:
    """What one run answered, by task; adds to the notes what cannot be read. Raises Problem where there is none, or a
    task is there of several runs."""
    found, left = samples_in(sample_files(path), str(path))
    notes += left
    tasks = [one.task for one in found]
    if twice := [task for task in tasks if tasks.count(task) > 1]:
        raise Problem(
            f"Cannot tell which samples in {path} are the run's: there are {tasks.count(twice[0])} of {twice[0]!r}. "
            "Name its own folder, or join the samples of all runs by `add-samples`."
        )
    return {one.task: as_sent(one) for one in found}


def results_in(path: Path) -> dict:
    """The results of one model, without prompts and settings. Raises Problem where there are none, or several."""
    if not path.is_dir() and (not path.is_file() or path.stat().st_size > JSON_BYTES):
        raise Problem(
            f"Cannot read {path}: it is not a file of up to {JSON_BYTES >> 20} MiB. Name a harness' results file."
        )
    files = list(files_in(path)) if path.is_dir() else [(path.name, path.read_bytes())]
    lines = combined(files, str(path))[0].splitlines()
    if len(lines) > 1:
        found = listed([name for name, data in files if data], 4)
        raise Problem(f"Cannot tell which results in {path} are the run's: there are {found}. Name one file.")
    found: dict = json.loads(lines[0])
    return found
