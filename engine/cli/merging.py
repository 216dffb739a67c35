"""The command `merge`: a merge file in, a checkpoint out. Needs no workspace, no server and no worker."""

import json
import sys

from tqdm import tqdm

from engine.core.files import given_path


def add(command) -> None:
    one = command("merge", run, "merge checkpoints as a mergekit file says, into a checkpoint")
    one.add_argument("config", type=given_path, metavar="CONFIG.yml", help="in mergekit's syntax")
    one.add_argument("out", type=given_path, metavar="OUT", help="a folder, or a file that ends in .safetensors")
    one.add_argument("--check", action="store_true", help="dry run: validate and estimate; writes nothing")
    one.set_defaults(alone=True)


def run(client, workspace, options):
    """Merge checkpoints as a file says, in this process; with --check, only the preflight."""
    from engine.core.errors import Problem
    from engine.merging.documents import check_all, merge_all, read_documents

    merges = read_documents(options.config)
    folder = options.config.parent
    with tqdm(total=1, unit="B", unit_scale=True, file=sys.stderr) as bar:

        def progress(done: float, total: float, note: str) -> None:
            bar.total, bar.n = total, done
            bar.set_postfix_str(note)

        def tell(sentence: str) -> None:
            bar.clear()
            print(sentence, file=sys.stderr)

        if not options.check:
            return answer(merge_all(merges, folder, options.out, tell, progress))
        found = check_all(merges, folder, options.out, progress)
        for sentence in [sentence for one in found for sentence in one["warnings"]]:
            tell(sentence)
    if refused := [sentence for one in found for sentence in one["refusals"]]:
        print(json.dumps(answer(found), indent=2, ensure_ascii=False))
        raise Problem("\n".join(refused))
    return answer(found)


def answer(found: list[dict]) -> dict:
    """The one merge of a file, or all of them."""
    if len(found) > 1:
        return {"merges": found}
    return {key: value for key, value in found[0].items() if key != "name"}
