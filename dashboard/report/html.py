"""The report on a candidate: one HTML file that opens anywhere, offline.

`python -m dashboard.report.html CANDIDATE --out report.html` writes one; the page Candidates offers the same. Text that
people typed is escaped, the file's own policy forbids every request, and it prints.
"""

import argparse
import json
import sys
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from dashboard.charts import review as review_charts
from dashboard.models import wording
from dashboard.models.names import Named, named_in
from engine.commands.client import connect
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.review.evidence import CANDIDATE
from engine.space.baselines import epochs
from engine.spec.objectives import Aggregate

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #2b2723; background: #fff;
max-width: 60rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 2.2rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; border-bottom: 1px solid #ddd6cc; }
table { border-collapse: collapse; margin: .8rem 0; } th, td { text-align: left; padding: .3rem .8rem;
vertical-align: top; border-bottom: 1px solid #e8e2d9; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; } .note { color: #6f675e; }
.state { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; color: #fff; background: #1c6fb8; }
.approved { background: #2f7d4f; } .rejected { background: #b3401f; } .superseded { background: #777; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f2ed; padding: .8rem; font-size: .85rem; }
.draft { border: 2px solid #b3401f; padding: .5rem 1rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } .plot, table, .entry { break-inside: avoid; }
h2 { break-after: avoid; } .modebar { display: none !important; } }
"""
DRAW = """
const OPTIONS = { displaylogo: false, responsive: true,
  modeBarButtonsToRemove: ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d"] };
for (const one of document.querySelectorAll(".plot")) {
  const figure = JSON.parse(one.querySelector("script").textContent);
  Plotly.newPlot(one.appendChild(document.createElement("div")), figure.data, figure.layout, OPTIONS);
}
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll(".js-plotly-plot")) {
  Plotly.relayout(one, { width: 680, autosize: false }); } });
addEventListener("afterprint", () => { for (const one of document.querySelectorAll(".js-plotly-plot")) {
  Plotly.relayout(one, { width: null, autosize: true }); } });
"""


def html(found: dict) -> str:
    """The report on a candidate, from its dossier (engine/review/dossier.py)."""
    frozen = found["frozen"]
    names, aggregate = named_in(frozen), Aggregate.from_dict(frozen["aggregate"])
    body = "".join(
        (
            head(found),
            decision(found),
            point(frozen, names),
            predictions(frozen, names, aggregate),
            measured(found, names, aggregate),
            caveats(frozen),
            discussion(found),
            history(found),
            reproduce(found),
        )
    )
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY}"><meta name="viewport" content="width=device-width"><title>{escape(frozen["name"])}</title>'
        f"<style>{STYLE}</style></head><body>{body}<script>{script}</script><script>{DRAW}</script></body></html>"
    )


def person(name: str) -> str:
    """A name inside a sentence; marks that change the direction of writing end with it."""
    return f"<bdi>{escape(name)}</bdi>"


def quoted(text: str) -> str:
    """Text as people typed it."""
    return f'<p class="said">{escape(text)}</p>'


def table(columns: list[str], rows: list[list[str]], numbers: int = 0) -> str:
    """A table; the last `numbers` columns are numbers. Cells are text, escaped here."""
    head = "".join(f"<th>{escape(one)}</th>" for one in columns)
    first = len(columns) - numbers
    lines = (
        "".join(f"<td{' class=n' if k >= first else ''}>{escape(cell)}</td>" for k, cell in enumerate(row))
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def plot(figure: go.Figure) -> str:
    """A figure as data that the script at the end draws; escaped, so that it cannot end the script early."""
    figure.update_layout(font={"color": "#2b2723", "family": "system-ui, sans-serif"}, paper_bgcolor="#fff")
    data = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<div class="plot"><script type="application/json">{data}</script></div>'


def head(found: dict) -> str:
    """Title, state, author and reason."""
    frozen, state = found["frozen"], found["standing"]["state"]
    draft = (
        "" if state == "approved" else f'<p class="draft"><b>Draft.</b> This candidate is {state}, not approved.</p>'
    )
    return (
        f'<h1>{person(frozen["name"])}</h1><p><span class="state {state}">{state}</span> a {frozen["kind"]} of '
        f"the study {person(frozen['study_name'])}, nominated by {person(frozen['author'])}, "
        f"{wording.moment(found['t'])}.</p>"
        f"{draft}{quoted(frozen['rationale'])}"
    )


def decision(found: dict) -> str:
    """Who decided what, and why; the rules."""
    standing, rules = found["standing"], found["rules"]
    lines = [
        f'<div class="entry"><b>{person(one)}</b> approved, {wording.moment(there["t"])}{quoted(there["reason"])}</div>'
        for one, there in standing["approvals"].items()
    ]
    last = standing["decided"]
    if last and last["verdict"] != "approved":
        lines.append(
            f'<div class="entry"><b>{person(last["author"])}</b>: {last["verdict"]}, {wording.moment(last["t"])}'
            f"{quoted(last['reason'])}</div>"
        )
    missing = f"<p>Not approved yet: {escape(wording.needed(standing['missing']))}.</p>" if standing["missing"] else ""
    note = f'<p class="note">{wording.rules_words(rules["approvals"], rules["author_alone"])}.</p>'
    return f"<h2>Decision</h2>{''.join(lines) or '<p>No decision yet.</p>'}{missing}{note}"


def point(frozen: dict, names: Named) -> str:
    """The point beside its baselines, and its tokens and epochs at the budget."""
    others = {name: there["point"] for name, there in frozen["baselines"].items()}
    values = np.array([frozen["point"], *others.values()])
    figure = review_charts.points(frozen["kind"], [frozen["name"], *others], names, values)
    mixture, known = frozen["kind"] == "mixture", frozen["available"] is not None and frozen["budget"]
    seen = epochs(frozen["point"], frozen["available"], frozen["budget"]) if known else [None] * len(names.domains)
    rows = [
        [name, f"{value:.4f}"] + ([f"{value * frozen['budget']:,.0f}", passed(passes)] if known else [])
        for name, value, passes in zip(names.domains, frozen["point"], seen, strict=True)
    ]
    columns = ["domain", "share of tokens"] if mixture else ["coordinate", "coefficient"]
    columns += ["tokens", "epochs"] if known else []
    note = f'<p class="note">At a budget of {frozen["budget"]:,.0f} tokens.</p>' if known else ""
    title = "The mixture" if mixture else "The merge"
    return f"<h2>{title}</h2>{plot(figure)}{table(columns, rows, len(columns) - 1)}{note}"


def passed(passes: float) -> str:
    """Passes over a domain's text, as far as they are known."""
    return f"{passes:.2f}" if np.isfinite(passes) else "unknown"


def predictions(frozen: dict, names: Named, aggregate: Aggregate) -> str:
    """The predictions when it was nominated, against each baseline."""
    name, base = next(iter(frozen["baselines"].items()))
    here, gap, colours = frozen["predicted"], base["difference"], [names.colours[metric] for metric in names.metrics]
    figure = review_charts.intervals(
        names.metrics,
        colours,
        [("predicted", np.array(gap["mean"]), 1.96 * np.array(gap["std"]))],
        f"predicted, minus {name}, in each metric's unit (95%)",
        "",
    )
    behind = frozen["surrogate"]
    return (
        f"<h2>Predicted</h2><p>{escape(aggregate.title.capitalize())}: "
        f"<b>{escape(wording.predicted_words(frozen['predicted'], aggregate))}</b> (95%), by {escape(behind['title'])} "
        f"on {wording.counted(behind['runs'], 'run')}.</p>"
        f"{table(['vs.', aggregate.title, 'verdict'], by_baseline(frozen, aggregate))}{plot(figure)}"
        f"{table(['metric', 'unit', 'predicted', f'minus {name}', 'verdict'], by_metric(here, gap, names))}"
        '<p class="note">Hollow marks are within noise: zero lies inside the interval.</p>'
    )


def by_metric(here: dict, gap: dict, names: Named) -> list[list[str]]:
    """A row per metric: the prediction, and its difference to a baseline."""
    columns = (names.metrics, names.units, here["mean"], here["std"], gap["mean"], gap["std"])
    return [
        [
            metric,
            unit,
            f"{mean:.4f} ± {1.96 * std:.4f}",
            f"{d:+.4f} ± {1.96 * s:.4f}",
            "within noise" if abs(d) <= 1.96 * s else "beyond noise",
        ]
        for metric, unit, mean, std, d, s in zip(*columns, strict=True)
    ]


def by_baseline(frozen: dict, aggregate: Aggregate) -> list[list[str]]:
    """A row per baseline: the difference of the aggregate to it."""
    return [
        [
            name,
            f"{aggregate.sign * gap['aggregate']:+.4f} ± {1.96 * gap['aggregate_std']:.4f}",
            "within noise" if gap["inside_noise"] else "beyond noise",
        ]
        for name, gap in ((name, there["difference"]) for name, there in frozen["baselines"].items())
    ]


def measured(found: dict, names: Named, aggregate: Aggregate) -> str:
    """What confirmations measured since, beside the predictions; the error is always shown."""
    parts = []
    for one in found["evidence"]:
        parts.append(f"<h3>{escape(wording.size_words(one))}</h3>")
        if CANDIDATE not in one["points"]:
            parts.append(
                f"<p>{one['done']} of {wording.counted(one['runs'], 'run')} finished; none of the candidate yet.</p>"
            )
            continue
        if one["gap"]:
            parts.append(f"<p><b>{escape(wording.gap_words(one, aggregate))}</b></p>")
            figure = review_charts.intervals(
                names.metrics,
                [names.colours[metric] for metric in names.metrics],
                [("measured minus predicted", np.array(one["gap"]["mean"]), np.array(one["gap"]["half"]))],
                "measured minus predicted, in each metric's unit (95%)",
                "",
            )
            parts.append(plot(figure))
        rows = [
            [
                name,
                f"{aggregate.sign * gap['predicted']:+.4f} ± {gap['predicted_half']:.4f}",
                f"{aggregate.sign * gap['measured']:+.4f}"
                + ("" if gap["measured_half"] is None else f" ± {gap['measured_half']:.4f}"),
                wording.verdict(gap),
            ]
            for name, gap in one["differences"].items()
        ]
        parts.append(table(["vs.", "predicted", "measured", "verdict"], rows))
        parts.append(f'<p class="note">{wording.counted(one["done"], "run")} of the candidate and its baselines.</p>')
    nothing = "<p>Not measured yet: all numbers here are predictions.</p>"
    return f"<h2>Predicted against measured</h2>{''.join(parts) or nothing}"


def caveats(frozen: dict) -> str:
    lines = "".join(f"<li>{escape(one)}</li>" for one in frozen["caveats"])
    return f"<h2>Caveats</h2><ul>{lines}</ul>" if lines else ""


def discussion(found: dict) -> str:
    lines = (
        f'<div class="entry"><b>{person(one["author"])}</b>, {wording.moment(one["t"])}{quoted(one["text"])}</div>'
        for one in found["comments"]
    )
    return f"<h2>Discussion</h2>{''.join(lines) or '<p>No comments.</p>'}"


def history(found: dict) -> str:
    rows = [
        [wording.moment(one["t"]), one["author"], wording.did(one), wording.words(one)[:200]]
        for one in found["history"]
    ]
    return f"<h2>History</h2>{table(['when', 'who', 'action', 'details'], rows)}"


def reproduce(found: dict) -> str:
    """Its sources, and the commands that reproduce it."""
    frozen = found["frozen"]
    behind = frozen["surrogate"]
    versions = ", ".join(f"{name} {version}" for name, version in frozen["versions"].items())
    facts = [
        ["candidate", found["id"], "start of the SHA-256 of the frozen record"],
        ["study", frozen["study"], f"corpus {frozen['corpus']}"],
        ["runs", behind["runs_hash"], wording.counted(behind["runs"], "run")],
        ["surrogate", behind["sha256"], behind["name"]],
    ]
    commands = (
        f"python -m engine candidate {found['id']}\npython -m engine confirm-candidate {found['id']} --wait\n"
        f"python -m engine export {frozen['study']} --candidate {found['id']} --format json --out recipe/"
    )
    record = json.dumps(frozen, indent=1, ensure_ascii=False, sort_keys=True)
    return (
        f"<h2>How to reproduce</h2>{table(['what', 'hash or id', ''], facts)}<p>{escape(versions)}</p>"
        f"<pre>{escape(commands)}</pre><details><summary>The frozen record</summary><pre>{escape(record)}</pre>"
        "</details>"
    )


def main() -> int:
    """Write the report on one candidate."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.report.html", description=__doc__)
    parser.add_argument("candidate", metavar="ID", help="`python -m engine candidates STUDY` lists them")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="default: %(default)s")
    parser.add_argument("--workspace", type=Path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    options = parser.parse_args()
    client = None
    try:
        client = connect(Workspace.there(options.workspace))
        options.out.write_text(html(client.call("dossier", candidate=options.candidate)), "utf-8")
    except (Problem, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        if client is not None:
            client.close()
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
