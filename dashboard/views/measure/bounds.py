"""Bounds of a new study: of the shares of single domains, and of groups of them."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.spec.study import StudySpec, ends

SHARE = st.column_config.NumberColumn(min_value=0.0, max_value=1.0, step=0.01)


def ask_bounds(domains: list[str], start: StudySpec) -> dict:
    """Bounds of single domains and of groups."""
    if not domains:
        return {}
    st.caption(
        "Minimum and maximum share of each domain (equal: fixed). Domains with the same *group* can be bounded "
        "together below, and can keep their natural ratios within the group."
    )
    low, high = zip(*(ends(start.bounds.get(domain, (0.0, 1.0))) for domain in domains), strict=True)
    before = {group["name"]: group for group in start.groups}
    member = {domain: name for name, group in before.items() for domain in group["domains"]}
    own = [member.get(domain, "") for domain in domains]
    rows = edited({"domain": domains, "min": low, "max": high, "group": own}, f"bounds-{'-'.join(domains)}")
    bounds = {
        domain: [float(low), float(high)]
        for domain, low, high, _ in rows.itertuples(index=False)
        if (low, high) != (0, 1)
    }
    return {"bounds": bounds, "groups": ask_groups(rows, before)}


def ask_groups(rows: pd.DataFrame, before: dict[str, dict]) -> tuple[dict, ...]:
    """Bounds of the groups that the domains' table names. before: the groups at first, by name."""
    named = [name for name in dict.fromkeys(str(x).strip() for x in rows["group"] if x) if name]
    if not named:
        return ()
    low, high = zip(*(ends(before.get(name, {}).get("share", (0.0, 1.0))) for name in named), strict=True)
    ratios = {name: before.get(name, {}).get("ratios") for name in named}
    kept = [ratios[name] is not None for name in named]
    groups = edited({"group": named, "min": low, "max": high, "keep ratios": kept}, f"groups-{'-'.join(named)}")
    found = []
    for name, low, high, keep in groups.itertuples(index=False):
        members = [row.domain for row in rows.itertuples() if str(row.group).strip() == name]
        kept = {"ratios": ratios[name] or "prior"} if keep else {}
        found.append({"name": name, "domains": members, "share": [float(low), float(high)], **kept})
    return tuple(found)


def edited(columns: dict[str, Sequence], key: str) -> pd.DataFrame:
    """A table with the columns min and max as people leave it; its first column stays as it is."""
    table = pd.DataFrame(columns).astype({"min": float, "max": float})
    shares = {"min": SHARE, "max": SHARE}
    return st.data_editor(table, hide_index=True, disabled=[next(iter(columns))], key=key, column_config=shares)
