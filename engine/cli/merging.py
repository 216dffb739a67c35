"""The commands `merge` (a merge file in, a checkpoint out), `extract-lora` and `merge-adapters`. They need neither a
workspace nor a server or a worker."""

import sys
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from engine.cli.numbers import number_given, whole_given
from engine.cli.words import print_json
from engine.core.files import given_path, refuse_below


def add(command) -> None:
    one = command("merge", run, "merge checkpoints as a mergekit file says, into a checkpoint")
    one.add_argument("config", type=given_path, metavar="CONFIG.yml", help="in mergekit's syntax")
    one.add_argument("out", type=given_path, metavar="OUT", help="a folder, or a file that ends in .safetensors")
    one.add_argument("--check", action="store_true", help="dry run: validate and estimate; writes nothing")
    one.set_defaults(alone=True)
    one = command("extract-lora", run_extraction, "write what a model has learned over its base as a LoRA adapter")
    one.add_argument("model", metavar="MODEL", help="the fine-tuned model's folder, or base+adapter")
    one.add_argument("base", metavar="BASE", help="the folder of the model that it was tuned from")
    one.add_argument("out", type=given_path, metavar="OUT", help="the adapter's folder, as peft reads it")
    size = one.add_mutually_exclusive_group(required=True)
    size.add_argument("--rank", type=whole_given, help="of every matrix, at most")
    size.add_argument(
        "--energy", type=number_given, help="part of each matrix' squared change that its rank must reach"
    )
    one.set_defaults(alone=True)
    add_adapters(command("merge-adapters", run_adapters, "merge LoRA adapters into one adapter, without a base"))


def add_adapters(one) -> None:
    one.add_argument("adapters", nargs="+", metavar="ADAPTER[=WEIGHT]", help="folders; a weight is 1/K unless given")
    one.add_argument("--out", type=given_path, required=True, help="the merged adapter's folder, as peft reads it")
    ways = "cat (exact, ranks add up; default), svd (cut to a rank), or of the factors: linear, ties, dare_linear, "
    one.add_argument("--by", default="cat", help=ways + "dare_ties, magnitude_prune")
    one.add_argument(
        "--rank", type=whole_given, help="svd: of every module, at most (default: the largest of the adapters')"
    )
    one.add_argument("--method", default="task_arithmetic", help="svd: how changes are merged (default: %(default)s)")
    one.add_argument("--density", type=number_given, default=1.0, help="part of each factor that ties and others keep")
    one.add_argument("--seed", type=whole_given, default=0, help="of what dare draws (default: %(default)s)")
    one.set_defaults(alone=True)


def run_adapters(client, workspace, options):
    """Merge adapters, in this process."""
    from engine.merging.adapter_merge import Asked, merge_adapters

    refuse_below(options.out)
    folders, weights = zip(*(weighted(given, len(options.adapters)) for given in options.adapters), strict=True)
    asked = Asked(options.by, list(weights), options.density, options.rank, options.method, options.seed)
    with told("modules") as (tell, progress):
        return merge_adapters(list(folders), asked, options.out, tell, progress)


def weighted(given: str, count: int) -> tuple[Path, float]:
    """An adapter's folder and weight; a folder may have = in its name."""
    from engine.core.errors import Problem

    path, equals, weight = given.rpartition("=")
    if not equals or given_path(given).exists():
        return given_path(given), 1 / count
    try:
        return given_path(path), float(weight)
    except ValueError:
        raise Problem(f"Cannot read the weight {weight!r} of {path}: give a number, as in {path}=0.5.") from None


def run(client, workspace, options):
    """Merge checkpoints as a file says, in this process; with --check, only the preflight."""
    from engine.core.errors import Problem
    from engine.merging.documents import check_all, merge_all, read_documents

    refuse_below(options.out)
    merges = read_documents(options.config)
    folder = options.config.parent
    with told() as (tell, progress):
        if not options.check:
            return answer(merge_all(merges, folder, options.out, tell, progress))
        found = check_all(merges, folder, options.out, progress)
        for sentence in [sentence for one in found for sentence in one["warnings"]]:
            tell(sentence)
    if refused := [sentence for one in found for sentence in one["refusals"]]:
        print_json(answer(found))
        raise Problem("\n".join(refused))
    return answer(found)


def answer(found: list[dict]) -> dict:
    """The one merge of a file, or all of them."""
    if len(found) > 1:
        return {"merges": found}
    return {key: value for key, value in found[0].items() if key != "name"}


def run_extraction(client, workspace, options):
    """Extract an adapter, in this process."""
    from engine.merging.extract import extract

    refuse_below(options.out)
    with told("weights") as (tell, progress):
        return extract(options.model, options.base, options.out, options.rank, options.energy, tell, progress)


@contextmanager
def told(unit: str = "B"):
    """A bar on standard error: how to tell a sentence beside it, and how to move it."""
    with tqdm(total=1, unit=unit, unit_scale=True, file=sys.stderr) as bar:

        def progress(done: float, total: float, note: str) -> None:
            bar.total, bar.n = total, done
            bar.set_postfix_str(note)

        def tell(sentence: str) -> None:
            bar.clear()
            print(sentence, file=sys.stderr)

        yield tell, progress
