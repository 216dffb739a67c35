"""Review: candidates one by one in large type, for a room or a call; arrow keys to navigate."""

import numpy as np
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.models import wording
from dashboard.models.names import named_in
from dashboard.server import state
from dashboard.views.decide import deciding
from dashboard.views.decide.deciding import badge
from dashboard.views.decide.frozen import levels
from dashboard.views.shared import presence
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import watch
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import study_of
from dashboard.views.shared.text import named_as, plain
from dashboard.views.shared.units import reading
from engine.review.dossier import dossier
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from store import reviews, studies

LARGE = """<style>
.st-key-session p, .st-key-session li, .st-key-session [data-testid="stText"] { font-size: 1.5rem; line-height: 1.5; }
.st-key-session h1 { font-size: 3.6rem; }
.st-key-session [data-testid="stMetricValue"], .st-key-session [data-testid="stMetricValue"] p { font-size: 2.7rem; }
.st-key-session [data-testid="stMetricLabel"] p, .st-key-session [data-testid="stMetricDelta"] { font-size: 1.25rem; }
.st-key-session [data-testid="stColumn"]:has(.mixdesk-plot, .mixdesk-meters) { min-width: min(100%, 30rem); }
.st-key-session .mixdesk-meters table { font-size: 1.15rem; }
.st-key-session .mixdesk-meters :is(caption, table.many) { font-size: 1rem; }
.st-key-session .mixdesk-meters :is(th, td) { height: 2rem; }
@media (max-width: 640px) {
  .st-key-session .mixdesk-meters table { font-size: 0.9rem; }
  .st-key-session h1 { font-size: 2.4rem; }
  .st-key-session [data-testid="stMetricValue"], .st-key-session [data-testid="stMetricValue"] p { font-size: 1.9rem; }
  .st-key-session-numbers { row-gap: 0.8rem; }
  /* On a phone the candidate comes first; what leads on stays under the thumb, and there are no arrow keys. */
  :has(> .st-key-review-navigation) { order: 1; position: sticky; bottom: 0; z-index: 1; padding: 0.5rem 0; }
  :has(> .st-key-review-navigation) { background: var(--mixdesk-page); }
  :has(> .st-key-room-link) { order: 2; }
  .st-key-review-keys { display: none; }
}
</style>"""
ORDER = ("open", "approved", "rejected", "superseded")  # undecided ones first


def render(name: str | None) -> None:
    if (study := study_of(name)) is None:
        st.title("Review")
        return
    store = state.store()
    presence.room()
    watch(lambda: reviews.state(store, study.id))
    found = [dossier(store, one.id) for one in reviews.of_study(store, study.id)]
    if not found:
        st.title("Review")
        words = "No candidates yet, so there is nothing to review: *Nominate* on Explore makes one."
        nothing_yet(words, study, explore="To Explore", search="To Search")
        return
    found.sort(key=lambda one: (ORDER.index(one["standing"]["state"]), one["t"]))
    ids = [one["id"] for one in found]
    linked = st.query_params.get("candidate")
    at = navigated(ids, ids.index(linked) if linked in ids else 0)
    st.html(LARGE)
    with st.container(key="session"):
        show(study, found[at])


def navigated(ids: list[str], at: int) -> int:
    """Buttons and keys to go back and forth; the link keeps the place."""
    key = "review-navigation"
    row = st.container(horizontal=True, vertical_alignment="center", gap="small", key=key)  # one line, also on a phone
    if row.button("Back", shortcut="Left", icon=":material/arrow_back:", disabled=at == 0):
        at -= 1
    if row.button("Next", shortcut="Right", icon=":material/arrow_forward:", disabled=at == len(ids) - 1):
        at += 1
    if row.button("Open", shortcut="O", icon=":material/forum:", help="Discuss and decide"):
        query = {"study": st.query_params["study"], "candidate": ids[at]}
        st.switch_page(st.session_state["pages"]["candidates"], query_params=query)
    if st.query_params.get("candidate") != ids[at]:
        st.query_params["candidate"] = ids[at]
        st.rerun()  # so that the buttons know where they are
    row.markdown(f"{at + 1} of {len(ids)}", width="content")
    keys = row.container(key="review-keys", width="content")
    keys.markdown("arrow keys to navigate, **O** opens the discussion", width="content")
    return at


def show(study: studies.Study, found: dict) -> None:
    """One candidate, readable across a room."""
    frozen, standing = found["frozen"], found["standing"]
    names, aggregate = named_in(frozen), Aggregate.from_dict(frozen["aggregate"])
    st.title(named_as(frozen["name"]), anchor=False)
    missing = f" · {plain(wording.needed(standing['missing']))}" if standing["missing"] else ""
    st.markdown(f"{badge(standing)} nominated by {named_as(frozen['author'])}{missing}")
    st.text(frozen["rationale"])
    deciding.direct(found["id"], frozen["author"], standing, found["rules"], found["revision"])
    numbers(found, aggregate)
    first = next(iter(frozen["baselines"]))
    base = frozen["baselines"][first]
    left, right = st.columns(2)
    with left:
        shown = wording.places_of(frozen, frozen["name"]) | {first: base["point"]}
        figure = review_charts.points(frozen["kind"], list(shown), names, np.array(list(shown.values())))
        plot(large(figure), key="session-point")
    with right:
        levels(study, frozen, first, "session-losses")
    for caveat in frozen["caveats"]:
        st.markdown(f":material/warning: {plain(caveat)}")
    if found["comments"]:
        last = found["comments"][-1]
        st.markdown(f"{wording.counted(len(found['comments']), 'comment')}, the last by {named_as(last['author'])}:")
        st.text(last["text"][:600] + ("…" if len(last["text"]) > 600 else ""))


def large(figure):
    """A figure with text large enough for a room."""
    return figure.update_layout(font_size=18, height=figure.layout.height + 90, xaxis_title_font_size=16)


def numbers(found: dict, aggregate: Aggregate) -> None:
    """Predicted, against the first baseline, and measured, each with its verdict."""
    frozen = found["frozen"]
    line = st.container(horizontal=True, gap="large", key="session-numbers")  # breaks where numbers would be cut
    value, half = aggregate.sign * frozen["predicted"]["aggregate"], ci_half_width(frozen["predicted"]["aggregate_std"])
    read = reading(aggregate.unit)
    title = f"{aggregate.title.capitalize()}, predicted ({plain(read.unit)})"
    line.metric(title, read.words(value, half), width="content")
    name, base = next(iter(frozen["baselines"].items()))
    gap = base["difference"]
    inside, better = gap["inside_noise"], gap["aggregate"] < 0
    line.metric(
        f"vs. {name}, predicted",
        read.gap_words(aggregate.sign * gap["aggregate"], ci_half_width(gap["aggregate_std"])),
        "within noise" if inside else "better" if better else "worse",
        delta_color="off" if inside else "normal" if better else "inverse",
        delta_arrow="off",
        width="content",
    )
    own = next((one for one in found["evidence"] if one["own"] and one["gap"]), None)
    if own is None:
        elsewhere(line, found["evidence"], name, aggregate)
        return
    measured = own["gap"]
    line.metric(
        "Measured minus predicted",
        read.gap_words(aggregate.sign * measured["aggregate"], measured["aggregate_half"]),
        "outside the predicted interval" if measured["outside"] else "as predicted",
        delta_color="inverse" if measured["outside"] else "normal",
        delta_arrow="off",
        width="content",
    )


def elsewhere(line, evidence: list[dict], name: str, aggregate: Aggregate) -> None:
    """If not measured at the proxies' size: the difference to the first baseline at another size, or "not yet"."""
    gap = next((one["differences"][name] for one in evidence[::-1] if name in one["differences"]), None)
    if gap is None:
        said = {"delta": "these are predictions", "delta_color": "off", "delta_arrow": "off"}
        line.metric("Measured", "not yet", **said, width="content")
        return
    text = reading(aggregate.unit).gap_words(aggregate.sign * gap["measured"], gap["measured_half"])
    line.metric(f"vs. {plain(name)}, measured", text, width="content")
