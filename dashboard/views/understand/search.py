"""Search: the mixture with the lowest predicted loss, against the baselines, and how much freedom the choice leaves."""

import numpy as np
import streamlit as st

from dashboard.charts import mixtures as mixture_charts
from dashboard.charts import style
from dashboard.models import wording
from dashboard.models.moments import behind_words
from dashboard.models.searches import counted, describe
from dashboard.models.units import INTERVAL, Shown
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.choice import choose
from dashboard.views.shared.limits import kept_words, search_limits
from dashboard.views.shared.live import live
from dashboard.views.shared.moment import priorities_asked, show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.optimism import optimism_words
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import named_of, study_of, too_few
from dashboard.views.shared.text import local, plain, refusal, zone
from dashboard.views.shared.units import reading
from dashboard.views.understand import draws
from engine.core.errors import Problem
from engine.search.methods import METHODS, TITLES
from engine.spec.objectives import Aggregate
from engine.spec.statistics import Z90, ci_half_width
from engine.studies.measured import Noise, aggregate_in, aggregate_noise, frame_of_study
from engine.studies.moments import Moment, moment_of
from engine.studies.points import BEST_PREDICTED
from engine.studies.questions import queue_search, with_optimism
from engine.studies.reach import places_in
from store import jobs, results, studies

CHEAPEST = "near-optimal, cheapest"


def render(name: str | None) -> None:
    st.title("Search")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study)
    if moment.fit is None:
        return
    show_moment(moment, "search")
    ask(study, moment.fit.name, moment.aggregate)
    live(lambda: results_so_far(moment))


def ask(study: studies.Study, surrogate: str, aggregate: Aggregate) -> None:
    """Start a search with the surrogate and priorities of the sidebar."""
    left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
    points = left.select_slider(
        "Simulated mixtures",
        [10_000, 100_000, 1_000_000, 5_000_000],
        1_000_000,
        format_func=lambda n: f"{n:,}",
        key="points",
    )
    method = middle.selectbox("Method", list(METHODS), format_func=TITLES.get, key="method")
    prices, limits = ask_prices(study), search_limits(study)
    style = {"type": "primary", "icon": ":material/travel_explore:", "width": "stretch"}
    if right.button("Search", **style, **needs_role("operator")):
        try:
            asked = queue_search(
                state.store(), study, surrogate, priorities_asked(study, aggregate), points, method, prices, limits
            )
        except Problem as problem:
            refusal(problem)
            return
        say_if_there(asked.already_there)
        st.session_state.pop("result", None)  # the new result is shown when it comes
        st.query_params.pop("result", None)
        st.rerun()


def ask_prices(study: studies.Study) -> dict[str, float]:
    """The price of a million unique tokens of each domain, where it is not 1."""
    with st.expander("Text prices, to find the cheapest near-optimal mixture"):
        rows = [{"domain": name, "price": 1.0} for name in study.domains]
        price = st.column_config.NumberColumn("price per million unique tokens", min_value=0.0)
        edited = st.data_editor(
            rows, hide_index=True, key=f"prices-{study.id}", disabled=["domain"], column_config={"price": price}
        )
    return {row["domain"]: float(row["price"]) for row in edited if row["price"] not in (None, 1.0)}


def results_so_far(drawn: Moment) -> None:
    """The search in use, or the one chosen, as of now; drawn: the moment of the page."""
    store, name = state.store(), drawn.study.id
    moment = moment_of(store, drawn.study, drawn.aggregate, drawn.fit.name)
    own = jobs.of_study(store, name)
    under_way(own, "search", "searching")
    found = results.searches(store, name)
    if not found:
        if not any(job.kind == "search" for job in own):
            st.info("The first search starts automatically after the first fit.")
        return
    search = chosen_result(moment, found)
    views = {"Best mixture": one_result, "Trade-off": draws.trade_off, "Targets": draws.targets}
    view = st.segmented_control(
        "View", list(views), default="Best mixture", key="search-look", bind="query-params", required=True
    )
    try:
        views[view](moment, search)
    except Problem as problem:
        st.info(plain(problem))


def chosen_result(moment: Moment, found: list[dict]) -> dict:
    """One of the searches, at first the one in use; any other says that its answer is not what other pages show."""
    by_job = {one["job"]: one for one in sorted(found, key=lambda one: one["job"] != moment.search_job)}
    titles = {job: describe(one, zone()) for job, one in by_job.items()}
    search = by_job[choose(st, "Result", titles, "result", link="result")]
    if search["job"] != moment.search_job:
        behind, weighed = behind_words(moment, moment.behind(search)), plain(counted(search["settings"]))
        st.caption(
            f":material/history: Below, *best predicted* is of this result alone: the search of {local(search['t'])}, "
            f"{behind}, {weighed}."
        )
    return search


def one_result(moment: Moment, search: dict) -> None:
    """The best mixture against the baselines, and the near-optimal set around it."""
    found, study = search["found"], moment.study
    optimism = with_optimism(state.store(), study, search)["optimism"]
    verdict(found, aggregate_in(state.store(), study, search), bool(too_few(study)), optimism)
    kept_words(study, search)
    frame, names, aggregate = frame_of_study(study), named_of(study), aggregate_in(state.store(), study, search)
    near_prior = f"near-optimal, nearest {frame.prior_name}"
    points = {BEST_PREDICTED: found["found"]["shares"]}
    points |= {near_prior: found["near_optimal"]["nearest_prior"]["shares"]}
    if cheapest := found["near_optimal"].get("cheapest"):
        points |= {CHEAPEST: cheapest["shares"]}
    points |= {name: gap["baseline"]["shares"] for name, gap in found["differences"].items()}
    many = len(names.coordinates) > style.MANY
    left, right = (st.container(), st.container()) if many else st.columns(2)
    shares = np.array(list(points.values()))
    with left:
        st.header("Mixtures", anchor=False)
        plot(mixture_charts.shares_bar(list(points), names, shares), key="mixtures")
    with right:
        st.header("How much freedom is there?", anchor=False)
        near = found["near_optimal"]
        marked = (BEST_PREDICTED, frame.prior_name, near_prior, CHEAPEST)
        marks = {name: np.array(points[name]) for name in marked if name in points}
        low, high = np.array(near["lowest"]), np.array(near["highest"])
        plot(mixture_charts.ranges(names.coordinates, names.colours, low, high, marks), key="ranges")
        st.caption(
            f"{near['count']:,} of {found['draws']:,} mixtures ({near['fraction']:.2%}) are predicted within one "
            "standard deviation of the best, so any of them may be the best. A wide bar: that share hardly matters."
            + price_words(found)
        )
    table(moment, search, points, near_prior, aggregate)
    if past := optimism_words(search["settings"]["surrogate"]):
        st.caption(past)
    nominate(study, {k: np.array(v) for k, v in points.items()}, "search", search["settings"]["surrogate"], aggregate)


def price_words(found: dict) -> str:
    """What the text of the best and of the cheapest mixture costs."""
    near = found["near_optimal"]
    if near.get("cheapest_price") is None:
        return ""
    return (
        f" Unique text costs {found['price']:,.4g} (price × million tokens) for the best and "
        f"{near['cheapest_price']:,.4g} for the cheapest."
    )


def chosen_for_its_prediction(found: dict, aggregate: Aggregate, optimism: dict | None) -> str:
    """What that choice costs, by refits; optimism: engine.league.optimism.Optimism as a dict, None if unknown."""
    if optimism is None:
        return "The best was chosen for its prediction, so it will likely measure slightly worse: train it first."
    read, bias, spread = reading(aggregate.unit), optimism["bias"], ci_half_width(optimism["spread"], Z90)
    expected = aggregate.sign * (found["found"]["aggregate"] + bias)
    cost = f"{wording.number(read.gap(abs(bias)))} ± {wording.number(read.gap(spread))} (90%)"
    return (
        f"The best was chosen for its prediction, and {optimism['refits']} refits on parts of the runs say what that "
        f"costs: expect it to measure {read.words(expected)}, which is {cost} {'worse' if bias > 0 else 'better'} "
        "than predicted. Train it before you rely on it."
    )


def verdict(found: dict, aggregate: Aggregate, few: bool, optimism: dict | None) -> None:
    """The best against the baselines; no winner within noise, nor from fewer runs than a fit needs."""
    best, read = found["found"], reading(aggregate.unit)
    line = st.container(horizontal=True, gap="medium")  # breaks where numbers would be cut
    line.metric(
        f"{aggregate.title.capitalize()} of the best predicted",
        read.words(aggregate.sign * best["aggregate"], ci_half_width(best["aggregate_std"])),
        width="content",
    )
    for name, gap in found["differences"].items():
        unsure = "within noise" if gap["inside_noise"] else "too few runs to tell" if few else None
        better = gap["aggregate"] < 0
        line.metric(
            f"vs. {name}",
            read.gap_words(aggregate.sign * gap["aggregate"], ci_half_width(gap["aggregate_std"])),
            unsure or ("better" if better else "worse"),
            delta_color="off" if unsure else "normal" if better else "inverse",
            delta_arrow="off",
            width="content",
        )
    st.caption(
        f"{plain(read.unit.capitalize())} ({aggregate.better} is better).{read.note} 95% intervals of the "
        f"difference between two measured runs. {chosen_for_its_prediction(found, aggregate, optimism)} "
        f"{plain(aggregate.note or '')}"
    )


def measured_words(read: Shown, values: np.ndarray, noise: Noise | None) -> str:
    """The mean of measured values (S,), with its interval where the noise of one run is known."""
    if not len(values):
        return "–"
    return read.words(float(values.mean()), None if noise is None else ci_half_width(noise.std / np.sqrt(len(values))))


def table(moment: Moment, search: dict, points: dict, near_prior: str, aggregate: Aggregate) -> None:
    """Predicted metrics of each mixture, and measured ones if a run has exactly these shares."""
    found, study = search["found"], moment.study
    predicted = {BEST_PREDICTED: found["found"], near_prior: found["near_optimal"]["nearest_prior"]}
    if cheapest := found["near_optimal"].get("cheapest"):
        predicted |= {CHEAPEST: cheapest}
    predicted |= {name: gap["baseline"] for name, gap in found["differences"].items()}
    measured, names = moment.measured, named_of(study)
    rows, read, noise = [], reading(aggregate.unit), aggregate_noise(measured, aggregate)
    there_are = places_in(
        state.store(), study.id, np.array([points[name] for name in predicted]), search["settings"]["fingerprint"]
    )
    for (name, one), place in zip(predicted.items(), there_are, strict=True):
        row = {
            "mixture": name,
            aggregate.title: read.level(aggregate.sign * one["aggregate"]),
            **read.columns(aggregate.sign * one["aggregate"], ci_half_width(one["aggregate_std"])),
        }
        own = [reading(unit) for unit in names.units]
        told = zip(names.metrics, own, one["mean"], one["std"], strict=True)
        row |= {f"{n} [{by.unit}], 95%": by.words(x, ci_half_width(std)) for n, by, x, std in told}
        gap = np.abs(measured.weights - np.array(points[name])).max(axis=1) if len(measured.ids) else np.empty(0)
        there = aggregate.sign * aggregate.of(measured.losses[gap < 1e-6]) if (gap < 1e-6).any() else np.empty(0)
        row[f"measured {aggregate.title}, 95%"] = measured_words(read, there[np.isfinite(there)], noise)
        row["runs"] = len(there)
        row["place"] = place
        rows.append(row)
    number = st.column_config.NumberColumn(format="%.3f")
    columns = {key: number for key in (aggregate.title, *INTERVAL)}
    columns["mixture"] = st.column_config.TextColumn(width="medium")
    st.dataframe(rows, hide_index=True, column_config=columns, placeholder="–")
    st.caption(
        f"Predictions are from {moment.behind(search).runs} runs, units in brackets. *Measured*: the mean of the "
        f"*runs* at exactly that mixture, of the {len(measured.ids)} measured so far, with the noise between seeds "
        f"where that is known. *Place*: extrapolated where no "
        "run behind the prediction is as near as runs are to each other."
    )
