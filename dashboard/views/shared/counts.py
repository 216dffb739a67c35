"""The table in which people say how much text the real run has of each domain."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

COUNT = "tokens for the real run"
TOKENS = st.column_config.NumberColumn(format="localized")


def edited_counts(
    domains: Sequence[str], titles: Sequence[str], given: Mapping[str, float], facts: Mapping[str, object], key: str
) -> dict[str, float]:
    """Domain -> tokens, where they were said. titles: of the domains; given: what stands there at first; facts:
    columns beside it that nobody changes, "tokens read" among them as counts."""
    table = pd.DataFrame({"domain": titles, COUNT: [given.get(one) for one in domains], **facts})
    rows = st.data_editor(
        table.astype({COUNT: float}),
        hide_index=True,
        disabled=["domain", *facts],
        key=key,
        placeholder="not given",
        column_config={"tokens read": TOKENS, COUNT: st.column_config.NumberColumn(min_value=1.0, format="localized")},
    )
    return {name: count for name, count in zip(domains, rows[COUNT].tolist(), strict=True) if count == count}
