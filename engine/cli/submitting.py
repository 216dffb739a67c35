"""The command `submit-runs`: a run that was trained elsewhere joins a study, with its losses or a harness' results."""

import json
from pathlib import Path

from engine.cli.words import numbers
from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.short_names import listed
from engine.importing.harness_files import combined, files_in
from engine.importing.limits import JSON_BYTES

FACTS = {"seed": int, "parameters": int, "tokens": int, "seconds": float, "device": str}


def add(command) -> None:
    one = command("submit-runs", submit, "add a run that was trained elsewhere to a study", True)
    one.add_argument("--id", required=True, help="your own id of the run: the same run twice is one run")
    share = "its share of a domain, 0 where it is left out; repeat"
    one.add_argument("--weight", action="append", required=True, metavar="DOMAIN=SHARE", help=share)
    one.add_argument("--loss", action="append", default=[], metavar="METRIC=VALUE", help="what was measured; repeat")
    results = "what lm-evaluation-harness or lighteval wrote of its model: a results file, or a folder with one"
    one.add_argument("--results", type=given_path, metavar="PATH", help=results)
    for name, kind in FACTS.items():
        one.add_argument(f"--{name}", type=kind, help="of its training, where known")


def submit(client, workspace, options):
    """Send one run."""
    run = {"id": options.id, "weights": numbers(options.weight)}
    run |= {"losses": numbers(options.loss)} if options.loss else {}
    run |= {"results": results_in(options.results)} if options.results else {}
    run |= {name: getattr(options, name) for name in FACTS if getattr(options, name) is not None}
    return client.call("submit_runs", name=options.study, runs=[run])


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
