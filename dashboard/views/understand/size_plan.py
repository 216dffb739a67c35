"""Which sizes to buy further runs at, where a study's runs are of several: asked on Next runs."""

import csv
import io

import pandas as pd
import streamlit as st

from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import reading
from engine.analysis.size_plan import FLOPS
from engine.core.errors import Problem
from engine.core.sheets import as_text
from engine.spec.objectives import Aggregate
from engine.spec.sizes import Size
from engine.spec.statistics import ci_half_width
from engine.studies import sizes
from engine.studies.size_plans import Choice, plan_runs
from store import studies


def size_plan(study: studies.Study, aggregate: Aggregate) -> None:
    """Choose a target and a budget; how many runs of which size are most informative about it."""
    if not sizes.has_sizes(state.store(), study):
        return
    there = [one for one in sizes.summary(state.store(), study)["sizes"] if one["parameters"] and one["tokens"]]
    with st.expander("A few large runs, or many small ones?", icon=":material/straighten:"):
        if not there:
            st.caption("No size states both parameters and tokens, so their runs cannot be priced.")
            return
        largest, spent = there[-1], sum(FLOPS * one["parameters"] * one["tokens"] * one["runs"] for one in there)
        places = st.columns(3, vertical_alignment="bottom")
        asked = [
            place.text_input(label, f"{value:.3g}", key=f"size-plan-{label}")
            for place, label, value in zip(
                places,
                ("Target parameters", "Target tokens", "Budget, FLOPs"),
                (largest["parameters"], largest["tokens"], spent / 2),
                strict=True,
            )
        ]
        if not st.toggle("Plan the runs (takes some seconds)", key="size-plan"):
            return
        try:
            choice = plan_runs(state.store(), study, aggregate, *(number(text) for text in asked))
        except Problem as problem:
            refusal(problem)
            return
        show(study, choice, aggregate)


def number(text: str) -> float:
    """A number as people write it, such as 7e9. Raises Problem."""
    try:
        return float(text)
    except ValueError:
        raise Problem(f"Cannot read {text!r:.40} as a number: write it as 7e9.") from None


def show(study: studies.Study, choice: Choice, aggregate: Aggregate) -> None:
    """The verdict, the runs, and what the same budget would do at one size."""
    found = choice.plan
    counted = " and ".join(f"{wording.counted(len(one.mixtures), 'run')} at {one.size}" for one in found.buys)
    read = reading(aggregate.unit)
    unit = plain(read.gap_unit)
    now, then = (f"± {read.gap(ci_half_width(std)):.4f}" for std in (found.before, found.after))
    st.info(
        f"**{choice.verdict.capitalize()}.** At {Size(*choice.target, 0)}, the best predicted mixture is ahead of "
        f"{plain(choice.reference)} by {read.gap(found.gap):.4f} {now} {unit} (95%). "
        f"The best way to spend this budget is {counted}: {then} is expected after them.",
        icon=":material/straighten:",
    )
    options = [
        (found.buys, found.after, "planned"),
        *(
            ((one,), std, "this size alone")
            for one, std in found.alone
            if len(found.buys) > 1 or one.size != found.buys[0].size
        ),
    ]
    rows = [
        {
            "runs": ", ".join(f"{len(one.mixtures)} at {one.size}" for one in buys),
            "budget": word,
            f"expected ± ({unit}, 95%)": read.gap(ci_half_width(std)),
            "FLOPs": f"{sum(one.flops for one in buys):.2g}",
        }
        for buys, std, word in options
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    for note in choice.notes:
        st.caption(plain(note))
    name = "planned-runs.csv"
    st.download_button("Download the runs as CSV", table(study, choice), name, "text/csv", icon=":material/download:")


def table(study: studies.Study, choice: Choice) -> str:
    """One row per run as CSV: its size, its mixture."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["parameters", "tokens", *(as_text(name) for name in study.domains)])
    for one in choice.plan.buys:
        rows.writerows([*one.size.place, *mixture] for mixture in one.mixtures.round(6).tolist())
    return text.getvalue()
