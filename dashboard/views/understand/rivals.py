"""Rivals of a study's answer: cost, mixtures and what the runs bought; on Explore the experts' average."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models.wording import fidelity_words, two_digits
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.refused import attempt, show_refusal
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import beside, counted, listed
from engine.spec.objectives import Aggregate
from engine.spec.rivals import RIVALS
from engine.spec.statistics import ci_half_width
from engine.studies import bought, rivals
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study
from engine.studies.rivals import Standing
from engine.surrogates.prediction import difference
from store import jobs, studies

ACTS = "rivals"
TITLES = {name: one.title for name, one in RIVALS.items()}
VERDICTS = {
    bought.BOUGHT: "the answer is better",
    bought.LOST: "the rival is better",
    bought.NOTHING: "within noise",
    bought.UNKNOWN: "unknown: one seed",
}


def section(study: studies.Study) -> None:
    """The methods, what each would cost, the mixtures that they found, and the button that finds them."""
    store = state.store()
    with st.expander("Rivals: mixtures found without many runs", icon=":material/swords:"):
        st.caption(
            "Methods that find a mixture from few runs, or none. Confirm their mixtures beside the study's own "
            "to see what its many runs bought. They know losses of domains and this study's own priorities."
        )
        found = rivals.standings(store, study)
        table(study, found)
        if left := rivals.left_out(study):
            st.caption(f"These methods do not see {plain(listed(left, 5))}, which counts here.")
        under_way(jobs.of_study(store, study.id), "rival", "Finding a mixture")
        show_refusal(ACTS)
        missing = [one for one in found if one.found is None and one.why is None and one.state not in jobs.UNFINISHED]
        if missing and not study.elsewhere:
            find(study, missing)


def table(study: studies.Study, found: list[Standing]) -> None:
    """A row for each method, with the shares that it found."""
    titles = beside(("method", "runs", "how"), named_of(study).coordinates, "domain")
    rows = [
        {
            "method": one.rival.title,
            "runs": two_digits(one.found.runs if one.found else one.runs) if one.found or one.runs is not None else "–",
            **{
                title: None if one.found is None else float(one.found.shares[place])
                for place, title in enumerate(titles)
            },
            "how": one.why or one.rival.summary + experts_words(one),
        }
        for one in found
    ]
    share = st.column_config.NumberColumn(format="percent")
    help_text = "What finding it takes, in runs of a proxy: reading a token is a third of training on it."
    columns = {**dict.fromkeys(titles, share), "runs": st.column_config.TextColumn(help=help_text)}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)
    if moved := [one.rival.title for one in found if one.found and one.found.moved > 0.005]:
        st.caption(f"The study's constraints moved what {plain(listed(moved, 4))} found by more than half a percent.")


def experts_words(one: Standing) -> str:
    """Whose experts a method used or would use."""
    made_by = one.found.made_by if one.found else one.made_by
    return f" With the experts of {made_by}." if made_by else ""


def find(study: studies.Study, missing: list[Standing]) -> None:
    """The button that queues what is missing."""
    runs = sum(one.runs or 0 for one in missing)
    said = f"Find {counted(len(missing), 'mixture')} ({two_digits(runs)} runs)"
    if st.button(said, key="find-rivals", icon=":material/play_arrow:", **needs_role("operator")):
        with attempt(ACTS):
            asked = [rivals.queue_rival(state.store(), study, one.name) for one in missing]
            say_if_there(all(one.already_there for one in asked))
            st.rerun()


def chosen(study: studies.Study) -> list[str]:
    """The rivals whose mixtures are to be confirmed, too; asked where any was found."""
    there = rivals.found_rivals(state.store(), study)
    found = [name for name in RIVALS if name in there]
    if not found:
        return []
    return st.multiselect("Rivals", found, default=found, format_func=TITLES.get, key="confirm-rivals")


def what_runs_bought(study: studies.Study, aggregate: Aggregate) -> None:
    """The answer against each rival at every size that was confirmed."""
    read = reading(aggregate.unit)
    for one in bought.comparisons(state.store(), study, aggregate):
        size = fidelity_words(one.fidelity.width, one.fidelity.layers, one.fidelity.tokens)
        st.header(f"What the runs bought, in {size}", anchor=False)
        rows = [
            {
                "against": each.label,
                f"{plain(one.answer)} minus it [{read.gap_unit}]": read.gap_words(aggregate.sign * each.gap, each.half),
                "seeds": each.seeds,
                "verdict": VERDICTS[each.verdict],
                "runs it took": "unknown" if each.runs is None else two_digits(each.runs),
                "runs behind the answer": each.of,
            }
            for each in one.against
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
        st.caption(
            f"{plain(aggregate.title).capitalize()}, {aggregate.better} is better; each mixture trained alike. "
            "Differences are between runs of one seed, with 95% intervals by Student's t, the spread pooled over the "
            f"rivals.{read.note}"
        )


def experts(study: studies.Study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """On Explore: what the average of one expert per domain loses at the faders, beside the surrogate's prediction."""
    tokens = rivals.tokens_of_experts(state.store(), study)
    if tokens is None:
        words = "Nobody has trained one expert per domain here yet. *Confirm* finds MixMin's mixture, which does."
        nothing_yet(words, study, confirm="To Confirm")
        return
    names, read, frame = named_of(study), reading(), frame_of_study(study)
    gap = difference(fit.surrogate, at, frame.prior, aggregate.weights)
    bits, change = tokens.bits(at), tokens.bits(at) - tokens.bits(frame.prior)
    metrics = {domain: study.metrics.index(domain) for domain in study.domains if domain in study.metrics}
    rows = [
        {
            "domain": names.coordinates[place],
            f"experts' average [{read.unit}]": read.words(float(bits[place])),
            f"minus that of {frame.prior_name} [{read.gap_unit}]": read.gap_words(float(change[place])),
            f"of proxies, predicted [{read.gap_unit}]": read.gap_words(
                float(gap.mean[metrics[domain]]), float(ci_half_width(gap.std[metrics[domain]]))
            ),
        }
        for place, domain in enumerate(study.domains)
        if domain in metrics
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.caption(
        "At the faders. The average of one expert per domain, by shares, stands for a model of their mixture (MixMin): "
        "it takes no run, and is none. The last column is what two runs of proxies would differ by, with its 95% "
        f"interval. {fit.title} on {counted(len(fit.measured.ids), 'run')}."
    )
