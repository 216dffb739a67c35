"""The desk of a study as one HTML file: faders that work, computed in the browser, with no network.

`python -m dashboard.report.desk STUDY --out desk.html` writes one; Explore offers the same. The scripts are those of
the page (dashboard/components) over predict.js; names are data, set as text.
"""

import argparse
import json
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from dashboard.models.colours import GROUP
from dashboard.models.names import named
from engine.commands.client import connect
from engine.core.errors import Problem
from engine.core.files import given_path, refuse_taken, write_text
from engine.core.workspace import Workspace
from engine.spec.objectives import Objective
from engine.spec.statistics import Z95

HERE, COMPONENTS = Path(__file__).parent, Path(__file__).parents[1] / "components"
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
BODY = """
<nav id="presets" aria-label="Presets"></nav>
<section class="top">
  <div id="desk"><div class="mixdesk-desk"></div></div>
  <div>
    <label>Compare with <select id="reference"></select></label>
    <p id="label"></p><p id="number"></p><p id="change"></p>
    <p><span id="noise"></span> <span id="badge" class="badge"></span></p>
    <div id="meters"><div class="mixdesk-meters"></div></div>
  </div>
</section>
<p class="note" id="reach"></p>
<label>Along <select id="focus"></select></label>
<svg id="response" viewBox="0 0 640 220" role="img" aria-labelledby="response-words"></svg>
<p class="note" id="response-words"></p>
"""


def page(title: str, body: str, data: dict[str, Any] | None) -> str:
    """A whole file. body: HTML; data: of a desk that stands in it (its place is BODY), or None."""
    script = "" if data is None else f'<script type="application/json" id="data">{as_json(data)}</script>{scripts()}'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY}"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{styles()}</style></head><body>{body}{script}</body></html>"
    )


def styles() -> str:
    """The styles of the file and of the parts that it shares with the page."""
    files = (HERE / "file.css", COMPONENTS / "desk.css", COMPONENTS / "meters.css")
    return "\n".join(path.read_text("utf-8") for path in files)


def scripts() -> str:
    """One script: the predictor, the desk's and the meters' components, and what joins them."""

    def component(name: str, *parts: str) -> str:
        text = "\n".join((COMPONENTS / f"{one}.js").read_text("utf-8") for one in (*parts, name))
        return f"(() => {{ {text.replace('export default function', 'return function').replace('export ', '')} }})()"

    moves, predict = ((COMPONENTS / "moves.js"), (HERE / "predict.js"))
    shared = "\n".join(path.read_text("utf-8").replace("export ", "") for path in (moves, predict))
    joined = (HERE / "desk_file.js").read_text("utf-8")
    return (
        f"<script>{shared}\nconst drawFaders = {component('desk', 'scenes', 'tree')};\n"
        f"const drawMeters = {component('meters')};\n{joined}</script>"
    )


def as_json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def with_names(found: dict[str, Any], at: list[float] | None = None) -> dict[str, Any]:
    """The data of `desk_of` with what the page adds: short names, colours, faders; at: where they start."""
    objectives = [Objective(**one) for one in found["metrics"]]
    names = named(found["coordinates"], objectives)
    ends = ("lower", "upper", "mark", "mark_name")
    tracks = [dict(zip(ends, one, strict=True)) for one in zip(*(found[end] for end in ends), strict=True)]
    points = found["points"] if at is None else {"this candidate": at, **found["points"]}
    return {
        **{key: value for key, value in found.items() if key != "coordinates"},
        "names": names.coordinates,
        "metrics": [
            {"name": name, "unit": unit, "colour": names.colours[name]}
            for name, unit in zip(names.metrics, names.units, strict=True)
        ],
        "faders": [
            {"name": name, "colour": names.colours[name], **track}
            for name, track in zip(names.coordinates, tracks, strict=True)
        ],
        "groups": [group_fader(found, *one) for one in in_levels(found)],
        "points": points,
        "z95": Z95,
        "start": next(iter(points.values())),
    }


def in_levels(found: dict[str, Any]) -> list[tuple[str, str, list[int]]]:
    """The groups of a desk's levels, (level, name, places of the domains) each."""
    return [(level, name, places) for level, parts in found["levels"] for name, places in parts]


def group_fader(found: dict[str, Any], level: str, name: str, places: list[int]) -> dict[str, Any]:
    """A group's fader, as dashboard/components/desk.py has it."""
    mark, bounds = sum(found["mark"][place] for place in places), {"low": None, "high": None}
    about = {"level": level, "name": name, "members": places, "colour": GROUP}
    return about | bounds | {"mark": mark, "mark_name": found["mark_name"][0]}


def about(data: dict[str, Any]) -> str:
    """What predicts, and on what it was fitted."""
    stands_in = data["instead_of"]
    instead = ""
    if stands_in is not None:
        instead = (
            f" The study's surrogate, {stands_in['title']}, cannot be computed in a browser: its "
            f"{data['aggregate']['title']} differs from this one's by {stands_in['difference']:.4f} "
            f"{data['aggregate']['unit']} (root mean square over the runs)."
        )
    return (
        f'<p class="note">{escape(data["title"])} on {data["fitted"]} runs, computed in this file.{escape(instead)} '
        f"Runs {escape(data['fingerprint'][:12])}; Mixdesk {escape(data['version'])}.</p>"
    )


def html(found: dict[str, Any]) -> str:
    """The file of a study's desk, from the command `desk`."""
    data = with_names(found)
    return page(found["name"], f"<h1>{escape(found['name'])}</h1>{BODY}{about(data)}", data)


def write_page(options: argparse.Namespace, make: Callable[[Any], str]) -> int:
    """Write what `make` gives, asked of the workspace's client, to `options.out`; returns the exit status.

    What is there is written over when asked only, and no link, pipe or device ever.
    """
    client = None
    try:
        refuse_taken(options.out, options.force)
        client = connect(Workspace.there(options.workspace))
        write_text(options.out, make(client))
    except (Problem, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        if client is not None:
            client.close()
    print(options.out)
    return 0


def with_file(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """The parser with the options of a file: where it goes, and of which workspace it tells."""
    parser.add_argument("--out", type=given_path, default=Path(name), help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.add_argument("--workspace", type=given_path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    return parser


def main() -> int:
    """Write the desk of one study."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.report.desk", description=__doc__)
    parser.add_argument("study", metavar="STUDY", help="`python -m engine list` lists them")
    options = with_file(parser, "desk.html").parse_args()
    return write_page(options, lambda client: html(client.call("desk", name=options.study)))


if __name__ == "__main__":
    sys.exit(main())
