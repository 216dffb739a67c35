"""How long a design takes to leave: `python -m benchmarks.design_export`, recipes and manifest of many planned runs."""

import argparse
import tempfile
import time

from engine.commands import COMMANDS
from engine.core.workspace import Workspace
from engine.recipes import FORMATS
from store.database import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=64)
    parser.add_argument(
        "--runs", type=int, default=508, help="of the design; two baselines and two repeats come on top"
    )
    parser.add_argument("--format", action="append", choices=list(FORMATS), help="default: all")
    options = parser.parse_args()
    domains = [f"domain-{place}" for place in range(options.domains)]
    spec = {"name": "Design", "trainer": "external", "domains": domains, "runs": options.runs, "repeats": 2}
    spec |= {"size": {"parameters": 1e9, "tokens": 2e10}, "target_tokens": 1e12}
    spec |= {"available_tokens": {name: 1e11 * (place + 1) for place, name in enumerate(domains)}}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Workspace.open(folder))
        COMMANDS["start"](store, spec=spec)
        for format in options.format or FORMATS:
            began, used = time.perf_counter(), time.process_time()
            made = COMMANDS["export_design"](
                store, name="Design", format=format, tokens_per_document=dict.fromkeys(domains, 1000.0)
            )
            files = len(made["files"]) + len(made["binary"])
            took, cpu = time.perf_counter() - began, time.process_time() - used
            print(f"{format:<12} {files:>6} files {took:6.1f} s, {cpu:5.1f} CPU seconds")
        store.close()


if __name__ == "__main__":
    main()
