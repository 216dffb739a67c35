"""New study of an external trainer: its domains, what its runs measure, a design with a live preview, constraints."""

import contextlib
import dataclasses

import streamlit as st

from dashboard.models import wording
from dashboard.models.external_form import domain_lines, domains_in, measure_lines, measures_in
from dashboard.server import state
from dashboard.views.measure.bounds import ask_bounds
from dashboard.views.measure.points import ask_design, ask_repeats, preview
from dashboard.views.measure.target import ask_budget, ask_counts, ask_priorities
from dashboard.views.shared.buttons import start_button
from dashboard.views.shared.target import text_notes
from engine.core.errors import Problem
from engine.core.short_names import short_count
from engine.spec.external import EXTERNAL, SIZE, text_given
from engine.spec.frame import frame_of
from engine.spec.study import StudySpec, chosen_domains, planned_roles
from store import corpora

NAMED = "domains named here"
USUAL = StudySpec(
    name="My study",
    fidelity=None,
    trainer=EXTERNAL,
    corpus=None,
    domains=("web", "code"),
    size=dict(zip(SIZE, (1e9, 2e10), strict=True)),
)


def form(start: StudySpec | None) -> None:
    """Ask for the settings, say what it means, start it. start: what stands there first; None: nothing. Raises Problem
    for settings that do not fit together."""
    st.caption(
        "Mixdesk trains none of these runs: it plans them, writes each as a recipe of your loader with a manifest "
        "(*Runs*), and takes results by the runs' ids, from the API, a file, a folder or a tracker. Fits, search and "
        "*Next runs* follow by themselves. What needs Mixdesk's own training is not asked for: proxies with their "
        "metrics and tasks, phases, dose runs; nor are there confirmations and rivals."
    )
    if (asked := ask(start)) is None:
        return
    spec, domains, corpus = asked
    frame = None
    with contextlib.suppress(Problem):  # the preview says why
        frame = frame_of(spec, domains, corpus)
    roles = planned_roles(spec, frame)
    count = sum(roles.values())
    parameters, tokens = (spec.size[name] for name in SIZE)
    st.markdown(
        f"**{wording.planned_words(roles)} for your trainer**, each of {short_count(parameters)} parameters on "
        f"{short_count(tokens)} tokens: {short_count(count * tokens)} tokens, "
        f"{6 * parameters * tokens * count:.2g} FLOPs (6 × parameters × tokens)."
    )
    if frame is not None:
        text_notes(spec, frame)
    if spec.runs < 3 * (len(domains) + 1):
        st.warning(f"With {len(domains)} domains, the smooth surrogates need at least {3 * (len(domains) + 1)} runs.")
    start_button(spec)


def ask(start: StudySpec | None) -> tuple[StudySpec, list[str], dict] | None:
    """The settings, the domains, and what says how much text there is; None while domains are still to be named, or the
    corpus is not built."""
    before = start or USUAL
    left, right = st.columns(2)
    name = left.text_input("Name", before.name, max_chars=80)
    known = [NAMED, *corpora.names(state.store())]
    place = known.index(before.corpus) if before.corpus in known else 0
    corpus = right.selectbox("Text", known, place, help="Domains that your loader knows, or those of a corpus here.")
    text = ask_named(start) if corpus == NAMED else ask_corpus(corpus, before)
    measured = {"size": ask_size(before), "measures": ask_measures(before)}
    if text is None:
        return None
    settings, domains, manifest = text
    design_tab, limits_tab, runs_tab = st.tabs(["Design", "Constraints and target", "Repeats and seed"])
    with limits_tab:
        limits = ask_limits(domains, manifest, before, measured["measures"])
    with runs_tab:
        repeats = ask_repeats(*st.columns(3), before)
    with design_tab:
        runs = st.slider("Mixtures to train", 8, max(512, before.runs), before.runs, help="One run for each.")
        found = {**settings, **measured, **limits, **ask_design(before), **repeats}
        spec = dataclasses.replace(before, name=name, runs=runs, **found)
        facts = text_given(spec) if manifest is None else manifest
        preview(spec, domains, facts)
    return spec, domains, facts


def ask_named(start: StudySpec | None) -> tuple[dict, list[str], None] | None:
    """Domains that are named, with the text that there is of each."""
    first = "" if start is None or start.corpus is not None else domain_lines(start)
    text = st.text_area(
        "Domains, one per line",
        first,
        placeholder="web = 8e12\ncode = 1e12\nbooks = 2e11",
        help="With the tokens that the real run has of each, or with shares of the natural mixture (web = 60%), or the "
        "names alone. The counts that count-tokens writes may be pasted.",
    )
    if not text.strip():
        st.caption("Name two or more domains, and the design appears here.")
        return None
    found = domains_in(text)
    return {"corpus": None, **found._asdict()}, list(found.domains), None


def ask_corpus(name: str, before: StudySpec) -> tuple[dict, list[str], dict] | None:
    """Domains of a corpus here, whose counts stand for the text until others are given."""
    if (manifest := corpora.manifest(state.store(), name)) is None:
        st.caption(f"The corpus {name} is not built yet. Its domains appear here once it is.")
        return None
    there = list(manifest["domains"])
    own = [domain for domain in there if before.corpus == name and domain in before.domains] or there
    chosen = st.multiselect("Domains", there, default=own)
    domains = () if chosen == there else tuple(chosen)
    spec = dataclasses.replace(
        before, corpus=name, prior={}, domains=domains, available_tokens={}, priorities={}, bounds={}, groups=()
    )
    return {"corpus": name, "domains": domains, "prior": {}}, chosen_domains(spec, manifest), manifest


def ask_size(before: StudySpec) -> dict[str, float]:
    """The parameters and tokens of every run."""
    labels = ("Parameters of each run", "Tokens of each run")
    places = zip(SIZE, labels, st.columns(2), strict=True)
    return {
        name: place.number_input(label, 1.0, 1e18, float(before.size[name]), format="%.3g")
        for name, label, place in places
    }


def ask_measures(before: StudySpec) -> tuple[dict, ...]:
    """What every run measures; nothing: the loss of each domain."""
    first = measure_lines(before)
    text = st.text_area(
        "What is measured, one per line; nothing: the loss of each domain, in bits per byte",
        first,
        height=80,
        placeholder="hellaswag | accuracy | higher",
        help="The metric's name in your results, its unit, and lower or higher, whichever is better; for the loss of a "
        "domain with a name of its own, the domain as a fourth part.",
    )
    return before.measures if text == first else measures_in(text)


def ask_limits(domains: list[str], manifest: dict | None, before: StudySpec, measures: tuple[dict, ...]) -> dict:
    """The real run, what counts, and bounds of shares."""
    found = ask_budget(*st.columns(2), before)
    if manifest is not None:
        found["available_tokens"] = ask_counts(domains, manifest, before)
    if measures:
        metrics = [one["metric"] for one in measures]
        found["priorities"] = {name: value for name, value in before.priorities.items() if name in metrics}
        st.caption("Priorities of what is measured are given in the sidebar, once it is planned.")
    else:
        found |= ask_priorities(domains, before, manifest and manifest["domains"])
    return found | ask_bounds(domains, before)
