"""Commands about studies: start, show, wait, cancel, label, delete."""

import sys
from argparse import BooleanOptionalAction
from dataclasses import replace

from engine.cli.files import numbers_in
from engine.cli.numbers import number_given
from engine.cli.waiting import beside, wait_for_study
from engine.cli.words import plain
from engine.core.files import given_path
from engine.core.short_names import counted


def add(command) -> None:
    one = command("start", start, "create a study from a TOML file and start it", wait=True, makes=True)
    one.add_argument("file", type=given_path, metavar="STUDY.toml", help="its settings: docs/how-to/study-file.md")
    counts = "CSV or JSON: domain, tokens that the real run can draw on; they win over those of the file"
    one.add_argument("--available-tokens", type=given_path, metavar="FILE", help=counts)
    one.add_argument("--target-tokens", type=number_given, help="budget of the real run (default: the file's)")
    said = "say how much text the real run has, and its budget; search again"
    one = command("text", give_text, said, study=True)
    one.add_argument(
        "--available-tokens", type=given_path, metavar="FILE", help="CSV or JSON: domain, available tokens"
    )
    one.add_argument("--target-tokens", type=number_given, help="budget of the real run (default: as before)")
    said = "make a study's means relative to the natural mixture, or plain (default: as the scripts of its domains are)"
    one = command("mean", choose_mean, said, study=True)
    one.add_argument("--relative", action=BooleanOptionalAction, help="divide each loss by the natural mixture's first")
    one = command("list", list_studies, "list the studies")
    one.add_argument("--archived", action="store_true", help="list archived studies, too")
    said = "list the lines of journals that could not be read instead, with the reasons"
    one.add_argument("--set-aside", action="store_true", help=said)
    command("show", plain("show"), "show one study: settings, jobs, leaderboard of surrogates", study=True)
    command("runs", plain("list_runs"), "list a study's runs with shares and losses", study=True)
    command("wait", wait, "show progress until a study is done", study=True)
    command("cancel", plain("cancel"), "stop a study's jobs; finished runs stay", study=True)
    command("pause", plain("pause"), "pause a study: its jobs stop at a checkpoint and wait", study=True)
    command("resume", plain("resume"), "resume a paused or cancelled study and retry its failed jobs", study=True)
    one = command("label", label, "rename, annotate, tag, pin or archive a study", study=True)
    one.add_argument("--name", help="its new name")
    one.add_argument("--note", help="a note of your own; an empty one takes it away")
    one.add_argument("--tag", action="append", metavar="TAG", help="all its tags; repeat; an empty one takes them away")
    one.add_argument("--pinned", action=BooleanOptionalAction, help="list it before the others")
    one.add_argument("--archived", action=BooleanOptionalAction, help="hide it from lists and the page")
    one = command("delete", delete, "delete a study, with its runs, jobs and candidates, for good", study=True)
    one.add_argument("--called", required=True, metavar="NAME", help="its name again, to confirm")


def start(client, workspace, options):
    from engine.spec.study import StudySpec

    spec = StudySpec.from_toml(options.file)
    if options.available_tokens is not None:
        spec = replace(spec, available_tokens={**spec.available_tokens, **numbers_in(options.available_tokens)})
    if options.target_tokens is not None:
        spec = replace(spec, target_tokens=options.target_tokens)
    result = client.call("start", spec=spec.to_dict())
    return beside(result, wait_for_study(client, workspace, result["study"])) if options.wait else result


def give_text(client, workspace, options):
    given = {} if options.available_tokens is None else numbers_in(options.available_tokens)
    target = options.target_tokens
    return client.call("give_text", name=options.study, available_tokens=given, target_tokens=target)


def choose_mean(client, workspace, options):
    return client.call("choose_mean", name=options.study, relative=options.relative)


def list_studies(client, workspace, options):
    """The studies; archived ones where they are asked for. What of journals is in no list is told beside it."""
    aside = client.call("list_set_aside")
    if options.set_aside:
        return aside
    if count := aside["count"]:
        lines = counted(count, "line")
        print(f"{lines} of journals could not be read: list them with --set-aside.", file=sys.stderr)
    return client.call("list_studies", archived=options.archived)


def label(client, workspace, options):
    """Change what was given; an empty tag alone takes all tags away."""
    tags = options.tag if options.tag is None else [tag for tag in options.tag if tag]
    changes = {"new_name": options.name, "note": options.note, "pinned": options.pinned, "archived": options.archived}
    return client.call("label_study", name=options.study, tags=tags, **changes)


def delete(client, workspace, options):
    """Delete a study by its name, given twice."""
    return client.call("delete_study", name=options.study, called=options.called)


def wait(client, workspace, options):
    return wait_for_study(client, workspace, options.study)
