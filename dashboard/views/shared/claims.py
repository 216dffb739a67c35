"""What a confirmation will be able to claim, beside the button that pays for it."""

import streamlit as st

from dashboard.models import wording
from dashboard.views.shared.text import baseline_phrase, plain
from dashboard.views.shared.units import reading
from engine.analysis.power import MOST
from engine.spec.objectives import Aggregate
from engine.studies.claims import Claims
from engine.studies.confirmations import Plan

ONE_SEED = "**One seed of each mixture proves nothing**: nothing tells noise from difference. Take at least two."


def claims_table(found: Claims, plan: Plan, aggregate: Aggregate) -> None:
    """Seeds and mixtures that each claim needs, and what the plan would find."""
    if plan.seeds < 2:
        st.warning(ONE_SEED, icon=":material/exposure_plus_1:")
    if found.noise is None:
        st.caption(
            "How many seeds a claim needs is unknown: no mixture was trained often enough with other seeds to measure "
            "the noise. A first confirmation with several seeds measures it."
        )
        return
    read = reading(aggregate.unit)
    mixtures = f"mixtures at {wording.counted(plan.seeds, 'seed')}"
    rows = [
        {
            "claim": f"beats {baseline_phrase(one.against)}",
            f"predicted difference [{read.gap_unit}]": read.gap_words(aggregate.sign * one.gap, one.half),
            "seeds each": one.seeds,
            "at most": one.seeds_at_most,
            mixtures: one.mixtures,
            "this plan finds it": one.power,
        }
        for one in found.claims
    ]
    number = st.column_config.NumberColumn
    formats = {
        "seeds each": number(help="Of both mixtures, which it takes to find that difference."),
        "at most": number(help="Seeds each, at the upper end of the noise."),
        mixtures: number(help="How many it takes, trained together: each tells more of the noise."),
        "this plan finds it": number(format="percent", help="How likely, if the difference is as predicted."),
    }
    st.dataframe(rows, hide_index=True, column_config=formats, placeholder="–")
    least = next((one.detectable for one in found.claims if one.detectable is not None), None)
    finds = "" if least is None else f" It finds differences from {read.gap(least):.4f} {plain(read.gap_unit)} on."
    st.caption(
        "The predicted difference, with its 95% interval, is that of two runs at the proxies' size. "
        f"Two-sided at 95% with a power of 80%, by Student's t. Noise between seeds: {read.gap(found.noise.std):.4f} "
        f"{plain(read.gap_unit)}, from {found.source} ({wording.counted(found.noise.freedom, 'degree')} of freedom); "
        f"*at most*: at the upper end of that noise. –: more than {MOST:,}, or no number is enough.{finds} The "
        "differences are those predicted at the proxies' size; a candidate is chosen for its prediction, so the real "
        "one may well be smaller."
    )
