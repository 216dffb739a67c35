"""Commands about background jobs: list, submit, cancel, retry, move in the queue, read the log."""

import json

from engine.cli.numbers import number_given
from engine.cli.waiting import beside, waited
from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.settings_text import text_of
from engine.core.shown import READS
from engine.core.system import UNREADABLE, read_fault
from engine.jobs.spec import JobSpec, renamed

JOB = "the job's id (`jobs` shows it)"


def add(command) -> None:
    one = command("jobs", jobs, "list the jobs that run, wait or failed, or all of a study")
    one.add_argument(
        "study",
        nargs="?",
        metavar="STUDY",
        help="the study's id or name (default: of all studies, those that have not ended or failed)",
    )
    one = command(
        "submit", submit, "queue a job from a JSON file with its spec (docs/CLUSTER.md)", wait=True, makes=True
    )
    one.add_argument("file", type=given_path, metavar="SPEC.json", help="the job's spec, one JSON object")
    one.add_argument("--id", help="the job's id; the same id twice is one job")
    one.add_argument("--depends-on", "--after", action="append", default=[], metavar="JOB", help="repeat for several")
    for name, of, words in (
        ("job-cancel", "cancel_job", "stop one job; it saves a checkpoint"),
        ("job-retry", "retry_job", "queue a failed or cancelled job again"),
        ("job-log", "job_log", "the end of a job's log"),
    ):
        command(name, about(of), words).add_argument("job", metavar="JOB", help=JOB)
    one = command("job-priority", priority, "move a queued job; lower numbers run sooner")
    one.add_argument("job", metavar="JOB", help=JOB)
    one.add_argument("priority", type=number_given, help="lower numbers run sooner")


def jobs(client, workspace, options):
    return client.call("list_jobs", name=options.study)


def submit(client, workspace, options):
    """Queue a job, and wait for it where that is asked. Raises Problem for a file that holds no job's spec."""
    try:
        spec = json.loads(text_of(options.file), **READS)
    except UNREADABLE as error:
        raise Problem(f"Cannot read the spec {options.file}: {read_fault(error, 'Fix it.')}") from error
    if options.depends_on:
        JobSpec.read(spec)
        spec = renamed(spec)
        spec["depends_on"] = [*spec.get("depends_on", []), *options.depends_on]
    result = client.call("submit_job", spec=spec, job_id=options.id)
    return beside(result, waited(client, workspace, [result["job"]])) if options.wait else result


def about(command: str):
    """A command about one job."""
    return lambda client, workspace, options: client.call(command, job_id=options.job)


def priority(client, workspace, options):
    return client.call("prioritise_job", job_id=options.job, priority=options.priority)
