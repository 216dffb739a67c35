"""Commands about tasks: add one, list them, look at their items, run a harness."""

from dataclasses import fields

from engine.cli.importing import copied, folder_of
from engine.cli.numbers import number_given, whole_given
from engine.cli.waiting import beside, waited
from engine.cli.words import plain
from engine.core.errors import Problem
from engine.core.files import given_path
from engine.importing.harness_files import sample_files
from engine.importing.harness_samples import samples_in, written
from engine.metrics import ITEM_METRICS
from engine.metrics.verifiers import VERIFIERS
from engine.studies.imports import keep_file
from engine.tasks.cut import CUTS
from engine.tasks.generated import GENERATORS, GYM
from engine.tasks.task import Sampling


def add(command) -> None:
    metrics, verifiers = ", ".join(ITEM_METRICS), ", ".join(VERIFIERS)
    rules, cuts = ", ".join(GENERATORS), ", ".join(CUTS)
    command("tasks", plain("list_tasks"), "list the tasks, what they measure, and which studies use them")
    one = command("show-task", task_show, "show a task and its first items")
    one.add_argument("name", metavar="TASK", help="`tasks` lists them")
    one.add_argument("--first", type=whole_given, default=1, help="the first item that is shown (default: %(default)s)")
    one.add_argument("--items", type=whole_given, default=5, help="how many items (default: %(default)s)")
    one = command("add-task", task_add, "add a task, whose items studies then measure (tasks = [...])", makes=True)
    one.add_argument("name", metavar="TASK", help="what studies call it")
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", type=given_path, help="BIG-bench's JSON, or items as JSON or JSON lines")
    source.add_argument("--generate", metavar="KIND", help=f"by a rule: {rules}, {GYM}NAME of reasoning-gym")
    source.add_argument("--cut", metavar="KIND", help=f"from validation text: {cuts}")
    one.add_argument("--corpus", default="default", help="of --cut (default: %(default)s)")
    one.add_argument("--domain", help="of --cut")
    one.add_argument("--items", type=whole_given, default=200, help="of --generate and --cut (default: %(default)s)")
    one.add_argument("--seed", type=whole_given, default=0, help="of --generate and --cut (default: %(default)s)")
    one.add_argument("--private", action="store_true", help="show none of its text, on pages, in files or in answers")
    said = "of --file: put a blank between prompts and answers that would be read as one word"
    one.add_argument("--apart", action="store_true", help=said)
    scored = f"how answers are scored: {metrics}; repeat (default: by what the items hold)"
    one.add_argument("--metric", action="append", help=scored)
    one.add_argument("--most-tokens", type=whole_given, help="of a generated answer")
    one.add_argument("--stop", action="append", help="a text that ends a generated answer; repeat")
    one.add_argument("--samples", type=whole_given, help="answers drawn for best_of_n")
    one.add_argument("--temperature", type=number_given, help="at which they are drawn")
    one.add_argument("--verifier", help=f"what scores them: {verifiers}, or a program of the workspace")
    said = "keep what imported runs answered, item by item, as a harness' samples have it"
    one = command("add-samples", samples_add, said, study=True)
    said = "a folder with samples_….jsonl or details_….parquet files, in folders that are called after their runs"
    one.add_argument("folder", type=given_path, metavar="FOLDER", help=said)
    one.add_argument("--private", action="store_true", help="show none of the items' text")
    one = command("remove-task", task_remove, "delete a task that no study measures")
    one.add_argument("name", metavar="TASK", help="`tasks` lists them")
    of_harness(command)
    of_studies(command)


def of_harness(command):
    """Run lm-evaluation-harness on a model of the workspace, and what it measured."""
    one = command("run-harness", harness_run, "run lm-evaluation-harness on a model in the workspace", wait=True)
    one.add_argument(
        "model", metavar="MODEL", help="its path: checkpoints/NAME, exports/NAME, experts/STUDY/RUN.safetensors"
    )
    said = "a task of the harness' own, or a YAML file in the workspace's folder harness/; repeat"
    one.add_argument("--task", action="append", required=True, metavar="NAME", help=said)
    one.add_argument("--limit", type=whole_given, help="items of each task (default: all)")
    one.add_argument("--study", help="of a proxy in exports/, its id or name")
    command("harness-results", plain("harness_results"), "what lm-evaluation-harness measured, latest first")


def of_studies(command):
    """What a study's runs, scores and training text say of its tasks."""
    said = "count which items of a study's tasks stand in its training text"
    command("count-overlap", overlap_count, said, study=True, wait=True)
    said = "items that stand in training text, by domain, and what is left of gains without them"
    command("overlap", plain("task_overlap"), said, study=True)
    said = "which metrics the mixture steers, how tasks move together, and what links scores to losses"
    command("readiness", plain("task_readiness"), said, study=True)
    said = "a task's score at a larger size, with its interval and the check at the largest size"
    one = command("extrapolate-score", score_extrapolate, said, study=True)
    one.add_argument("--metric", required=True, help="of the study, as `runs` names it")
    one.add_argument(
        "--times", type=number_given, default=4.0, help="multiple of the largest runs' compute (default: %(default)g)"
    )
    one.add_argument("--candidate", default="best", help="at whose mixture, as in export (default: %(default)s)")
    one = command("clean-task", task_clean, "add a task of another's items that stand in no training text")
    one.add_argument("name", metavar="TASK", help="whose items they are")
    one.add_argument("new_name", metavar="NEW", help="what studies call the new one")
    one.add_argument("--study", required=True, help="in whose training text they were looked for")


def task_show(client, workspace, options):
    return client.call("show_task", name=options.name, first=options.first, count=options.items)


def task_add(client, workspace, options):
    """Add a task from what the options name."""
    given = {one.name: getattr(options, one.name) for one in fields(Sampling)}
    sampling = {key: value for key, value in given.items() if value is not None}
    how = {"name": options.name, "metrics": options.metric, "sampling": sampling or None}
    drawn = {"items": options.items, "seed": options.seed}
    if options.generate:
        return client.call("generate_task", kind=options.generate, **drawn, **how)
    how["private"] = options.private
    if options.cut:
        if not options.domain:
            raise Problem("Cannot cut items without a domain: name it with --domain.")
        place = {"corpus": options.corpus, "domain": options.domain}
        return client.call("cut_task", kind=options.cut, **drawn, **place, **how)
    how["apart"] = options.apart
    return client.call("add_task", file=copied(workspace, options.name, options.file, "items"), **how)


def samples_add(client, workspace, options):
    """Read the samples, and send what is kept of them."""
    if not options.folder.is_dir():
        raise Problem(f"Cannot read {options.folder}: it is not a folder. Name the one with the folders of the runs.")
    found, left = samples_in(sample_files(options.folder), str(options.folder))
    file = keep_file(workspace, "samples.jsonl", [written(found)], folder_of(options.study))
    told = client.call("add_samples", name=options.study, file=file, private=options.private)
    return told | {"notes": [*told["notes"], *left]}


def overlap_count(client, workspace, options):
    """Count, and with --wait print what was found."""
    asked = client.call("count_overlap", name=options.study)
    if not options.wait:
        return asked
    waited(client, workspace, [asked["job"]])
    return beside(asked, client.call("task_overlap", name=options.study))


def score_extrapolate(client, workspace, options):
    wanted = {key: getattr(options, key) for key in ("metric", "times", "candidate")}
    return client.call("extrapolate_score", name=options.study, **wanted)


def task_clean(client, workspace, options):
    return client.call("clean_task", name=options.name, study=options.study, new_name=options.new_name)


def task_remove(client, workspace, options):
    return client.call("remove_task", name=options.name)


def harness_run(client, workspace, options):
    """Queue a run of the harness; with --wait, show what it measured when it is done."""
    asked = {"model": options.model, "tasks": options.task, "limit": options.limit, "study": options.study}
    result = client.call("run_harness", **asked)
    if not options.wait:
        return result
    waited(client, workspace, [result["job"]])
    done = client.call("harness_results")
    return beside(result, next(one for one in done if one["job"] == result["job"]))
