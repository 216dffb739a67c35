"""Bounds of a new study: of the shares of single domains, and of groups of them, which may cross."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.space.levels import levels_of
from engine.spec.groups import fitting
from engine.spec.study import StudySpec, ends

SHARE = st.column_config.NumberColumn(min_value=0.0, max_value=1.0, step=0.01)
BETWEEN = ", "  # the groups of a domain


def ask_bounds(domains: list[str], start: StudySpec, tables: bool = True) -> dict:
    """Bounds of single domains and of groups. tables: whether their tables are drawn, which takes a browser a while; as
    long as nobody sees them they hold what stands there at first."""
    if not domains:
        return {}
    st.caption(
        "Minimum and maximum share of each domain (equal: fixed). Domains with the same *group* can be bounded "
        "together below, and can keep their natural ratios within the group. A domain may be in several groups, with "
        "commas between them, such as its source and its topic."
    )
    low, high = zip(*(ends(start.bounds.get(domain, (0.0, 1.0))) for domain in domains), strict=True)
    before = {group["name"]: group for group in start.groups or by_names(domains)}
    member = {  # of a study that is copied the form may leave domains out
        name: {one for asked in group["domains"] for one in fitting(asked, domains)} for name, group in before.items()
    }
    within = [tuple(name for name, members in member.items() if domain in members) for domain in domains]
    meant = {BETWEEN.join(names): names for names in within}  # whatever their names hold
    own = [BETWEEN.join(names) for names in within]
    rows = edited(
        {"domain": domains, "min": low, "max": high, "groups": own}, f"bounds-{'-'.join([*domains, *own])}", tables
    )
    bounds = {
        domain: [float(low), float(high)]
        for domain, low, high, _ in rows.itertuples(index=False)
        if (low, high) != (0, 1)
    }
    asked = {row.domain: meant.get(row.groups, parted(row.groups)) for row in rows.itertuples()}
    return {"bounds": bounds, "groups": ask_groups(asked, before, member, tables)}


def by_names(domains: list[str]) -> tuple[dict, ...]:
    """The groups that the parts of the domains' names give, source and topic, where people want them."""
    levels = levels_of(domains, ())
    titles = " and ".join(level.name for level in levels)
    if not levels or not st.checkbox(f"Group the domains by {titles}, as their names say", key="groups-by-names"):
        return ()
    found: dict[str, dict] = {}
    for level in levels:
        for name, places in level.parts.items():
            if len(places) > 1:  # a group of one is its domain
                name = f"{name} ({level.name})" if name in found else name
                found[name] = {"name": name, "domains": [domains[place] for place in places], "level": level.name}
    return tuple(found.values())


def parted(cell: object) -> tuple[str, ...]:
    """The names of groups in a cell, each once; none in one that was emptied."""
    names = cell.split(BETWEEN.strip()) if isinstance(cell, str) else []
    return tuple(dict.fromkeys(name for one in names if (name := one.strip())))


def ask_groups(
    asked: dict[str, tuple[str, ...]], before: dict[str, dict], member: dict[str, set[str]], tables: bool
) -> tuple[dict, ...]:
    """Bounds of the groups that the domains' table names. asked: domain -> its groups; before: the groups at first, by
    name; member: their domains. A group whose domains stay keeps how they were written, as names or patterns."""
    there = {name for names in asked.values() for name in names}
    named = [name for name in before if name in there]
    named += dict.fromkeys(name for names in asked.values() for name in names if name not in before)
    if not named:
        return ()
    low, high = zip(*(ends(before.get(name, {}).get("share", (0.0, 1.0))) for name in named), strict=True)
    ratios = {name: before.get(name, {}).get("ratios") for name in named}
    kept = [ratios[name] is not None for name in named]
    level = [before.get(name, {}).get("level") or "" for name in named]
    columns = {"group": named, "min": low, "max": high, "keep ratios": kept, "level": level}
    groups = edited(columns, f"groups-{'-'.join(named)}", tables)
    st.caption("A *level*, such as source or topic, is what charts add up and the tree of faders folds by.")
    found = []
    for name, low, high, keep, level in groups.itertuples(index=False):
        members = [domain for domain, names in asked.items() if name in names]
        own = {"ratios": ratios[name] or "prior"} if keep else {}
        own |= {"level": level.strip()} if isinstance(level, str) and level.strip() else {}
        same = set(members) == member.get(name)
        found.append(
            {
                "name": name,
                "domains": before[name]["domains"] if same else members,
                "share": [float(low), float(high)],
                **own,
            }
        )
    return tuple(found)


def edited(columns: dict[str, Sequence], key: str, is_drawn: bool) -> pd.DataFrame:
    """A table with the columns min and max as people leave it; its first column stays as it is."""
    table = pd.DataFrame(columns).astype({"min": float, "max": float})
    if not is_drawn:
        return table
    shares = {"min": SHARE, "max": SHARE}
    return st.data_editor(table, hide_index=True, disabled=[next(iter(columns))], key=key, column_config=shares)
