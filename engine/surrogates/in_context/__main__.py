"""The commands that make the in-context surrogate's weights: `python -m engine.surrogates.in_context train`, `ship`."""

import argparse
from pathlib import Path

from engine.surrogates.in_context.forward import WEIGHTS


def main() -> None:
    """Torch is imported by these commands alone: pages and jobs import the package without it."""
    parser = argparse.ArgumentParser(prog="python -m engine.surrogates.in_context", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train on synthetic worlds, or go on")
    train.add_argument("--steps", type=int, required=True, help="in all, also of a training that goes on")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--folder", type=Path, required=True, help="of the checkpoint and the log")
    train.add_argument("--device", default="cpu", help="cpu or cuda")
    train.add_argument("--without", help="a family of worlds that is left out")
    train.add_argument("--distinct", type=int, default=0, help="steps whose worlds are repeated; 0: always new ones")
    ship = commands.add_parser("ship", help="write the weights of a training, with what they know")
    ship.add_argument("--folder", type=Path, required=True, help="of the checkpoint and the log")
    ship.add_argument("--into", type=Path, default=WEIGHTS, help="the file of weights; by default the one that is used")
    options = vars(parser.parse_args())
    if options.pop("command") == "ship":
        from engine.surrogates.in_context.shipping import ship as run

        run(**options)
    else:
        from engine.surrogates.in_context.train import Settings
        from engine.surrogates.in_context.train import train as run_training

        folder = options.pop("folder")
        run_training(Settings(**options), folder)


if __name__ == "__main__":
    main()
