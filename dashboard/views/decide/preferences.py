"""What the team prefers: votes by Bradley-Terry and by a Gaussian process over the points, beside the losses' answer.
Part of Candidates."""

import numpy as np
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.models import wording
from dashboard.models.units import digits
from dashboard.views.shared.plot import plot
from dashboard.views.shared.text import named_as
from dashboard.views.shared.units import reading
from engine.core.short_names import listed, told_apart
from engine.spec.objectives import Aggregate

BRADLEY_TERRY = "Bradley-Terry, log odds against the group's average (95%)"
PROCESS = "Gaussian process, probits against the average (95%)"


def show(found: dict) -> None:
    """All of an overview (engine/review/dossier.py): figures, sentences and a table, each with its uncertainty."""
    votes, taste = found["votes"], found["taste"]
    if taste is None:
        st.caption("No votes yet.")
        return
    st.header("What the team prefers", anchor=False)
    names = told_apart({row["id"]: row["name"] for row in found["candidates"]})
    st.markdown(
        f"From {wording.counted(taste['votes'], 'vote')} by {wording.counted(taste['people'], 'voter')}: the latest of "
        "each on each pair."
    )
    left, right = st.columns(2)
    with left:
        values = (np.array([one[key] for one in votes]) for key in ("strength", "half", "group"))
        figure = review_charts.strengths([names[one["id"]] for one in votes], *values, title=BRADLEY_TERRY)
        plot(figure, key="strengths")
        st.markdown(said_by_pairs(votes, names))
    with right:
        rows = taste["rows"]
        labels = [names.get(row["id"], row["name"]) for row in rows]
        values = (np.array([one[key] for one in rows]) for key in ("mean", "half"))
        figure = review_charts.strengths(labels, *values, np.zeros(len(rows), int), title=PROCESS)
        plot(figure, key="taste")
        st.markdown(said_by_points(rows, labels))
    st.markdown(said_by_losses(found["losses"], names))
    table(found, names)


def said_by_pairs(votes: list[dict], names: dict[str, str]) -> str:
    """Bradley-Terry's answer in words."""
    groups = len({one["group"] for one in votes})
    if groups > 1:
        return f"No vote connects these {groups} groups, so pairs alone cannot compare them."
    return answer("By pairs", names[votes[0]["id"]], [names[one] for one in votes[0]["tied"]])


def said_by_points(rows: list[dict], labels: list[str]) -> str:
    """The Gaussian process' answer in words, and what it speaks of without votes."""
    text = answer("By similar points", labels[0], [labels[other] for other in rows[0]["tied"]])
    without = sum(row["votes"] == 0 for row in rows)
    return text + (f" {wording.counted(without, 'point')} of these had no vote of their own." if without else "")


def said_by_losses(losses: list[dict], names: dict[str, str]) -> str:
    """The predictions' answer in words."""
    tied = [names[one["id"]] for one in losses[1:] if one["inside_noise"]]
    first = named_as(names[losses[0]["id"]])
    if tied:
        return f"By predicted losses, {first} cannot be separated from {named(tied)}."
    other = "" if len(losses) == len(names) else " Candidates frozen with other priorities are not compared."
    return f"By predicted losses, {first} is best, beyond noise (95%).{other}"


def answer(how: str, first: str, tied: list[str]) -> str:
    """Who is preferred, or which ones the votes cannot tell apart."""
    if tied:
        return f"{how}, the votes cannot separate {named_as(first)} from {named(tied)}."
    return f"{how}, {named_as(first)} is preferred to all others (95%)."


def named(names: list[str]) -> str:
    """Names of candidates in a sentence."""
    return listed([named_as(one) for one in names], 4)


def table(found: dict, names: dict[str, str]) -> None:
    """The three answers side by side."""
    pairs, losses = ({one["id"]: one for one in found[key]} for key in ("votes", "losses"))
    aggregate = Aggregate.from_dict(found["candidates"][0]["aggregate"])
    read = reading(aggregate.unit)
    rows = []
    for row in found["taste"]["rows"]:
        pair, loss = pairs.get(row["id"]), losses.get(row["id"])
        rows.append(
            {
                "point": names.get(row["id"], row["name"]),
                "votes": row["votes"],
                "Gaussian process": f"{digits(row['mean'], '+.2f')} ± {row['half']:.2f}",
                "most preferred": row["best"],
                "Bradley-Terry": f"{digits(pair['strength'], '+.2f')} ± {pair['half']:.2f}" if pair else "–",
                f"{aggregate.title}, predicted [{read.unit}]": (
                    read.words(aggregate.sign * loss["aggregate"], loss["half"]) if loss else "–"
                ),
            }
        )
    chance = st.column_config.NumberColumn(format="percent", help="The chance to be the most preferred of these.")
    st.dataframe(rows, hide_index=True, column_config={"most preferred": chance})
    st.caption(
        "± is 95%. At a difference of 1 probit, 84% of votes are for the better one. The Gaussian process learns from "
        "votes on similar points, so it also ranks points that nobody voted on; *neither* counts half for each."
    )
