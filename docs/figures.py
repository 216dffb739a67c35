"""The page of figures: what was measured against a peer in the same run, from benchmarks/results/*.json.

`docs/generate.py` writes it. Machines are shared and differ, so what counts is the ratio; each part says when, where
and by which command it was measured.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
HEAD = (
    "# Figures\n\nWritten by `docs/generate.py` from `benchmarks/results/*.json`. Each ratio is of two programs that "
    "ran in turn in one session on one machine; seconds are of CPU, of one thread, unless it says otherwise. `make "
    "bench` measures the short ones in about ten minutes, and writes this page again. What was tried, and what did not "
    "work, is in the [log](../LOG.md).\n"
)


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(part() for part in PARTS)])


def training() -> str:
    """Stacked proxies against the plain loop, with the part of the processor's limit that each reaches."""
    found = read("plain")
    rows = [
        (
            one["shape"],
            one["members"],
            f"{one['stack']:,.0f}",
            f"{one['plain']:,.0f}",
            times(one["ratio"]),
            f"{one['share']:.0%}",
            f"{one['plain share']:.0%}",
        )
        for one in found["rows"]
    ]
    heads = ("width, layers, batch x context, vocabulary", "members", "stack, tokens/s", "plain loop", "ratio")
    return section(
        "Training proxies on a CPU",
        "A stack of proxies against the same models trained one after the other by a plain PyTorch loop. The limit is "
        "the fp32 matrix product's peak of the same core, measured beside it.",
        (*heads, "stack, of the limit", "plain, of the limit"),
        rows,
        source(found, "OMP_NUM_THREADS=1 python -m benchmarks.plain"),
    )


def merging() -> str:
    """Merging against mergekit."""
    found = read("merging")
    rows = [
        (
            name,
            f"{one['cpu_seconds'][0]:.2f}",
            f"{one['cpu_seconds'][1]:.2f}",
            times(one["ratio"]),
            f"{min(one['ratios']):.1f} to {max(one['ratios']):.1f}",
            f"{one['anonymous_mb'][0]:,.0f}",
            f"{one['anonymous_mb'][1]:,.0f}",
            one["date"],
        )
        for name, one in found["rows"].items()
        if one.get("ratio")
    ]
    heads = (
        "method",
        "Mixdesk, s",
        "mergekit, s",
        "ratio",
        "of three pairs",
        "Mixdesk, MB",
        "mergekit, MB",
        "measured",
    )
    return section(
        "Merging checkpoints",
        "Experts of 217 million weights in bf16, against mergekit 0.1.5; memory is the peak of what no file backs. "
        "Rows are of different days and processors (AMD until 2026-11-25, Intel since).",
        heads,
        rows,
        source(found),
    )


def starting() -> str:
    """What starting costs."""
    found = read("starts")
    rows = [(name, *(f"{one[key]:.2f}" for key in ("cpu", "wall", "ratio"))) for name, one in found["rows"].items()]
    heads = ("start", "CPU s", "wall s", "CPU, over the first row's")
    return section("Starting", "Medians of nine starts in turn.", heads, rows, source(found))


def first_answers() -> str:
    """The demo as a newcomer meets it."""
    found = read("demo")
    seconds = [(one["first_fit"], one["good_fit"], one["settled"]) for one in found["studies"]]
    seeds = [one["seed"] for one in found["studies"]]
    rows = [(seed, *(f"{value:.0f}" for value in row)) for seed, row in zip(seeds, seconds, strict=True)]
    rows.append(("median", *(f"{median(column):.0f}" for column in zip(*seconds, strict=True))))
    return section(
        "The demo, from nothing",
        "Wall seconds from `make run` in an empty workspace: the first fit, the first good one, and until nothing runs "
        "any more. They depend on what else the machine does.",
        ("seed", "first fit", "good fit", "settled"),
        rows,
        source(found, "python -m benchmarks.demo"),
    )


def pages() -> str:
    """What a person waits for, with few domains and with many."""
    both = [read("pages"), read("pages_64")]
    rows = []
    for name in both[0]["first paint"]:
        seconds = [value for found in both for value in found["first paint"][name]["warm"]]
        rows.append((f"{name}, new browser: heading, charts", *(f"{value:.2f}" for value in seconds)))
    for name in both[0]["interactions"]:
        seconds = [found["interactions"][name][key] for found in both for key in ("median", "p95")]
        rows.append((name, *(f"{value:.3f}" for value in seconds)))
    said = ", ".join(f"{name} under {value:g} s" for name, value in both[0]["targets"].items())
    heads = [
        f"{found['domains']} domains: {words}" for found in both for words in ("median, or heading", "p95, or charts")
    ]
    return section(
        "Waiting for the page",
        f"Wall seconds in Chromium, browser and server on the same two cores; p95: 95th percentile. Aims: {said}.",
        ("what", *heads),
        rows,
        " ".join(source(found) for found in both),
    )


def scoring() -> str:
    """A million mixtures against LightGBM's own boosters."""
    found = read("regmix")
    rows = [(name, f"{one['million_seconds']:.2f}", times(one["ratio"])) for name, one in found["scoring"].items()]
    return section(
        "Scoring a million mixtures",
        "17 domains and 13 metrics; ratios are over RegMix's own regressor, a LightGBM booster a metric.",
        ("surrogate", "CPU s", "ratio"),
        rows,
        source(found),
    )


def tasks() -> str:
    """What answering tasks costs beside training."""
    found = read("task_cost")
    spent = found["training"]
    rows = [(one["task"], one["items"], f"{one['cpu']:.0f}", f"{one['cpu'] / spent:.0%}") for one in found["rows"]]
    return section(
        "Answering tasks",
        f"64 proxies of the preset *demo*, which took {spent:.0f} CPU seconds to train.",
        ("task", "items", "CPU s", "of training"),
        rows,
        source(found),
    )


PARTS: tuple[Callable[[], str], ...] = (training, merging, scoring, tasks, first_answers, pages, starting)


# What parts share ----------------------------------------------------------------------------------------------


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def section(title: str, words: str, heads: Sequence[str], rows: Iterable[Sequence[object]], measured: str) -> str:
    """A heading, what is measured, a table, and where it comes from."""
    lines = [f"## {title}", "", words, "", row(heads), "|" + "---|" * len(heads), *map(row, rows), "", measured, ""]
    return "\n".join(lines)


def row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def times(ratio: float) -> str:
    return f"**{ratio:.2f} x**" if ratio < 10 else f"**{ratio:,.0f} x**"


def source(found: dict[str, Any], command: str = "") -> str:
    """When, where and by which command."""
    machine = found.get("machine") or "a processor that the file does not name"
    cores = f", {found['cores']} cores" if "cores" in found else ""
    load = found.get("load")
    busy = "" if load is None else f", load {load if isinstance(load, int | float) else load[0]:.1f}"
    return f"`{found.get('command') or command}`, {found['date']}, on {machine}{cores}{busy}."
