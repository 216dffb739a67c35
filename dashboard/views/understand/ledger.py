"""Ledger: what was predicted of runs before they were measured, and the results."""

import numpy as np
import streamlit as st

from dashboard.charts import ledger as ledger_charts
from dashboard.models import wording
from dashboard.models.units import INTERVAL
from dashboard.server import state
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import live
from dashboard.views.shared.plot import plot
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import local
from dashboard.views.shared.units import reading
from engine.core.short_names import told_apart
from engine.spec.objectives import Aggregate
from engine.spec.statistics import Z95, ci_half_width
from engine.studies import ledger, price_ledger
from engine.studies.measured import aggregate_of
from engine.surrogates import SURROGATES, title_of
from store import studies

SHOWN = 500  # predictions of the table, the latest
PLACES = {
    "measured": "at a measured run",
    "interpolated": "among the runs",
    "extrapolated": "beyond the runs",
    "unknown": "unknown (a nomination before the last fit)",
}
ORIGINS = {"confirm": "confirmations", "proposed": "next runs", "submitted": "submitted runs"}
GAP = "difference"  # what some predictions are of
OF = {"aggregate": "aggregate", GAP: "difference to the first baseline"}
ALL = "all"


def render(name: str | None) -> None:
    st.title("Ledger")
    st.markdown(
        "Every prediction is written down **before** its run is trained, or before a run from elsewhere enters a fit, "
        "with its time and a hash. So it cannot be adjusted once the result is known. A nomination is a prediction, "
        "too: it counts once its point is trained."
    )
    left, right = st.columns(2)
    mine = left.segmented_control(
        "Of", ["this study", "all studies"], default="this study", key="ledger-of", bind="query-params", required=True
    )
    scope = name if mine == "this study" else None
    titles = told_apart({ALL: "All surrogates", **{one: title_of(one) for one in SURROGATES}})
    surrogate = right.selectbox("Surrogate", list(titles), format_func=titles.get, key="ledger-surrogate")
    live(lambda: results(scope, surrogate))
    sources(scope)


def results(scope: str | None, surrogate: str) -> None:
    """The records and the predictions behind them."""
    store = state.store()
    found = [one for one in ledger.entries(store, scope) if surrogate in (ALL, one.registered.prediction.surrogate)]
    done = [one for one in found if one.deviations is not None]
    if not found:
        merges = scope is not None and studies.get(store, scope).kind == "merge"
        nothing_yet(
            "Nothing is registered yet. Confirm a mixture, train next runs, or submit runs: their predictions are "
            "written down first.",
            icon=":material/menu_book:",
            **({"explore": "To Explore"} if merges else {"confirm": "To Confirm", "next_runs": "To Next runs"}),
        )
        return
    st.caption(
        f"{wording.counted(len(found), 'prediction')} registered, {len(done)} of them can be compared with a "
        "measurement. At the proxies' size the prediction itself is compared. At other sizes, where proxies say "
        "nothing of the level, its difference to the first baseline is compared with the one measured there; that "
        "baseline has no difference to itself."
    )
    if done:
        records(done, "surrogate", {one: title_of(one) for one in SURROGATES})
        records(done, "place", PLACES)
        records(done, "origin", ORIGINS)
        scatter(done)
    table(found)


def records(done: list[ledger.Entry], by: str, names: dict[str, str]) -> None:
    """Coverage and optimism in a table, a row for each surrogate, place or origin."""
    headings = {"surrogate": "By surrogate", "place": "By distance from the runs", "origin": "By what they were for"}
    st.header(headings[by], anchor=False)
    rows = [
        {
            by: names.get(one.name, one.name),
            "runs": one.runs,
            "points": one.points,
            "inside 80%": one.in_80,
            "inside 95%": one.in_95,
            "optimism, std": one.optimism,
            "± 95%": one.half,
            "": "cannot tell" if not one.claims else "optimistic" if one.optimism > 0 else "pessimistic",
        }
        for one in ledger.records(done, by)
    ]
    formats = dict.fromkeys(("inside 80%", "inside 95%"), st.column_config.NumberColumn(format="percent"))
    st.dataframe(signed(rows, {"optimism, std": "+.2f", "± 95%": ".2f"}), hide_index=True, column_config=formats)
    if by == "surrogate":
        st.caption(
            "Optimism: how much worse runs measured than predicted, in standard deviations of the prediction; each "
            "point counts once, whatever its seeds. The interval is Student's t over points; one point says nothing."
        )


def scatter(done: list[ledger.Entry]) -> None:
    """Every measured prediction, a row for each surrogate."""
    st.header("Every measured prediction", anchor=False)
    groups: dict[str, list[ledger.Entry]] = {}
    for one in done:
        groups.setdefault(title_of(one.registered.prediction.surrogate), []).append(one)
    off = [np.array([one.deviations for one in group]) for group in groups.values()]
    labels = [[one.registered.prediction.run for one in group] for group in groups.values()]
    plot(ledger_charts.deviations(list(groups), off, labels), key="ledger-deviations")
    st.caption("The grey band is the 95% interval. Points to the right of 0 measured worse than predicted.")


def table(found: list[ledger.Entry]) -> None:
    """The predictions themselves, the latest first."""
    st.header("Predictions", anchor=False)
    shown = found[: -SHOWN - 1 : -1]
    asked = {name: studies.get(state.store(), name) for name in {one.registered.study for one in shown}}
    aggregates = {name: aggregate_of(state.store(), study) for name, study in asked.items()}
    rows = [row(one, aggregates[one.registered.study]) for one in shown]
    forms = dict.fromkeys(("predicted", *INTERVAL, "measured"), ".4f") | {"predicted minus measured": "+.4f"}
    st.dataframe(signed(rows, forms), hide_index=True)
    if changed := [one for one in found if not one.registered.whole]:
        st.error(
            f"{wording.counted(len(changed), 'prediction')} no longer fit their hash: somebody changed the record.",
            icon=":material/gpp_bad:",
        )
    more = f" The latest {SHOWN} are shown; `ledger` on the command line has all." if len(found) > SHOWN else ""
    st.caption(f"Each hash covers the whole prediction, as recorded in the owner's journal with its time.{more}")


def sources(scope: str | None) -> None:
    """What new sources were predicted to be worth, and what studies that have them measured, the latest first."""
    store = state.store()
    found = price_ledger.entries(store, scope)[: -SHOWN - 1 : -1]
    if not found:
        return
    st.header("Prices of new sources", anchor=False)
    asked = {name: studies.get(store, name) for name in {one.priced.study for one in found}}
    rows = [source_row(one, asked[one.priced.study]) for one in found]
    forms = dict.fromkeys(("predicted change", "measured", "predicted minus measured"), "+.4f") | {"± 95%": ".4f"}
    formats = {"share": st.column_config.NumberColumn(format="percent")}
    st.dataframe(signed(rows, forms), hide_index=True, column_config=formats)
    if any(not one.priced.whole for one in found):
        st.error("A price no longer fits its hash: somebody changed the record.", icon=":material/gpp_bad:")
    st.caption(
        "A price is written down when it is asked for. It is compared where a study of the same proxies has the source "
        "and trained the mixture with it and without: *Change domains* on a study's card adds both."
    )


def source_row(one: price_ledger.Entry, study: studies.Study) -> dict:
    """One price of the table, in the sign and unit of the metrics that counted in it."""
    kept, price = one.priced, one.priced.price
    by = price_ledger.aggregate_of_price(study, price)
    sign, read = by.sign, reading(by.unit)
    inside = one.deviations is not None and abs(one.deviations) <= Z95
    return {
        "registered": local(kept.t),
        "by": kept.by or "",
        "source": f"{price.domain} of {price.corpus}",
        "share": price.share,
        "joins": price.candidate,
        "verdict": price.verdict,
        "unit": read.gap_unit,
        "predicted change": read.gap(sign * price.change),
        "± 95%": read.gap(price.half),
        "measured": None if one.measured is None else read.gap(sign * one.measured),
        "predicted minus measured": None if one.error is None else read.gap(sign * one.error),
        "": (one.why or "") if one.measured is None else "inside" if inside else "outside",
        "hash": price.hash[:12],
    }


def row(one: ledger.Entry, aggregate: Aggregate) -> dict:
    """One prediction of the table, in the sign and unit of its study's aggregate."""
    kept, said, sign = one.registered, one.registered.prediction, aggregate.sign
    read = reading(aggregate.unit)
    is_gap = one.of == GAP
    convert = read.gap if is_gap else read.level
    return {
        "registered": local(kept.t),
        "by": said.predicted_by or kept.by or "",
        "run": said.run,
        "for": ORIGINS.get(said.origin, said.origin) + (" of a candidate" if said.candidate else ""),
        "surrogate": title_of(said.surrogate),
        "of": OF[one.of],
        "unit": read.gap_unit if is_gap else read.unit,
        "predicted": None if one.predicted is None else convert(sign * one.predicted),
        **read.columns(
            None if one.predicted is None else sign * one.predicted, one.std and ci_half_width(one.std), is_gap
        ),
        "measured": None if one.measured is None else convert(sign * one.measured),
        "predicted minus measured": None if one.error is None else read.gap(sign * one.error),
        "": kept.state if one.measured is None else "inside" if abs(one.deviations or 0) <= Z95 else "outside",
        "hash": said.hash[:12],
    }
