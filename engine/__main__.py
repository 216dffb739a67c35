"""The command line: `python -m engine COMMAND`. Everything that the page can start, without the page.

Results are JSON on standard output, progress and errors go to standard error. Exit codes: 0 done,
1 it could not be done (one sentence says why and what to do), 2 the command line was wrong, 130 interrupted.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from tqdm import tqdm

from engine.client import Local, connect
from engine.errors import Problem
from engine.workspace import Workspace

POLL_SECONDS = 0.5
UNFINISHED = ("queued", "running", "paused")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    client = None
    try:
        workspace = Workspace.open(options.workspace)
        client = connect(workspace)
        result = options.run(client, workspace, options)
        if result is not None:
            print(json.dumps(result, indent=2, ensure_ascii=False))
        return 0
    except Problem as problem:
        print(f"{problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot do that: {error}. Free disk space or check the path, then try again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "Interrupted. Jobs that were submitted stay queued; the same command goes on with them.",
            file=sys.stderr,
        )
        return 130
    finally:
        if client is not None:
            client.close()


# One function a command ----------------------------------------------------------------------------------


def corpus_build(client, workspace, options):
    result = client.call("build_corpus", name=options.name, spec=corpus_spec(options))
    return waited(client, workspace, [result["job"]]) if options.wait else result


def corpus_spec(options) -> dict:
    """The corpus that the command line describes, as engine.corpus.spec reads it."""
    named = pairs(options.file or options.huggingface or ())
    column = {"text": options.text_column} if options.text_column else {}
    if options.folder:
        source = {"type": "folder", "path": str(options.folder.resolve()), **column}
    elif options.file:
        source = {
            "type": "files",
            "files": {name: str(Path(path).resolve()) for name, path in named.items()},
            **column,
        }
    elif options.huggingface:
        source = {
            "type": "huggingface",
            "datasets": {name: {"name": value, **column} for name, value in named.items()},
        }
    else:
        source = {"type": "default"}
    spec = {"source": source}
    if options.tokenizer == "bpe":
        spec["tokenizer"] = {"type": "bpe", "vocabulary": options.vocabulary}
    elif options.tokenizer != "bytes":
        spec["tokenizer"] = {"type": "file", "path": str(Path(options.tokenizer).resolve())}
    if options.cap_mb is not None:
        spec["cap_mb"] = options.cap_mb
    return spec


def pairs(entries) -> dict[str, str]:
    """{name: value} of entries NAME=VALUE. Raises Problem for one that is none."""
    for entry in entries:
        if not all(entry.partition("=")):
            raise Problem(f"Cannot read {entry!r}: write it as NAME=VALUE, such as python=2 or web=web.jsonl.")
    return dict(entry.partition("=")[::2] for entry in entries)


def start(client, workspace, options):
    from engine.study import StudySpec

    spec = StudySpec.from_toml(options.file)
    result = client.call("start", spec=spec.to_dict())
    return wait_for_study(client, workspace, result["study"]) if options.wait else result


def wait(client, workspace, options):
    return wait_for_study(client, workspace, options.study)


def fit(client, workspace, options):
    result = client.call("fit", name=options.study)
    if options.wait and result["job"]:
        waited(client, workspace, [result["job"]])
    return client.call("show", name=options.study)["league"] if options.wait else result


def search(client, workspace, options):
    try:
        priorities = {name: float(value) for name, value in pairs(options.priority).items()} or None
    except ValueError as error:
        raise Problem(f"Cannot read the priorities: {error}. Write them as --priority python=2.") from error
    result = client.call(
        "search",
        name=options.study,
        surrogate=options.surrogate,
        priorities=priorities,
        points=options.points,
    )
    if not options.wait:
        return result
    waited(client, workspace, [result["job"]])
    return client.call("candidates", name=options.study)[0]


def export(client, workspace, options):
    files = client.call(
        "export",
        name=options.study,
        format=options.format,
        candidate=options.candidate,
        tokens=options.tokens,
    )["files"]
    options.out.mkdir(parents=True, exist_ok=True)
    taken = [name for name in files if (options.out / name).exists()]
    if taken and not options.force:
        raise Problem(f"Cannot write {options.out / taken[0]}: it exists. Choose another --out, or add --force.")
    for name, text in files.items():
        (options.out / name).write_text(text)
    return {"written": [str(options.out / name) for name in files]}


def plain(command: str):
    """A command that only asks: with a study's name where it takes one."""

    def run(client, workspace, options):
        return client.call(command, **({"name": options.study} if hasattr(options, "study") else {}))

    return run


# Waiting ---------------------------------------------------------------------------------------------------


def wait_for_study(client, workspace, study: str):
    """Show progress until nothing of the study is left to do; returns its summary. Raises Problem if a job failed."""
    with working(client, workspace) as worker, tqdm(unit="run", file=sys.stderr) as bar:
        while True:
            worker.check()
            shown = client.call("show", name=study)
            bar.total, bar.n = sum(shown["counts"].values()), shown["counts"].get("done", 0)
            open_jobs = [job for job in shown["jobs"] if job["state"] in UNFINISHED]
            note = next((job["note"] for job in open_jobs if job["state"] == "running"), "")
            bar.set_postfix_str(note or "", refresh=True)
            failed = [job for job in shown["jobs"] if job["state"] == "failed"]
            if failed:
                raise Problem(f"Job {failed[0]['id']} of {study!r} failed: {failed[0]['message']}")
            if shown["state"] == "failed":
                raise Problem(shown["message"])
            corpus_failed(client, shown)
            if shown["settled"]:
                return {key: shown[key] for key in ("study", "state", "counts", "domains")}
            time.sleep(POLL_SECONDS)


def corpus_failed(client, shown) -> None:
    """Raise Problem when the corpus that a study waits for could not be built."""
    for corpus in client.call("list_corpora"):
        job = corpus["job"]
        ended = job and job["state"] in ("failed", "cancelled")
        if corpus["corpus"] == shown["corpus"] and not shown["domains"] and ended:
            why = job["message"] or "its job was cancelled. Build it again."
            raise Problem(f"The corpus {corpus['corpus']!r} could not be built: {why}")


def waited(client, workspace, job_ids: list[str]):
    """Show progress until the jobs have ended. Raises Problem when one failed."""
    with (
        working(client, workspace) as worker,
        tqdm(total=1.0, file=sys.stderr, bar_format="{l_bar}{bar}| {postfix}") as bar,
    ):
        while True:
            worker.check()
            found = [client.call("job", job_id=job_id) for job_id in job_ids]
            shares = [job["done"] / job["total"] if job["total"] else 0.0 for job in found]
            bar.n = sum(shares) / len(shares)
            bar.set_postfix_str(next((job["note"] for job in found if job["note"]), ""))
            bad = [job for job in found if job["state"] in ("failed", "cancelled")]
            if bad:
                raise Problem(bad[0]["message"] or f"Job {bad[0]['id']} was cancelled.")
            if all(job["state"] == "done" for job in found):
                return {"jobs": [{key: job[key] for key in ("id", "state")} for job in found]}
            time.sleep(POLL_SECONDS)


class working:
    """A worker for as long as we wait, where none serves the workspace and no page runs that has its own."""

    def __init__(self, client, workspace: Workspace):
        self.workspace, self.process = workspace, None
        self.needed = isinstance(client, Local) and not workspace.is_held("worker")
        self.command = [sys.executable, "-m", "engine.worker", "--workspace", str(workspace.root)]

    def __enter__(self):
        if self.needed:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
        return self

    def check(self) -> None:
        """Raise Problem when the worker that was started is gone, and no other one serves the workspace."""
        gone = self.process and self.process.poll() is not None
        if gone and not self.workspace.is_held("worker"):
            raise Problem(
                f"Cannot wait any longer: the worker ended with code {self.process.returncode}, and said why above. "
                "The jobs stay queued; the same command goes on with them."
            )

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()


# The words ---------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(
        prog="python -m engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root.add_argument("--workspace", type=Path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, help: str, study: bool = False, wait: bool = False):
        one = commands.add_parser(name, help=help, description=help)
        if study:
            one.add_argument("study", metavar="STUDY", help="the study's id or name (`list` shows them)")
        if wait:
            one.add_argument("--wait", action="store_true", help="show progress until it is done")
        one.set_defaults(run=run)
        return one

    command("corpora", plain("list_corpora"), "list the corpora and their sizes")
    corpus_options(command("corpus", corpus_build, "build a corpus: text -> shards of tokens", wait=True))
    one = command("start", start, "create a study from a TOML file and start it", wait=True)
    one.add_argument("file", type=Path, metavar="STUDY.toml", help="its settings: README, 'Headless'")
    command("list", plain("list_studies"), "list the studies")
    command("show", plain("show"), "show one study: settings, jobs, league of surrogates", study=True)
    command("runs", plain("list_runs"), "list a study's runs with shares and losses", study=True)
    command("wait", wait, "show progress until a study has nothing left to do", study=True)
    command("cancel", plain("cancel"), "stop a study's jobs; finished runs stay", study=True)
    command("resume", plain("resume"), "go on with a cancelled study, retry its failed jobs", study=True)
    command("fit", fit, "fit and cross-validate the surrogates on the runs there are", study=True, wait=True)
    search_options(command("search", search, "score simulated mixtures and average the best", study=True, wait=True))
    command("candidates", plain("candidates"), "what the searches found, latest first", study=True)
    export_options(command("export", export, "write a mixture in a loader's format", study=True))
    return root


def corpus_options(one) -> None:
    one.add_argument("--name", default="default", help="name of the corpus (default: %(default)s)")
    source = one.add_mutually_exclusive_group()
    source.add_argument("--folder", type=Path, help="a folder with one folder or file per domain")
    source.add_argument("--file", action="append", metavar="DOMAIN=PATH", help="a domain from a file; repeat")
    source.add_argument(
        "--huggingface", action="append", metavar="DOMAIN=DATASET", help="a domain from the hub; repeat"
    )
    one.add_argument("--text-column", help="column of the text in jsonl, parquet and csv (default: text)")
    one.add_argument("--tokenizer", default="bytes", help="bytes (default), bpe, or the path of a tokenizer.json")
    one.add_argument("--vocabulary", type=int, default=2048, help="tokens of a bpe tokenizer (default: %(default)s)")
    one.add_argument("--cap-mb", type=float, help="at most this many MB of text a domain")


def search_options(one) -> None:
    one.add_argument("--surrogate", help="default: the best of the league")
    one.add_argument("--priority", action="append", default=[], metavar="DOMAIN=WEIGHT", help="repeat; default: all 1")
    one.add_argument("--points", type=int, default=1_000_000, help="simulated mixtures (default: %(default)s)")


def export_options(one) -> None:
    from engine.recipe import FORMATS

    one.add_argument("--format", choices=list(FORMATS), required=True)
    one.add_argument(
        "--candidate",
        default="best",
        help="best (of the latest search), natural, uniform, unimax, or a run's id",
    )
    one.add_argument("--tokens", type=float, help="budget of the real training run (default: the study's)")
    one.add_argument("--out", type=Path, default=Path("recipe"), help="folder to write into (default: %(default)s)")
    one.add_argument("--force", action="store_true", help="write over files that exist")


if __name__ == "__main__":
    sys.exit(main())
