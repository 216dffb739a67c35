"""Two studies side by side, from Studies: what differs, what each recommends, which losses compare. In the link."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.models.colours import colour_of
from dashboard.models.cost import device_hours, hours_words
from dashboard.models.moments import notes
from dashboard.models.names import Named
from dashboard.models.settings import NONE, settings_told
from dashboard.server import state
from dashboard.views.shared.plot import plot
from dashboard.views.shared.text import named_as, plain, zone
from dashboard.views.shared.units import reading
from engine.core.short_names import told_apart
from engine.space.levels import levels_of
from engine.spec.statistics import ci_half_width
from engine.studies.levels import levels_in
from engine.studies.side_by_side import Gap, Row, SideBySide, Value, side_by_side
from store import runs, studies

LINK = "compare"  # two ids, with a comma between
EXPERTS = " A merge's experts have read more text than a proxy, which is part of the difference."


def render() -> bool:
    """The two studies in the link; False if they are not there any more."""
    everything = {one.id: one for one in studies.all_studies(state.store())}
    ids = st.query_params[LINK].split(",")
    if len(ids) != 2 or not set(ids) <= everything.keys() or ids[0] == ids[1]:
        del st.query_params[LINK]
        return False
    st.title("Two studies")
    if st.button("All studies", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params[LINK]
        st.rerun()
    one, other = (everything[name] for name in ask(ids, everything))
    titles = tuple(told_apart({one.id: one.name, other.id: other.name}).values())
    differing(one, other, titles)
    if missing := [study for study in (one, other) if not study.coordinates]:
        st.info(f"{named_as(missing[0].name)} is not planned yet: its corpus is not built, so there is no more to see.")
        return True
    found = side_by_side(state.store(), one, other)
    answers(found, (one, other), titles)
    losses(found, {one.kind, other.kind}, titles)
    return True


def ask(ids: list[str], everything: dict[str, studies.Study]) -> list[str]:
    """Which two; another choice goes into the link."""
    titles = told_apart({one: study.name for one, study in everything.items()})
    chosen = []
    for place, label, now, away in zip(st.columns(2), ("First", "Second"), ids, ids[::-1], strict=True):
        options = [one for one in titles if one != away]
        key = f"side-{label}-{now}-{away}"
        chosen.append(place.selectbox(label, options, options.index(now), format_func=titles.get, key=key))
    if chosen != ids:
        st.query_params[LINK] = ",".join(chosen)
        st.rerun()
    return chosen


def differing(one: studies.Study, other: studies.Study, titles: tuple[str, str]) -> None:
    """The settings that differ, and what each has used."""
    st.header("What differs", anchor=False)
    sides = [{**facts(study), **dict(settings_told(study.spec))} for study in (one, other)]
    pairs = {name: [own.get(name) or NONE for own in sides] for name in [*sides[0], *sides[1]]}
    rows = [(name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]
    if not rows:
        st.caption("Nothing: they have the same settings, and used the same.")
        return
    st.dataframe(pd.DataFrame(rows, columns=["", *titles]), hide_index=True)


def facts(study: studies.Study) -> dict[str, str]:
    """What a study is about and what it has used."""
    counts, flops, tokens = runs.spent(state.store(), study.id)
    hours = device_hours(state.store(), study.id)
    return {
        "kind": study.kind,
        "domains or coefficients": ", ".join(study.coordinates),
        "metrics": ", ".join(study.metrics),
        "runs done": f"{study.done} of {study.runs}",
        "tokens used": f"{tokens / 1e6:,.1f} million, about {flops:.2g} FLOPs" if counts else "–",
        "device time": hours_words(hours) if hours else "–",
    }


def answers(found: SideBySide, of: tuple[studies.Study, studies.Study], titles: tuple[str, str]) -> None:
    """The points that the two recommend."""
    st.header("What they recommend", anchor=False)
    there = [
        (title, study, one.point)
        for title, study, one in zip(titles, of, found.answers, strict=True)
        if one.point is not None
    ]
    for title, one in zip(titles, found.answers, strict=True):
        if one.point is None:
            st.caption(
                f"{named_as(title)} recommends nothing yet: it has no search by its own priorities, or fewer runs than "
                "a fit needs."
            )
        elif lines := notes(one.moment, zone()):
            st.caption(f":material/history: {named_as(title)}: {' '.join(lines)}")
    kinds = {study.kind for _, study, _ in there}
    for kind in sorted(kinds):
        own = [(title, study, point) for title, study, point in there if study.kind == kind]
        names = list(dict.fromkeys(name for _, study, _ in own for name in study.coordinates))
        values = np.array(
            [
                [dict(zip(study.coordinates, point, strict=True)).get(name, 0.0) for name in names]
                for _, study, point in own
            ]
        )
        same = next((study for _, study, _ in own if study.coordinates == names), None)
        levels = tuple(levels_in(same) if same else levels_of(names, ()) if kind == "mixture" else ())
        if kind == "merge" and len(own) == 1:  # two are told apart by a legend
            st.markdown(f"**{named_as(own[0][0])}**")
        figure = review_charts.points(
            kind, [title for title, _, _ in own], Named(names, [], [], colour_of(names), levels), values
        )
        plot(figure, key=f"two-{kind}")
    if len(kinds) == 2:
        st.caption("Shares of a mixture and coefficients of a merge are not the same thing: they are not compared.")


def losses(found: SideBySide, kinds: set[str], titles: tuple[str, str]) -> None:
    """The metrics that compare with differences, and the others with the reason."""
    st.header("Losses and scores", anchor=False)
    rows = [row for row in found.rows if not row.why]
    for what in ("predicted", "measured") if rows else ():
        st.markdown(f"**{what.capitalize()}**")
        st.dataframe(pd.DataFrame([cells(row, found, titles, what) for row in rows]), hide_index=True)
    if rows:
        best = " and ".join(one.run for one in found.answers if one.run)
        st.caption(
            f"The difference is {named_as(titles[1])} minus {named_as(titles[0])}; intervals are 95%, for one run. "
            "Each is judged by its own priorities. *Predicted*: at what it recommends, by its own surrogate. "
            f"*Measured*: its best run ({plain(best)}), with the noise between seeds and of the validation text; the "
            "best of many looks a little too good, the more so of more runs."
            f"{EXPERTS * (len(kinds) > 1)}{reading().note}"
        )
    else:
        st.info("No loss of the two compares: the reasons are below.", icon=":material/block:")
    why = [{"metric": row.name, "is not compared because": row.why} for row in found.rows if row.why]
    why += [
        {"metric": name, "is not compared because": f"only {title} has it"}
        for title, names in zip(titles, found.alone, strict=True)
        for name in names
    ]
    if why:
        st.subheader("Not compared", anchor=False)
        st.dataframe(pd.DataFrame(why), hide_index=True)


def cells(row: Row, found: SideBySide, titles: tuple[str, str], what: str) -> dict[str, str]:
    """One metric in words, as it was predicted or measured; an aggregate in the sign in which people read it."""
    is_total = row is found.rows[0]
    sign = found.answers[0].aggregate.sign if is_total else 1
    read = reading(row.unit)

    def words(one: Value | None) -> str:
        return "–" if one is None else read.words(sign * one.value, ci_half_width(one.std))

    def apart(gap: Gap | None) -> str:
        if gap is None:
            return "–"
        half = gap.half if np.isfinite(gap.half) else None
        return f"{read.gap_words(sign * gap.value, half)}: {gap.verdict}"

    pair = row.predicted if what == "predicted" else row.measured
    entry = {f"{title}, {what}": words(one) for title, one in zip(titles, pair, strict=True)}
    return {"metric": f"{row.name} [{read.unit}]", **entry, "difference": apart(row.gap(pair))}
