#!/usr/bin/env python3
"""Send the results of a planned run to Mixdesk, from wherever it was trained. One file, Python 3.8, nothing to install.

    python mixdesk_report.py --run lab-1a2b-00007 --metrics loss.json

`--metrics`: a JSON object {metric: value}; `--curve`: JSON lines {"step", "tokens", "loss"}, also while the run trains
(`--state running`). Where the design's manifest.json is found (`--manifest`, the working directory, or the folder above
this file), the run is looked up in it, and what it says goes along, to be compared with the plan.

Results go to a Mixdesk server (`--server`, or $MIXDESK_SERVER, with a token of its API in $MIXDESK_TOKEN), or as a file
into a folder that Mixdesk watches (`--folder`, or $MIXDESK_RESULTS: the folder `results` of its workspace). With both,
the folder takes what the server could not be given. The same results may be sent again: they count once.
"""

import argparse
import json
import math
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

WAITS = (1.0, 4.0, 16.0)  # seconds between tries
SECONDS = 60  # for an answer
FACTS = ("seed", "parameters", "tokens")


class Refused(Exception):
    """Why results were not taken."""


def report(run, losses=None, curve=None, manifest=None, server=None, token=None, folder=None, **facts):
    """Send a run's results; returns what became of them. losses: {metric: value}; curve: a list of {"step", "tokens",
    "loss"}; facts: state ("running", "done", "failed"), tokens, seconds, device, message, steps. Raises Refused."""
    sent = planned(run, manifest)
    sent.update({name: value for name, value in facts.items() if value is not None})
    if losses is not None:
        sent["losses"] = {name: plain(value) for name, value in losses.items()}
    if curve is not None:
        sent["curve"] = [{name: plain(value) for name, value in point.items()} for point in curve]
    study = sent.pop("study", None) or run.rpartition("-")[0]
    server = server or os.environ.get("MIXDESK_SERVER")
    folder = folder or os.environ.get("MIXDESK_RESULTS")
    if not server and not folder:
        raise Refused("Name a server ($MIXDESK_SERVER) or a folder that Mixdesk watches ($MIXDESK_RESULTS).")
    if server:
        try:
            return post(server, token or os.environ.get("MIXDESK_TOKEN", ""), study, sent)
        except OSError as error:
            if not folder:
                raise Refused(f"The server {server} cannot be reached: {error}. Send the results later.") from error
    return leave(folder, study, sent)


def planned(run, manifest=None):
    """The run as its manifest has it, to be compared with the plan; only its id where there is no manifest."""
    here = Path(__file__).resolve().parent
    places = [manifest] if manifest else [Path("manifest.json"), here / "manifest.json", here.parent / "manifest.json"]
    found = next((Path(place) for place in places if Path(place).is_file()), None)
    if found is None:
        if manifest:
            raise Refused(f"There is no manifest {manifest}.")
        return {"run": run}
    try:
        whole = json.loads(found.read_text(encoding="utf-8"))
        rows = {row["run"]: row for row in whole["runs"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"The manifest {found} cannot be read ({error!r}). Export the design again.") from error
    if run not in rows:
        raise Refused(
            f"The manifest {found} has no run {run!r}. It has {len(rows)} others, such as {next(iter(rows), None)}."
        )
    row = rows[run]
    facts = {name: row[name] for name in FACTS if row.get(name) is not None}
    return {"run": run, "study": whole.get("study"), "weights": row.get("mixture"), **facts}


def plain(value):
    """A value as JSON has it: null for NaN and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def post(server, token, study, sent):
    """Send to the server, again where it cannot be reached. Raises Refused with its sentence, OSError in the end."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + token}
    body = json.dumps({"name": study, "runs": [sent]}).encode()
    for wait in (*WAITS, None):
        request = urllib.request.Request(server.rstrip("/") + "/api/v1/submit_runs", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return json.loads(answer.read())["result"]
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise Refused(reason(error)) from error
            failed = error
        except OSError as error:
            failed = error
        if wait is None:
            raise failed
        time.sleep(wait)
    return None


def reason(error):
    """What the server said."""
    try:
        return json.loads(error.read())["error"]
    except (ValueError, KeyError, TypeError):
        return f"The server answered {error.code} {error.reason}."


def leave(folder, study, sent):
    """Write a file into the watched folder, atomically."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    name = f"{sent['run']}-{time.time_ns()}-{os.getpid()}.json"
    part = place / f".{name}.part"
    part.write_text(json.dumps({"study": study, "runs": [sent]}), encoding="utf-8")
    part.replace(place / name)
    return {"study": study, "file": str(place / name)}


def values_in(path):
    """What a JSON file holds, or its lines."""
    text = Path(path).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def main(arguments=None):
    """Send what the command line names; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="the run's id, as in the manifest")
    parser.add_argument("--metrics", help="a JSON file {metric: value}")
    parser.add_argument("--curve", help="a JSON file, or lines, of {step, tokens, loss}")
    parser.add_argument("--state", choices=("running", "done", "failed"), help="default: done with metrics")
    parser.add_argument("--message", help="why it failed")
    for name, kind in (("tokens", int), ("steps", int), ("seconds", float), ("device", str)):
        parser.add_argument("--" + name, type=kind, help="of its training, where known")
    for name in ("manifest", "server", "folder"):
        parser.add_argument("--" + name)
    options = vars(parser.parse_args(arguments))
    try:
        losses, curve = (values_in(options[name]) if options[name] else None for name in ("metrics", "curve"))
        given = {name: value for name, value in options.items() if name not in ("metrics", "curve")}
        print(json.dumps(report(losses=losses, curve=curve, **given), indent=2))
        return 0
    except (Refused, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
