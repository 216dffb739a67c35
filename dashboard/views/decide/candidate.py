"""One candidate: what was frozen, what was measured since, what people say, and the decision. Part of Candidates."""

import os

import numpy as np
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.components import drafts
from dashboard.components.plot import plot
from dashboard.models import wording
from dashboard.models.cost import BYTES, cost_of
from dashboard.models.names import Named, named_in
from dashboard.report import html as report
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.text import duration, named_as, plain, refusal
from engine.core.errors import Problem
from engine.core.people import acting
from engine.review import acts, confirming
from engine.review.dossier import dossier
from engine.review.evidence import CANDIDATE
from engine.spec.objectives import Aggregate, Objective, common_scale
from engine.studies.measured import for_fitting
from store import corpora, reviews, studies

# Of the states of a candidate.
BADGES = {
    "open": ":blue-badge[:material/forum: open]",
    "approved": ":green-badge[:material/verified: approved]",
    "rejected": ":red-badge[:material/block: rejected]",
    "superseded": ":gray-badge[:material/history: superseded]",
}
SAID = 20  # comments that are shown at first: the last ones
VERDICTS = {"approved": "Approve", "rejected": "Reject", "superseded": "Supersede"}


def render(study: studies.Study) -> bool:
    """The candidate that the link names; False (and why) where there is none in this study."""
    try:
        found = dossier(state.store(), st.query_params["candidate"])
    except Problem as problem:
        refusal(problem)
        return False
    if found["study"] != study.id:
        del st.query_params["candidate"]
        st.info(f"That candidate belongs to the study {named_as(found['frozen']['study_name'])}.")
        return False
    if st.button("All candidates", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["candidate"]
        st.rerun()
    head(found)
    frozen = found["frozen"]
    names, whole = named_in(frozen), Aggregate.from_dict(frozen["aggregate"])
    left, right = st.columns(2)
    with left:
        st.markdown("**The point and its baselines**")
        few = len(frozen["baselines"]) if frozen["kind"] == "mixture" else 2  # bars of merges stand side by side
        others = {label: there["point"] for label, there in list(frozen["baselines"].items())[:few]}
        values = np.array([frozen["point"], *others.values()])
        labels = [frozen["name"], *others]
        plot(review_charts.points(frozen["kind"], labels, names, values), key="candidate-point")
    with right:
        predicted(study, frozen, names, whole)
    for caveat in frozen["caveats"]:
        st.caption(f":material/warning: {plain(caveat)}")
    measured(study, found, names, whole)
    talk, verdict = st.columns([3, 2])
    with talk:
        discussion(found)
    with verdict:
        decision(study, found)
    history(found)
    take_along(study, found)
    return True


def head(found: dict) -> None:
    """Name, state, who and why."""
    frozen, standing = found["frozen"], found["standing"]
    st.title(named_as(frozen["name"]), anchor=False)
    st.markdown(
        f"{BADGES[standing['state']]} put forward by **{named_as(frozen['author'])}**, {wording.moment(found['t'])}"
    )
    st.text(frozen["rationale"])


def predicted(study: studies.Study, frozen: dict, names: Named, whole: Aggregate) -> None:
    """Every metric against a baseline, as it was frozen."""
    baseline = st.selectbox("Predicted, against", list(frozen["baselines"]), key="candidate-baseline")
    gap = frozen["baselines"][baseline]["difference"]
    scale = common_scale([Objective(**one) for one in frozen["metrics"]], for_fitting(state.store(), study.id).losses)
    side = "left" if scale.better == "lower" else "right"
    figure = review_charts.intervals(
        names.metrics,
        [names.colours[one] for one in names.metrics],
        [("predicted", scale.factor * np.array(gap["mean"]), np.abs(scale.factor) * 1.96 * np.array(gap["std"]))],
        f"difference to {baseline}, {scale.unit} ({side} is better)",
        scale.unit,
    )
    plot(figure, key="candidate-predicted")
    behind = frozen["surrogate"]
    verdict = "**inside the noise**" if gap["inside_noise"] else "outside the noise (95%)"
    st.caption(
        f"{whole.title.capitalize()}: {plain(wording.predicted_words(frozen['predicted'], whole))}, "
        f"{wording.number(whole.sign * gap['aggregate'], '+')} ± {wording.number(1.96 * gap['aggregate_std'])} against "
        f"{plain(baseline)}, {verdict}. {behind['title']} on {behind['runs']} runs "
        f"({behind['runs_hash']}); hollow marks are inside the noise."
    )


def measured(study: studies.Study, found: dict, names: Named, whole: Aggregate) -> None:
    """What confirmations measured, beside what was promised."""
    st.subheader("Predicted against measured", anchor=False)
    if not found["evidence"]:
        st.info("Nothing was measured since it was put forward: these are predictions.", icon=":material/science:")
    for place, one in enumerate(found["evidence"]):
        with st.container(border=True):
            at_one_size(one, found["frozen"], names, whole, place)
    ask(study, found)


def at_one_size(one: dict, frozen: dict, names: Named, whole: Aggregate, place: int) -> None:
    """The gap at the proxies' size; differences to the baselines at every size."""
    st.markdown(f"**{wording.size_words(one)}**")
    if one["done"] < one["runs"]:
        st.progress(one["done"] / one["runs"], text=f"{one['done']} of {one['runs']} runs are in")
    if CANDIDATE not in one["points"]:
        return
    if one["gap"]:
        told = plain(wording.gap_words(one, whole))
        (st.warning if one["gap"]["outside"] else st.success)(told, icon=":material/balance:")
    rows = []
    for name, gap in one["differences"].items():
        half = gap["measured_half"]
        rows.append(
            {
                "against": name,
                "predicted": whole.sign * gap["predicted"],
                "± 95%": gap["predicted_half"],
                "measured": whole.sign * gap["measured"],
                "± 95% ": half,
                "": "noise not known"
                if half is None
                else "inside the noise"
                if gap["inside_noise"]
                else "better"
                if gap["measured"] < 0
                else "worse",
            }
        )
    number = st.column_config.NumberColumn(format="%+.3f")
    plus = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        rows,
        hide_index=True,
        column_config={"predicted": number, "measured": number, "± 95%": plus, "± 95% ": plus},
    )
    seeds = one["points"][CANDIDATE]["seeds"]
    st.caption(
        f"{whole.title.capitalize()}, {plain(whole.unit)} ({whole.better} is better), minus the baseline's; "
        f"{wording.counted(seeds, 'seed')} of the candidate, {wording.counted(one['done'], 'run')} in all."
        " Only runs trained to confirm it count."
    )
    if one["gap"]:
        gap = one["gap"]
        figure = review_charts.intervals(
            names.metrics,
            [names.colours[metric] for metric in names.metrics],
            [("measured minus predicted", np.array(gap["mean"]), np.array(gap["half"]))],
            "measured minus predicted, in each metric's unit (0: as promised)",
            "",
        )
        plot(figure, key=f"candidate-gap-{place}")


def ask(study: studies.Study, found: dict) -> None:
    """Confirm it, and what that will cost."""
    if study.imported:
        return
    if study.kind == "merge":
        ask_merge(study, found)
        return
    with st.expander("Measure it: several seeds, beside the baselines", icon=":material/verified:"):
        a, b = st.columns(2)
        times = a.select_slider("Also larger, times a proxy's size", [2, 4, 8], 4, key="candidate-times")
        seeds = int(b.number_input("Seeds each", 1, 10, 3, key="candidate-seeds"))
        try:
            plans = confirming.plans(state.store(), found["id"], times, seeds)
        except Problem as problem:
            refusal(problem)
            return
        manifest = corpora.manifest(state.store(), study.spec["corpus"])
        vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else BYTES
        prices = [cost_of(state.store(), p.fidelity, p.runs, vocabulary, os.cpu_count() or 1) for p in plans]
        unknown = any(price.minutes is None for price in prices)
        time = "an unknown time" if unknown else f"about {duration(60 * sum(p.minutes for p in prices))}"
        st.caption(
            f"{sum(plan.runs for plan in plans)} runs at the proxies' size and {times} times as large: at most {time} "
            "on this machine. Baselines that were trained before are not trained again."
        )
        confirm_button(found, times, seeds)


def ask_merge(study: studies.Study, found: dict) -> None:
    """Confirm a merge: it has no seeds, only more text."""
    with st.expander("Measure it: on all validation text, beside the baselines", icon=":material/verified:"):
        count = 1 + len(found["frozen"]["baselines"])
        st.caption(f"{count} merges, each built once. What was measured before is kept.")
        confirm_button(found, 1, 1)


def confirm_button(found: dict, times: float, seeds: int) -> None:
    """Queue it, or say why not."""
    if st.button("Confirm", type="primary", icon=":material/verified:", **needs_role("operator")):
        try:
            confirming.confirm(state.store(), found["id"], times, seeds)
        except Problem as problem:
            refusal(problem)
            return
        st.rerun()


def discussion(found: dict) -> None:
    """What people say, oldest first, and a box to say more. What cannot be taken stays in the box."""
    st.subheader("Discussion", anchor=False)
    earlier = found["comments"][:-SAID]
    if earlier and not st.toggle(f"Show {len(earlier)} earlier comments", key=f"earlier-{found['id']}"):
        earlier = []
    for one in earlier + found["comments"][-SAID:]:
        with st.container(border=True):
            st.caption(f"**{named_as(one['author'])}**, {wording.moment(one['t'])}")
            st.text(one["text"])
    box = f"comment-{found['id']}"
    with st.form(f"form-{box}", border=False):
        st.text_area(f"Comment as {acting().name}", key=box)
        st.form_submit_button(
            "Comment", icon=":material/chat:", on_click=say, args=(found["id"], box), **needs_role("reviewer")
        )
    drafts.keep(box, box)
    told(box)


def say(candidate: str, box: str) -> None:
    """Store a comment, and empty its box; what cannot be taken stays in it."""
    try:
        acts.comment(state.store(), candidate, st.session_state[box])
    except Problem as problem:
        st.session_state[f"{box}-problem"] = str(problem)
        return
    st.session_state[box] = ""
    drafts.forget(box)


def told(box: str) -> None:
    """Why what was typed into a box could not be taken."""
    if problem := st.session_state.pop(f"{box}-problem", None):
        refusal(problem)


def decision(study: studies.Study, found: dict) -> None:
    """Where it stands, and a form to decide on what is seen here."""
    seen = found["revision"]
    st.subheader("Decision", anchor=False)
    standing = found["standing"]
    stands(standing)
    box = f"reason-{found['id']}"
    others = {one.id: one.frozen["name"] for one in reviews.of_study(state.store(), study.id) if one.id != found["id"]}
    with st.form(f"form-{box}", border=False):
        choices = [one for one in VERDICTS if others or one != "superseded"]
        st.segmented_control("Decide", choices, format_func=VERDICTS.get, key=f"{box}-verdict")
        st.text_area("Because", key=box, height=80)
        if others:
            st.selectbox(
                "Superseded by (where that is the decision)",
                [None, *others],
                key=f"{box}-successor",
                format_func=lambda one: "-" if one is None else others[one],
            )
        given = (found["id"], box, seen)
        st.form_submit_button(
            "Decide", type="primary", icon=":material/gavel:", on_click=settle, args=given, **needs_role("reviewer")
        )
    drafts.keep(box, box)
    told(box)


def settle(candidate: str, box: str, seen: str) -> None:
    """Decide on what was seen, and empty the box; what cannot be taken stays in it."""
    typed = st.session_state
    verdict, successor = typed.get(f"{box}-verdict") or "", typed.get(f"{box}-successor")
    try:
        acts.decide(state.store(), candidate, verdict, typed[box], seen, successor)
    except Problem as problem:
        typed[f"{box}-problem"] = str(problem)
        return
    typed[box], typed[f"{box}-verdict"] = "", None
    drafts.forget(box)


def stands(standing: dict) -> None:
    """The last decision and the approvals so far."""
    st.markdown(BADGES[standing["state"]])
    for person, one in standing["approvals"].items():
        with st.container(border=True):
            st.caption(f":material/check: **{named_as(person)}** approved, {wording.moment(one['t'])}")
            st.text(one["reason"])
    last = standing["decided"]
    if last and last["verdict"] != "approved":
        with st.container(border=True):
            st.caption(f"**{named_as(last['author'])}**: {last['verdict']}, {wording.moment(last['t'])}")
            st.text(last["reason"])
    if standing["missing"]:
        st.caption(f"Approval still needs {plain(standing['missing'])}.")


def take_along(study: studies.Study, found: dict) -> None:
    """The report, made when it is asked for, and the way to the files."""
    with st.container(horizontal=True):
        st.download_button(
            "Download the report",
            lambda: report.html(found),
            f"{found['id']}-report.html",
            "text/html",
            icon=":material/description:",
            help="One HTML file that opens without a network, and prints.",
        )
        query = {"study": study.id, "candidate": found["frozen"]["name"]}
        if st.button("Export", icon=":material/ios_share:"):
            st.switch_page(st.session_state["pages"]["export"], query_params=query)


def history(found: dict) -> None:
    """Who did what when; nothing is ever taken back."""
    with st.expander(f"History, {wording.counted(len(found['history']), 'line')}", icon=":material/history:"):
        rows = [
            {
                "when": wording.moment(one["t"]),
                "who": one["author"],
                "did": wording.did(one),
                "words": wording.words(one),
            }
            for one in found["history"]
        ]
        st.dataframe(rows, hide_index=True)
        st.caption(
            f"Frozen as {found['id']}, the beginning of the SHA-256 of all that was written down when it was put "
            "forward. Journals keep every line; nothing is edited or removed."
        )
