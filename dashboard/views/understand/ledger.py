"""Ledger: what was predicted of runs before they were measured, and the results."""

import numpy as np
import streamlit as st

from dashboard.charts import ledger as ledger_charts
from dashboard.components.plot import plot
from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.live import live
from engine.core.short_names import told_apart
from engine.spec.objectives import Aggregate
from engine.studies import ledger
from engine.studies.measured import aggregate_of
from engine.surrogates import SURROGATES
from store import studies

SHOWN = 500  # predictions of the table, the latest
PLACES = {
    "measured": "at a measured run",
    "interpolated": "among the runs",
    "extrapolated": "beyond the runs",
    "unknown": "unknown (a nomination before the last fit)",
}
ORIGINS = {"confirm": "confirmations", "proposed": "next runs", "submitted": "submitted runs"}
OF = {"aggregate": "aggregate", "difference": "difference to the first baseline"}
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
    titles = told_apart({ALL: "All surrogates", **{one: SURROGATES[one].title for one in SURROGATES}})
    surrogate = right.selectbox("Surrogate", list(titles), format_func=titles.get, key="ledger-surrogate")
    live(lambda: results(scope, surrogate))


def results(scope: str | None, surrogate: str) -> None:
    """The records and the predictions behind them."""
    store = state.store()
    found = [one for one in ledger.entries(store, scope) if surrogate in (ALL, one.registered.prediction.surrogate)]
    done = [one for one in found if one.deviations is not None]
    if not found:
        st.info(
            "Nothing is registered yet. Confirm a mixture, train next runs, or submit runs: their predictions are "
            "written down first.",
            icon=":material/menu_book:",
        )
        return
    st.caption(
        f"{wording.counted(len(found), 'prediction')} registered, {len(done)} of them can be compared with a "
        "measurement. At the proxies' size the prediction itself is compared. At other sizes, where proxies say "
        "nothing of the level, its difference to the first baseline is compared with the one measured there; that "
        "baseline has no difference to itself."
    )
    if done:
        records(done, "surrogate", {one: SURROGATES[one].title for one in SURROGATES})
        records(done, "place", PLACES)
        records(done, "origin", ORIGINS)
        scatter(done)
    table(found)


def records(done: list[ledger.Entry], by: str, names: dict[str, str]) -> None:
    """Coverage and optimism in a table, a row for each surrogate, place or origin."""
    headings = {"surrogate": "By surrogate", "place": "By distance from the runs", "origin": "By what they were for"}
    st.subheader(headings[by], anchor=False)
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
    formats |= {"optimism, std": st.column_config.NumberColumn(format="%+.2f")}
    formats |= {"± 95%": st.column_config.NumberColumn(format="%.2f")}
    st.dataframe(rows, hide_index=True, column_config=formats)
    if by == "surrogate":
        st.caption(
            "Optimism: how much worse runs measured than predicted, in standard deviations of the prediction; each "
            "point counts once, whatever its seeds. The interval is Student's t over points; one point says nothing."
        )


def scatter(done: list[ledger.Entry]) -> None:
    """Every measured prediction, a row for each surrogate."""
    st.subheader("Every measured prediction", anchor=False)
    groups: dict[str, list[ledger.Entry]] = {}
    for one in done:
        groups.setdefault(SURROGATES[one.registered.prediction.surrogate].title, []).append(one)
    off = [np.array([one.deviations for one in group]) for group in groups.values()]
    labels = [[one.registered.prediction.run for one in group] for group in groups.values()]
    plot(ledger_charts.deviations(list(groups), off, labels), key="ledger-deviations")
    st.caption("The grey band is the 95% interval. Points to the right of 0 measured worse than predicted.")


def table(found: list[ledger.Entry]) -> None:
    """The predictions themselves, the latest first."""
    st.subheader("Predictions", anchor=False)
    shown = found[: -SHOWN - 1 : -1]
    asked = {name: studies.get(state.store(), name) for name in {one.registered.study for one in shown}}
    aggregates = {name: aggregate_of(state.store(), study) for name, study in asked.items()}
    rows = [row(one, aggregates[one.registered.study]) for one in shown]
    number = st.column_config.NumberColumn(format="%.4f")
    formats = dict.fromkeys(("predicted", "± 95%", "measured", "predicted minus measured"), number)
    st.dataframe(rows, hide_index=True, column_config=formats, placeholder="–")
    if changed := [one for one in found if not one.registered.whole]:
        st.error(
            f"{wording.counted(len(changed), 'prediction')} no longer fit their hash: somebody changed the record.",
            icon=":material/gpp_bad:",
        )
    more = f" The latest {SHOWN} are shown; `ledger` on the command line has all." if len(found) > SHOWN else ""
    st.caption(f"Each hash covers the whole prediction, as recorded in the owner's journal with its time.{more}")


def row(one: ledger.Entry, aggregate: Aggregate) -> dict:
    """One prediction of the table, in the sign and unit of its study's aggregate."""
    kept, said, sign = one.registered, one.registered.prediction, aggregate.sign
    return {
        "registered": wording.moment(kept.t),
        "by": said.predicted_by or kept.by or "",
        "run": said.run,
        "for": ORIGINS.get(said.origin, said.origin) + (" of a candidate" if said.candidate else ""),
        "surrogate": SURROGATES[said.surrogate].title if said.surrogate in SURROGATES else said.surrogate,
        "of": OF[one.of],
        "unit": aggregate.unit,
        "predicted": None if one.predicted is None else sign * one.predicted,
        "± 95%": None if one.std is None else 1.96 * one.std,
        "measured": None if one.measured is None else sign * one.measured,
        "predicted minus measured": None if one.error is None else sign * one.error,
        "": kept.state if one.measured is None else "inside" if abs(one.deviations or 0) <= ledger.Z95 else "outside",
        "hash": said.hash[:12],
    }
