"""One candidate: what was frozen, measured since and said about it, and the decision. Part of Candidates."""

import numpy as np
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.components import drafts
from dashboard.models import wording
from dashboard.models.names import named_in
from dashboard.report import html as report
from dashboard.server import state
from dashboard.views.decide import deciding, evidence
from dashboard.views.decide.deciding import badge
from dashboard.views.decide.frozen import levels
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.plot import plot
from dashboard.views.shared.refused import attempt, show_refusal
from dashboard.views.shared.text import local, named_as, plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.people import acting
from engine.core.short_names import listed, slug
from engine.review import acts
from engine.review.dossier import dossier
from engine.review.mentions import known_people, unknown
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.desk_file import desk_of
from store import studies

SHOWN = 20  # latest comments; earlier ones on request
MENTIONED = 12  # people offered below the box


def render(study: studies.Study) -> bool:
    """The candidate in the link; False, with the reason shown, if this study has none by that id."""
    try:
        found = dossier(state.store(), st.query_params["candidate"])
    except Problem as problem:
        refusal(problem)
        return False
    if found["study"] != study.id:
        del st.query_params["candidate"]
        st.info(f"This candidate belongs to the study {named_as(found['frozen']['study_name'])}.")
        place = (found["study"], found["id"])
        st.button("Open it there", icon=":material/arrow_forward:", on_click=open_in, args=place)
        return False
    if st.button("All candidates", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["candidate"]
        st.rerun()
    head(found)
    frozen = found["frozen"]
    names, aggregate = named_in(frozen), Aggregate.from_dict(frozen["aggregate"])
    left, right = st.columns(2)
    with left:
        st.markdown("**The point and its baselines**")
        few = len(frozen["baselines"]) if frozen["kind"] == "mixture" else 2  # bars of merges stand side by side
        others = {label: there["point"] for label, there in list(frozen["baselines"].items())[:few]}
        shown = wording.places_of(frozen, frozen["name"]) | others
        plot(
            review_charts.points(frozen["kind"], list(shown), names, np.array([*shown.values()])), key="candidate-point"
        )
    with right:
        predicted(study, frozen, aggregate)
    for caveat in frozen["caveats"]:
        st.caption(f":material/warning: {plain(caveat)}")
    evidence.measured(study, found, aggregate)
    talk, verdict = st.columns([3, 2])
    with talk:
        discussion(found)
    with verdict:
        deciding.decision(study, found)
    history(found)
    take_along(study, found)
    return True


def open_in(study: str, candidate: str) -> None:
    """Choose the study, and open a candidate of it."""
    st.session_state["next_study"], st.query_params["candidate"] = study, candidate


def head(found: dict) -> None:
    """Name, state, who and why."""
    frozen, standing = found["frozen"], found["standing"]
    st.title(named_as(frozen["name"]), anchor=False)
    st.markdown(f"{badge(standing)} nominated by **{named_as(frozen['author'])}**, {local(found['t'])}")
    st.text(frozen["rationale"])


def predicted(study: studies.Study, frozen: dict, aggregate: Aggregate) -> None:
    """Every metric against a baseline, as it was frozen."""
    baseline = st.selectbox("Predicted, compared with", list(frozen["baselines"]), key="candidate-baseline")
    gap = frozen["baselines"][baseline]["difference"]
    levels(study, frozen, baseline, "candidate-predicted")
    behind, read = frozen["surrogate"], reading(aggregate.unit)
    verdict = "**within noise**" if gap["inside_noise"] else "beyond noise (95%)"
    st.caption(
        f"{plain(aggregate.title.capitalize())}: "
        f"{plain(wording.predicted_words(frozen['predicted'], aggregate, read))}, "
        f"{read.gap_words(aggregate.sign * gap['aggregate'], ci_half_width(gap['aggregate_std']))} vs. "
        f"{plain(baseline)}, {verdict}. {plain(behind['title'])} on "
        f"{wording.counted(behind['runs'], wording.RUN[frozen['kind']])} ({behind['runs_hash']})."
        f"{read.note}"
    )


def discussion(found: dict) -> None:
    """The comments, oldest first, and a box for another one; refused text stays in the box."""
    st.header("Discussion", anchor=False)
    earlier = found["comments"][:-SHOWN]
    if earlier and not st.toggle(f"Show {len(earlier)} earlier comments", key=f"earlier-{found['id']}"):
        earlier = []
    for one in earlier + found["comments"][-SHOWN:]:
        with st.container(border=True):
            st.caption(f"**{named_as(one['author'])}**, {local(one['t'])}")
            st.text(one["text"])
    box = f"comment-{found['id']}"
    with st.form(f"form-{box}", border=False):
        st.text_area(f"Comment as {plain(acting().name)}", key=box)
        st.caption(plain(f"Mention with @: {listed(known_people(state.store()), MENTIONED)}"))
        st.form_submit_button(
            "Comment", icon=":material/chat:", on_click=say, args=(found["id"], box), **needs_role("reviewer")
        )
    drafts.keep(box, box)
    if said := st.session_state.get(f"told-{box}"):
        st.caption(plain(said))
    show_refusal(box)


def say(candidate: str, box: str) -> None:
    """Store a comment and empty its box; refused text stays in it."""
    with attempt(box):
        text, people = st.session_state[box], known_people(state.store())
        notified, nobody = acts.comment(state.store(), candidate, text), unknown(text, people)
        said = f"In the inbox of {', '.join(notified)} now." if notified else ""
        said += f" Nobody here is called {', '.join(nobody)}." if nobody else ""
        st.session_state[f"told-{box}"] = said.strip()
        st.session_state[box] = ""
        drafts.forget(box)


def desk_or_reason(study: studies.Study, frozen: dict) -> dict | str:
    """What the report's faders need, or why it has none."""
    try:
        return desk_of(state.store(), study, frozen["surrogate"]["name"], frozen["aggregate"]["priorities"])
    except Problem as problem:
        return str(problem)


def take_along(study: studies.Study, found: dict) -> None:
    """The report, made on request, and the way to the files."""
    with st.container(horizontal=True):
        st.download_button(
            "Download report",
            lambda: report.html(found, desk_or_reason(study, found["frozen"])),
            f"{slug(found['frozen']['name'])}.html",
            "text/html",
            icon=":material/description:",
            help="One HTML file with working faders, that opens offline and prints well.",
        )
        query = {"study": study.id, "candidate": found["id"]}
        if st.button("Export", icon=":material/ios_share:"):
            st.switch_page(st.session_state["pages"]["export"], query_params=query)


def history(found: dict) -> None:
    """Who did what and when; nothing is ever removed."""
    with st.expander(f"History ({len(found['history'])})", icon=":material/history:", key="history"):
        rows = [
            {
                "when": local(one["t"]),
                "who": one["author"],
                "action": wording.did(one),
                "details": wording.words(one),
            }
            for one in found["history"]
        ]
        st.dataframe(rows, hide_index=True)
        st.caption(
            f"Frozen as {found['id']}, the start of the SHA-256 of everything recorded when it was nominated. Journals "
            "keep every line; nothing is edited or removed."
        )
