"""The report on a candidate: one HTML file that opens anywhere, offline.

`python -m dashboard.report.html CANDIDATE --out report.html` writes one; the page Candidates offers the same. Text that
people typed is escaped, the file's own policy forbids every request, and it prints.
"""

import argparse
import json
import shlex
import sys
from html import escape

import numpy as np

from dashboard.models import wording
from dashboard.models.names import Named, named_in
from dashboard.models.units import digits, shown_in
from dashboard.report import desk as desk_file
from engine.core.errors import Problem
from engine.review.evidence import CANDIDATE
from engine.space.baselines import epochs
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width


def html(found: dict, desk: dict | str) -> str:
    """The report on a candidate, from its dossier (engine/review/dossier.py); desk: of its study, from the command
    `desk`, or the reason why there is none."""
    frozen = found["frozen"]
    names, aggregate = named_in(frozen), Aggregate.from_dict(frozen["aggregate"])
    data = None if isinstance(desk, str) else desk_file.with_names(desk, frozen["point"])
    body = "".join(
        (
            head(found),
            decision(found),
            faders(frozen, data, desk),
            point(frozen, names),
            predictions(frozen, names, aggregate),
            measured(found, names, aggregate),
            caveats(frozen),
            discussion(found),
            history(found),
            reproduce(found),
        )
    )
    return desk_file.page(frozen["name"], body, data)


def faders(frozen: dict, data: dict | None, reason: dict | str) -> str:
    """The desk, with a word where it predicts from other runs than the frozen numbers; or the reason without one."""
    if data is None:
        return f"<h2>The desk</h2><p>{escape(reason)}</p>"
    later = ""
    if data["fingerprint"] != frozen["surrogate"]["runs_hash"]:
        later = (
            '<p class="note">The desk predicts from the runs there are today; all numbers below are of the day when '
        )
        later += "this was nominated.</p>"
    return f"<h2>The desk</h2>{later}{desk_file.BODY}{desk_file.about(data)}"


def person(name: str) -> str:
    """A name inside a sentence; marks that change the direction of writing end with it."""
    return f"<bdi>{escape(name)}</bdi>"


def quoted(text: str) -> str:
    """Text as people typed it, if they typed any."""
    return f'<p class="said">{escape(text)}</p>' if text else ""


def table(columns: list[str], rows: list[list[str]], numbers: int = 0) -> str:
    """A table; the last `numbers` columns are numbers. Cells are text, escaped here."""
    head = "".join(f"<th>{escape(one)}</th>" for one in columns)
    first = len(columns) - numbers
    lines = (
        "".join(f"<td{' class=n' if k >= first else ''}>{escape(cell)}</td>" for k, cell in enumerate(row))
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def bar(shares: list[float], names: Named) -> str:
    """Shares as one stacked bar."""
    parts = "".join(
        f'<i style="width:{100 * share:.3f}%;background:{names.colours[name]}"></i>'
        for name, share in zip(names.coordinates, shares, strict=True)
    )
    return f'<div class="shares">{parts}</div>'


def bars(kind: str, points: dict[str, list[float]], names: Named) -> str:
    """Mixtures as bars, one under the other, with a key; merges, whose coefficients do not add up, as a table."""
    if kind == "merge":
        rows = [[name, *(digits(value, ".3f") for value in values)] for name, values in points.items()]
        return table(["", *names.coordinates], rows, len(names.coordinates))
    key = "".join(
        f'<span class="key" style="background:{names.colours[name]}"></span>{escape(name)}'
        for name in names.coordinates
    )
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{bar(values, names)}</td></tr>" for name, values in points.items())
    totals = "".join(
        table(
            [f"by {level.name}", *level.parts],
            [[name, *(digits(one, ".4f") for one in level.totals(values))] for name, values in points.items()],
            len(level.parts),
        )
        for level in names.levels
    )
    return f"<p>{key}</p><table>{lines}</table>{totals}"


def head(found: dict) -> str:
    """Title, state, author and reason."""
    frozen, state = found["frozen"], found["standing"]["state"]
    said = wording.state_words(found["standing"])
    draft = (
        "" if state == "approved" else f'<p class="draft"><b>Draft.</b> This candidate is {state}, not approved.</p>'
    )
    return (
        f'<h1>{person(frozen["name"])}</h1><p><span class="state {state}">{said}</span> a {frozen["kind"]} of '
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
    shown = wording.places_of(frozen, frozen["name"]) | others
    drawn = bars(frozen["kind"], shown, names)
    mixture, known = frozen["kind"] == "mixture", frozen["available"] is not None and frozen["budget"]
    seen = epochs(frozen["point"], frozen["available"], frozen["budget"]) if known else [None] * len(names.coordinates)
    rows = [
        [name, digits(value, ".4f")] + ([f"{value * frozen['budget']:,.0f}", passed(passes)] if known else [])
        for name, value, passes in zip(names.coordinates, frozen["point"], seen, strict=True)
    ]
    columns = ["domain", "share of tokens"] if mixture else ["coordinate", "coefficient"]
    columns += ["tokens", "epochs"] if known else []
    note = f'<p class="note">At a budget of {frozen["budget"]:,.0f} tokens.</p>' if known else ""
    title = "The schedule" if frozen.get("schedule") else "The mixture" if mixture else "The merge"
    return f"<h2>{title}</h2>{drawn}{table(columns, rows, len(columns) - 1)}{note}"


def passed(passes: float) -> str:
    """Passes over a domain's text, as far as they are known."""
    return f"{passes:.2f}" if np.isfinite(passes) else "unknown"


def predictions(frozen: dict, names: Named, aggregate: Aggregate) -> str:
    """The predictions when it was nominated, against each baseline."""
    name, base = next(iter(frozen["baselines"].items()))
    here, gap = frozen["predicted"], base["difference"]
    behind = frozen["surrogate"]
    text = wording.predicted_words(here, aggregate, shown_in("bits", aggregate.unit))
    return (
        f"<h2>Predicted</h2><p>{escape(aggregate.title.capitalize())}: "
        f"<b>{escape(text)}</b> (95%), by {escape(behind['title'])} "
        f"on {wording.counted(behind['runs'], 'run')}.</p>"
        f"{table(['vs.', aggregate.title, 'verdict'], by_baseline(frozen, aggregate))}"
        f"{table(['metric', 'unit', 'predicted', f'minus {name}', 'verdict'], by_metric(here, gap, names))}"
        '<p class="note">Within noise: zero lies inside the interval (95%).</p>'
    )


def by_metric(here: dict, gap: dict, names: Named) -> list[list[str]]:
    """A row per metric: the prediction, and its difference to a baseline."""
    columns = (names.metrics, names.units, here["mean"], here["std"], gap["mean"], gap["std"])
    return [
        [
            metric,
            unit,
            f"{digits(mean, '.4f')} ± {ci_half_width(std):.4f}",
            f"{digits(d, '+.4f')} ± {ci_half_width(s):.4f}",
            "within noise" if abs(d) <= ci_half_width(s) else "beyond noise",
        ]
        for metric, unit, mean, std, d, s in zip(*columns, strict=True)
    ]


def by_baseline(frozen: dict, aggregate: Aggregate) -> list[list[str]]:
    """A row per baseline: the difference of the aggregate to it."""
    return [
        [
            name,
            f"{digits(aggregate.sign * gap['aggregate'], '+.4f')} ± {ci_half_width(gap['aggregate_std']):.4f}",
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
            text = wording.gap_words(one, aggregate, shown_in("bits", aggregate.unit))
            parts.append(f"<p><b>{escape(text)}</b></p>")
            gaps = zip(names.metrics, names.units, one["gap"]["mean"], one["gap"]["half"], strict=True)
            rows = [[metric, unit, digits(gap, "+.4f") + plus_minus(half)] for metric, unit, gap, half in gaps]
            parts.append(table(["metric", "unit", "measured minus predicted"], rows, 1))
        rows = [
            [
                name,
                f"{digits(aggregate.sign * gap['predicted'], '+.4f')} ± {gap['predicted_half']:.4f}",
                digits(aggregate.sign * gap["measured"], "+.4f") + plus_minus(gap["measured_half"]),
                wording.verdict(gap),
            ]
            for name, gap in one["differences"].items()
        ]
        parts.append(table(["vs.", "predicted", "measured", "verdict"], rows))
        parts.append(f'<p class="note">{wording.counted(one["done"], "run")} of the candidate and its baselines.</p>')
    nothing = "<p>Not measured yet: all numbers here are predictions.</p>"
    return f"<h2>Predicted against measured</h2>{''.join(parts) or nothing}"


def plus_minus(half: float | None) -> str:
    """The half width of a 95% interval, empty where it is unknown."""
    return "" if half is None else f" ± {half:.4f}"


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
        f"python -m engine export {shlex.quote(frozen['study'])} --candidate {found['id']} --format json --out recipe/"
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
    options = desk_file.with_file(parser, "report.html").parse_args()
    return desk_file.write_page(options, lambda client: of_candidate(client, options.candidate))


def of_candidate(client, candidate: str) -> str:
    """The report on a candidate, asked of the workspace's client."""
    found = client.call("dossier", candidate=candidate)
    frozen = found["frozen"]
    settings = {"surrogate": frozen["surrogate"]["name"], "priorities": frozen["aggregate"]["priorities"]}
    try:
        desk = client.call("desk", name=frozen["study"], **settings)
    except Problem as problem:  # no fit by now, or one that no browser can compute
        desk = str(problem)
    return html(found, desk)


if __name__ == "__main__":
    sys.exit(main())
