"""What a source of text would be worth before a proxy has seen it: asked on Next runs."""

import streamlit as st

from dashboard.models import wording
from dashboard.models.units import with_ends
from dashboard.server import state
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.spec.objectives import Aggregate
from engine.studies import price_ledger
from engine.studies.source_value import SHARE, Value, value_source
from store import corpora, studies


def new_source(study: studies.Study, aggregate: Aggregate) -> None:
    """Choose a domain of a built corpus; what a share of it is predicted to change."""
    with st.expander("Price a new source", icon=":material/add_shopping_cart:"):
        built = [name for name in corpora.names(state.store()) if corpora.manifest(state.store(), name)]
        left, middle, right = st.columns([2, 2, 1])
        corpus = left.selectbox("Corpus", built, None, key="source-corpus", placeholder="A built corpus")
        manifest = corpora.manifest(state.store(), corpus) if corpus else None
        domain = middle.selectbox("Domain", list(manifest["domains"]) if manifest else [], None, key="source-domain")
        share = right.number_input("Share", 0.001, 0.5, SHARE, 0.01, format="%.3f", key="source-share")
        if corpus is None or domain is None:
            st.caption(
                "What a share of any text would change, predicted from its contents before a proxy has seen it, by the "
                "runs of this study and of all comparable ones. Build a corpus of the text first."
            )
            return
        try:
            value = value_source(state.store(), study, corpus, domain, aggregate, share)
            registered = price_ledger.register(state.store(), study, corpus, domain, value, aggregate)
        except Problem as problem:
            refusal(problem)
            return
        show(value, aggregate)
        if registered is not None:
            st.caption(
                f"Written into the ledger ({registered[:12]}). Once a study with this domain has trained the mixture "
                "with it and without, *Ledger* shows what it measured; *Change domains* on the study's card adds both."
            )


def show(value: Value, aggregate: Aggregate) -> None:
    """The verdict, what it rests on, and the studies that do not count."""
    read, sign = reading(aggregate.unit), aggregate.sign
    low, high = sorted((read.gap(sign * value.low), read.gap(sign * value.high)))
    told = with_ends(read.gap(sign * value.change), [low, high], "+.4f")
    change = (
        f"{value.share:.1%} of {plain(value.source)}, taken from all domains of {plain(value.candidate)} "
        f"proportionally, is predicted to change the {plain(aggregate.title)} by {told} {plain(read.gap_unit)}, 95%"
    )
    box = {"better": st.success, "worse": st.warning}.get(value.verdict, st.info)
    box(f"**{value.verdict.capitalize()}.** {change}: {plain(value.why)}", icon=":material/inventory_2:")
    like = listed([f"{plain(str(one['domain']))} {one['share']:.0%}" for one in value.like], 4)
    st.caption(
        f"Runs determine {value.settled:.0%} of what such text could change. Its distance to the nearest mixture of "
        f"their text ({like}) is {value.distance:.2f}: 0 is the same, 1 has nothing in common."
    )
    counted = [(one, rank) for one, rank in value.studies if one.runs]
    st.caption(f"Based on {wording.counted(value.runs, 'run')} from {len(counted)} of {len(value.studies)} studies.")
    rows = [
        {
            "study": one.name,
            "runs": one.runs,
            "common metrics": len(one.metrics),
            "rank by the others' runs": rank,
            "does not count because": one.why or "",
        }
        for one, rank in value.studies
    ]
    st.dataframe(signed(rows, {"rank by the others' runs": ".2f"}), hide_index=True)
    for note in value.notes:
        st.caption(plain(note))
