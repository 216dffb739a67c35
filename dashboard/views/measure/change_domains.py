"""Change domains: a dialog that moves a study to another corpus, and says which runs still count and what it costs."""

import os

import streamlit as st

from dashboard.models.cost import BYTES, cost_of
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.text import duration, plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.studies import domain_changes
from store import corpora, studies


@dialog("Change domains", width="large")
def change_domains(study: studies.Study) -> None:
    """Ask for the corpus and what replaces each domain; show the plan; start it."""
    store = state.store()
    st.markdown(
        "When domains are added, split, removed or replaced, runs that still count are kept, the ratios of unchanged "
        "domains are frozen, and only the changed ones are searched again (as in Olmix)."
    )
    built = [name for name in corpora.names(store) if corpora.manifest(store, name) and name != study.spec["corpus"]]
    if not built:
        nothing_yet("Build a corpus with the new domains first.", study, corpus="To Corpus")
        return
    corpus = st.selectbox("Corpus with the new domains", built)
    try:
        plan = domain_changes.plan_change(store, study, corpus, ask_parts(study, corpus))
    except Problem as problem:
        refusal(problem)
        return
    show(study, plan)
    if st.button("Start", type="primary", icon=":material/play_arrow:", **needs_role("operator")):
        try:
            st.session_state["next_study"] = domain_changes.start_change(store, study, plan)
        except Problem as problem:
            refusal(problem)
            return
        st.rerun()


def ask_parts(study: studies.Study, corpus: str) -> dict[str, dict[str, float]]:
    """What replaces each domain that is gone or whose text has changed: {domain: {part: ratio}}."""
    manifest = corpora.manifest(state.store(), corpus)
    new = list(manifest["domains"])
    found = {}
    for domain in study.domains:
        if domain in new and domain_changes.same_text(study, manifest, domain):
            continue
        chosen = st.multiselect(
            f"What replaces {plain(domain)}",
            new,
            key=f"into-{corpus}-{domain}",
            placeholder="nothing: it is removed",
        )
        if chosen:  # in the ratio in which its parts are there: that is how it was sampled
            tokens = {name: manifest["domains"][name]["train_tokens"] for name in chosen}
            found[domain] = {name: count / sum(tokens.values()) for name, count in tokens.items()}
    return found


def show(study: studies.Study, plan: domain_changes.Succession) -> None:
    """What stays, what is searched again, and the cost beside that of starting over."""
    change, cores = plan.change, os.cpu_count() or 1
    said = {
        "Searched again": change.touched,
        "Frozen ratios": change.unchanged,
        "Removed": change.removed,
    }
    for words, names in said.items():
        if names:
            st.markdown(f"**{words}**: {plain(', '.join(names))}")
    from_scratch = domain_changes.SPARE * plan.reuse.from_scratch
    store, fidelity = state.store(), plan.spec.fidelity
    minutes = [cost_of(store, fidelity, count, BYTES, cores).minutes for count in (plan.count, from_scratch)]
    time = "" if None in minutes else f" (about {' instead of '.join(duration(60 * m) for m in minutes)})"
    st.markdown(
        f"**{len(plan.ids)} of {study.done} runs still count.** {plan.count} new runs and the baselines are trained; "
        f"starting over would take {from_scratch} runs{time}."
    )
    if plan.priced:
        st.caption(
            f"{counted(len(plan.priced), 'mixture')} at which new sources were priced will also be trained: *Ledger* "
            "then compares the prices with what was measured."
        )
    unknown = [name for name, known in zip(change.new, plan.known, strict=True) if not known]
    if unknown:
        st.caption(
            f"The runs that are kept did not measure the losses of {plain(', '.join(unknown))}: their surrogates learn "
            "from the new runs only."
        )
