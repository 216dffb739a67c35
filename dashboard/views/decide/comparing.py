"""Candidates side by side against a reference, down to the text windows that got worse. Part of Candidates.

The link holds every choice (candidates, reference, budget, text), so it shows the same to a colleague.
"""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.components.meters import meters
from dashboard.models import wording
from dashboard.models.names import Named, named
from dashboard.models.units import Shown
from dashboard.server import state
from dashboard.views.decide.frozen import ruler_of
from dashboard.views.shared.levels import Values, rows_with_total
from dashboard.views.shared.plot import plot
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import named_as, plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import beside, told_apart
from engine.review.compare import compare, flips_against
from engine.review.evidence import CANDIDATE, evidence
from engine.spec.objectives import Aggregate, Objective
from engine.spec.statistics import ci_half_width
from store import reviews, studies


def render(study: studies.Study) -> bool:
    """The comparison in the link; False, with the reason shown, if it does not fit this study."""
    store = state.store()
    ids = [one for one in st.query_params["compare"].split(",") if one]
    try:
        found = compare(store, ids, reference(ids), tokens_linked())
    except Problem as problem:
        refusal(problem)
        return False
    if found["study"] != study.id:
        del st.query_params["compare"]
        return False
    if st.button("All candidates", icon=":material/arrow_back:", type="tertiary"):
        for key in ("compare", "against", "tokens", "text"):
            st.query_params.pop(key, None)
        st.rerun()
    st.title("Compare")
    ask(ids, found)
    names = named(found["names"], [Objective(**one) for one in found["metrics"]])
    weights(found, names)
    losses(study, found)
    table(study, found, names)
    epochs(found, names)
    regressions(study, found)
    return True


def reference(ids: list[str]) -> str:
    """The reference in the link; by default the first baseline of the first candidate."""
    linked = st.query_params.get("against", "")
    if linked in ids or not ids:
        return linked
    baselines = list(reviews.get(state.store(), ids[0]).frozen["baselines"])
    return linked if linked in baselines else baselines[0]


def tokens_linked() -> float | None:
    """The budget in the link; None if missing or invalid."""
    try:
        tokens = float(st.query_params.get("tokens", ""))
    except ValueError:
        return None
    return tokens if 0 <= tokens <= 1e15 else None


def ask(ids: list[str], found: dict) -> None:
    """Choose the reference and the budget; both go into the link."""
    baselines = list(reviews.get(state.store(), ids[0]).frozen["baselines"])
    titles = told_apart({row["id"]: row["name"] for row in found["rows"]} | {name: name for name in baselines})
    left, right = st.columns(2)
    now = list(titles).index(found["reference"]["id"])
    against = left.selectbox("Compare with", list(titles), now, format_func=titles.get)
    if against != found["reference"]["id"]:
        st.query_params["against"] = against
        st.rerun()
    if found["kind"] == "mixture":
        help_ = "Of the real training run; determines how often each domain is repeated."
        start = float(found["tokens"])
        tokens = right.number_input("Target budget, tokens", 0.0, 1e15, start, format="%.4g", help=help_)
        if tokens != found["tokens"]:
            st.query_params["tokens"] = f"{tokens:g}"
            st.rerun()


def weights(found: dict, names: Named) -> None:
    """The points themselves."""
    st.header("Shares of tokens" if found["kind"] == "mixture" else "Coefficients", anchor=False)
    rows = list(found["rows"])
    if found["reference"]["id"] not in [row["id"] for row in found["rows"]]:
        rows.append(found["reference"])
    shown = [pair for row in rows for pair in wording.places_of(row, row["name"]).items()]
    labels, values = zip(*shown, strict=True)
    plot(review_charts.points(found["kind"], list(labels), names, np.array(values)), key="compare-points")


def losses(study: studies.Study, found: dict) -> None:
    """Differences to the reference with intervals."""
    st.header(f"Predicted, compared with {named_as(found['reference']['name'])}", anchor=False)
    by, name = ruler_of(study, found), found["reference"]["name"]
    apart = [row for row in found["rows"] if row["difference"]]
    tables = [rows_with_total(by, Values.predicted(row), Values.predicted(row["difference"]), name) for row in apart]
    for place, row, lines in zip(st.columns(len(apart)), apart, tables, strict=True):
        with place:
            st.markdown(f"**{named_as(row['name'])}**")
            beside = [line for other in tables if other is not lines for line in other]
            meters(lines, by.caption(name), f"compare-losses-{row['id']}", beside=beside)
    basis = (
        "One surrogate predicted all of them, so errors shared by both points cancel."
        if found["same_fit"]
        else "They were frozen with different fits, so their errors count as independent and intervals are wide."
    )
    runs = "merges" if found["kind"] == "merge" else "runs"
    st.caption(f"Intervals are of the difference between two measured {runs}, and all meters have one scale. {basis}")


def table(study: studies.Study, found: dict, names: Named) -> None:
    """All numbers, each with its verdict."""
    aggregate = Aggregate.from_dict(found["aggregate"])
    read, own = reading(aggregate.unit), [reading(unit) for unit in names.units]
    total = f"{aggregate.title} [{read.unit}]"
    titles = [f"{name} [{one.unit}]" for name, one in zip(names.metrics, own, strict=True)]
    keys = [total, *beside((total,), titles, "metric")]
    rows = {key: [] for key in keys}
    for row in found["rows"]:
        gap = row["difference"]
        rows[keys[0]].append(
            cell(
                read,
                aggregate.sign * row["aggregate"],
                row["aggregate_std"],
                gap and (aggregate.sign * gap["aggregate"], gap["aggregate_std"], gap["aggregate_inside_noise"]),
            )
        )
        for m, key in enumerate(keys[1:]):
            claim = gap and (gap["mean"][m], gap["std"][m], gap["inside_noise"][m])
            rows[key].append(cell(own[m], row["mean"][m], row["std"][m], claim))
    frame = pd.DataFrame(rows, index=[row["name"] for row in found["rows"]]).T
    frame.loc["predicted from"] = [wording.counted(row["runs"], wording.RUN[study.kind]) for row in found["rows"]]
    frame.loc["runs reach there"] = ["no: extrapolated" if row["extrapolated"] else "yes" for row in found["rows"]]
    frame.loc["measured since"] = [measured_since(study, row["id"], aggregate) for row in found["rows"]]
    for size in [one["fidelity"] for one in max((row["measured"] for row in found["rows"]), key=len)]:
        title = f"measured, width {size['width']}, {wording.counted(size['layers'], 'layer')}"
        frame.loc[title] = [measured_words(row, size, aggregate, study.kind) for row in found["rows"]]
    if found["kind"] == "mixture":
        unique = [row["unique_tokens"] for row in found["rows"]]
        cost = ["unknown" if tokens is None else f"{tokens / 1e6:,.4g}" for tokens in unique]
        frame.loc["unique text, million tokens"] = cost
    st.dataframe(frame, column_config={"_index": "metric"}, height=38 + 35 * len(frame))
    st.caption(
        f"Predicted value ± 95%, and the difference to {named_as(found['reference']['name'])}, with the priorities "
        f"that the reference was frozen with.{read.note}"
    )


def cell(read: Shown, value: float, std: float, claim: tuple[float, float, bool] | None) -> str:
    """A value with its interval, and its difference with that and the verdict. claim: the difference, its standard
    deviation, and whether it is within noise; None for the reference itself."""
    text = read.words(value, ci_half_width(std))
    if claim is None:
        return f"{text}  (reference)"
    gap, gap_std, inside = claim
    return f"{text}  ({read.gap_words(gap, ci_half_width(gap_std))}{', within noise' if inside else ''})"


def measured_words(row: dict, size: dict, aggregate: Aggregate, study_kind: str) -> str:
    """The measurement at one size, and the difference to the reference if that was measured too."""
    one = next((one for one in row["measured"] if one["fidelity"] == size), None)
    if one is None:
        return "not yet"
    read = reading(aggregate.unit)
    text = read.words(aggregate.sign * one["aggregate"], one["aggregate_half"])
    text += f", {wording.counted(one['seeds'], 'seed')}" if study_kind != "merge" else ""
    if one["difference"] is None:
        return text
    verdict = ", within noise" if one["inside_noise"] else "" if one["half"] else ", noise unknown"
    return f"{text}  ({read.gap_words(aggregate.sign * one['difference'], one['half'])}{verdict})"


def measured_since(study: studies.Study, candidate: str, aggregate: Aggregate) -> str:
    """Measured minus predicted at the proxies' size."""
    found = evidence(state.store(), study, reviews.get(state.store(), candidate).frozen)
    own = next((one for one in found if one["own"] and one["gap"]), None)
    if own is None:
        return "not yet"
    there, gap = own["points"][CANDIDATE], own["gap"]
    outside = ", outside the predicted interval" if gap["outside"] else ""
    read = reading(aggregate.unit)
    value = read.words(aggregate.sign * there["aggregate"], there["aggregate_half"])
    difference = read.gap_words(aggregate.sign * gap["aggregate"], gap["aggregate_half"])
    return f"{value}, {wording.counted(there['seeds'], 'seed')} ({difference} vs. predicted{outside})"


def epochs(found: dict, names: Named) -> None:
    """How often each domain would be repeated."""
    if found["kind"] != "mixture":
        return
    st.header("Epochs at the target budget", anchor=False)
    known = [row for row in found["rows"] if row["epochs"]]
    if not known:
        st.caption("Unknown: this needs the available tokens of each domain and a target budget.")
        return
    frame = pd.DataFrame({row["name"]: row["epochs"] for row in known}, index=names.coordinates)
    formats = {row["name"]: st.column_config.NumberColumn(format="%.2f") for row in known}
    st.dataframe(frame, column_config={"_index": "domain", **formats})
    st.caption(f"Passes over each domain's tokens at {found['tokens']:,.0f} tokens.")


def regressions(study: studies.Study, found: dict) -> None:
    """Negative flips of one candidate, with the text."""
    st.header("Regressions (negative flips)", anchor=False)
    ids = told_apart({row["id"]: row["name"] for row in found["rows"] if row["difference"]})
    linked = st.query_params.get("text")
    now = list(ids).index(linked) if linked in ids else 0
    chosen = st.selectbox("Candidate", list(ids), now, format_func=ids.get)
    st.query_params["text"] = chosen
    sizes = flips_against(state.store(), chosen, found)
    if not sizes and study.elsewhere:
        st.info("The runs of this study were trained elsewhere, so their losses on single text windows are not known.")
        return
    if not sizes:
        st.info(
            "Not measured: open this candidate and the reference, and *Confirm with several seeds* there. Losses on "
            "single text windows are kept from then on.",
            icon=":material/science:",
        )
        return
    flips(sizes[-1])
    examples(sizes[-1]["domains"])


def flips(size: dict) -> None:
    """How many text windows of each domain got worse beyond noise."""
    rows = [
        {
            "domain": one["domain"],
            "change of the mean": reading().gap(one["change"]),
            "± 95%": None if one["half"] is None else reading().gap(one["half"]),
            "text windows": one["windows"],
            "worse beyond noise, 95%": count_words(one["worse"], one.get("worse_interval")),
            "expected by chance": one["by_chance"],
        }
        for one in size["domains"]
    ]
    forms = {"change of the mean": "+.3f", "± 95%": ".3f", "expected by chance": ".1f"}
    hint = {"± 95%": st.column_config.Column(help="Over text windows, not over seeds.")}
    st.dataframe(signed(rows, forms), hide_index=True, column_config=hint)
    st.caption(
        f"Validation text in windows of {size['fidelity']['context']} tokens, measured by the largest models confirmed "
        f"for both (width {size['fidelity']['width']}), {size['seeds']} common seeds; "
        f"{reading().gap_unit}, candidate minus reference. "
        + ("With one seed, the noise is unknown." if size["seeds"] < 2 else "")
    )


def count_words(count: int | None, ends: list[float] | None) -> str:
    """A count with the ends of its interval; empty where the noise is unknown."""
    return "" if count is None else f"{count}" + ("" if ends is None else f" ({ends[0]:.1f} to {ends[1]:.1f})")


def examples(domains: list[dict]) -> None:
    """The text windows that got worse the most, by domain."""
    flipped = sorted((one for one in domains if one["examples"]), key=lambda one: one["change"])
    for one in flipped:
        improved = "although the average improved" if one["change"] < 0 else "as did the average"
        title = plain(f"{one['domain']}: text that got worse, {improved}")
        with st.expander(title, key=f"worse-{one['domain']}"):
            for example in one["examples"]:
                st.caption(f"{reading().gap_words(example['change'])} {reading().gap_unit}")
                st.code(
                    example["text"] or "The text is not available: the corpus is private, rebuilt or removed.",
                    language=None,
                    wrap_lines=True,
                )
    if not flipped:
        st.caption("No text window got worse by more than the noise.")
