"""What pages say of a study's first runs, where they wait for a fit: intervals that rest on synthetic studies."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import counted, listed
from engine.studies.early import early_answers
from store import studies

FEW = ":orange-badge[:material/history_edu: few]"  # the answer rests on the prior


def early(study: studies.Study) -> None:
    """The predicted metrics of the baselines with their intervals; nothing before the third run."""
    if (found := early_answers(state.store(), study)) is None:
        return
    names = named_of(study).metrics
    st.markdown(
        f"{FEW} **What {counted(found.runs, 'run')} tell so far**: 95% intervals for one run. They rest on the "
        "synthetic studies that the in-context surrogate learned on more than on these runs, and no held-out run "
        "has checked them yet."
    )
    rows = [
        {"metric": plain(label)}
        | {
            name: reading(objective.unit).words(float(found.mean[place, row]), float(found.half[place, row]))
            for place, name in enumerate(found.names)
        }
        for row, (label, objective) in enumerate(zip(names, study.objectives, strict=True))
    ]
    st.dataframe(rows, hide_index=True)
    unknown = [name for name, wide in zip(names, np.median(found.half, axis=0) > 2 * found.spread, strict=True) if wide]
    if unknown:
        st.caption(plain(f"As uncertain as without a surrogate: {listed(unknown)}."))
