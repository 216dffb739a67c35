"""Change domains: a dialog that says what a study becomes on another corpus, what still counts and what it costs."""

import os

import streamlit as st

from dashboard.models import progress as queries
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.studies import domain_changes
from store import corpora, studies


@st.dialog("Change domains", width="large")
def change_domains(study: studies.Study) -> None:
    """Ask for the corpus and what becomes of each domain; show the plan; start it."""
    store = state.store()
    st.markdown(
        "When domains are added, split, removed or replaced, runs that still count are kept, the ratios of untouched "
        "domains are frozen, and only the touched ones are opened again (Olmix's reuse)."
    )
    built = [name for name in corpora.names(store) if corpora.manifest(store, name) and name != study.spec["corpus"]]
    if not built:
        st.info("Build a corpus with the new domains first, on the page Corpus.")
        return
    corpus = st.selectbox("Corpus with the new domains", built)
    try:
        plan = domain_changes.plan_change(store, study, corpus, ask_parts(study, corpus))
    except Problem as problem:
        parts.refusal(problem)
        return
    show(study, plan)
    if st.button("Start", type="primary", icon=":material/play_arrow:", **parts.takes("operator")):
        try:
            st.session_state["next_study"] = domain_changes.start_change(store, study, plan)
        except Problem as problem:
            parts.refusal(problem)
            return
        st.rerun()


def ask_parts(study: studies.Study, corpus: str) -> dict[str, dict[str, float]]:
    """What becomes of domains whose name is gone, or whose text is another: split into which, in which ratio."""
    manifest = corpora.manifest(state.store(), corpus)
    new = list(manifest["domains"])
    found = {}
    for domain in study.domains:
        if domain in new and domain_changes.same_text(study, manifest, domain):
            continue
        chosen = st.multiselect(
            f"What becomes of {parts.plain(domain)}",
            new,
            key=f"into-{corpus}-{domain}",
            placeholder="removed, or replaced by something else",
        )
        if chosen:  # in the ratio in which its parts are there: that is how it was sampled
            tokens = {name: manifest["domains"][name]["train_tokens"] for name in chosen}
            found[domain] = {name: count / sum(tokens.values()) for name, count in tokens.items()}
    return found


def show(study: studies.Study, plan: domain_changes.Succession) -> None:
    """What stays, what is opened, what it costs against starting anew."""
    change, cores = plan.change, os.cpu_count() or 1
    said = {
        "Opened again": change.touched,
        "Frozen together": change.unchanged,
        "Removed": change.removed,
    }
    for words, names in said.items():
        if names:
            st.markdown(f"**{words}**: {parts.plain(', '.join(names))}")
    anew = domain_changes.SPARE * plan.reuse.anew
    store, fidelity = state.store(), plan.spec.fidelity
    minutes = [queries.cost(store, fidelity, count, queries.BYTES, cores).minutes for count in (plan.count, anew)]
    time = "" if None in minutes else f" (about {' against '.join(parts.duration(60 * m) for m in minutes)})"
    st.markdown(
        f"**{len(plan.ids)} of {study.done} runs still count.** {plan.count} new ones are trained, and the baselines; "
        f"starting anew would take {anew}{time}."
    )
    unknown = [name for name, known in zip(change.new, plan.known, strict=True) if not known]
    if unknown:
        st.caption(
            f"The losses of {parts.plain(', '.join(unknown))} were not measured by the runs that are kept: their "
            "surrogates learn from the new runs only."
        )
