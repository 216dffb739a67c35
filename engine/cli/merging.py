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
    from engine.merging.config import read_config
    from engine.merging.merge import merge
    from engine.merging.preflight import preflight

    config = read_config(options.config)
    with tqdm(total=1, unit="B", unit_scale=True, file=sys.stderr) as bar:

        def progress(done: float, total: float, note: str) -> None:
            bar.total, bar.n = total, done
            bar.set_postfix_str(note)

        found = preflight(config, options.out, progress)
        bar.clear()
        for sentence in found.warnings:
            print(sentence, file=sys.stderr)
        if found.refusals:
            if options.check:
                print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
            raise Problem("\n".join(found.refusals))
        if options.check:
            return found.to_dict()
        return merge(config, options.out, progress) | {"warnings": found.warnings}
