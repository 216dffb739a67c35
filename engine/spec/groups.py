"""The groups of a study: which domains are in each, named or by a pattern such as */math, and what is asked of them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.core.checks import check, is_number, is_texts
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.space.groups import Group

ANY, ONE = "*", "?"  # in a pattern: any letters, any one letter
KEYS = ("name", "domains", "share", "ratios", "level")


def check_group(group: Any, ends: tuple[float, float]) -> None:
    """Raise Problem if a group does not have the structure that StudySpec describes; ends: of its share."""
    named = isinstance(group, dict) and {"name", "domains"} <= set(group)
    check(named, group, "a study's group", "a table with name and domains")
    name, domains, level = (group.get(key) for key in ("name", "domains", "level"))
    check(set(group) <= set(KEYS), group, "a study's group", "a table of name, domains, share, ratios and level only")
    check(
        is_texts(domains),
        domains,
        f"the domains of the group {name!r}",
        "a list of names, or of patterns such as */math",
    )
    fine = isinstance(name, str) and 0 < len(name.strip()) <= 80
    check(fine, name, "the name of a study's group", "1 to 80 characters")
    said = f"the share of the group {name!r}"
    check(0 <= ends[0] <= ends[1] <= 1, group.get("share"), said, "a share, or two that rise, from 0 to 1")
    ratios = group.get("ratios")
    numbers = isinstance(ratios, dict) and all(is_number(one, 0) for one in ratios.values())
    fine = numbers or ratios is None or ratios == "prior"
    check(fine, ratios, f"the ratios of the group {name!r}", '"prior", or a table of numbers of at least 0 by domain')
    fine = level is None or (isinstance(level, str) and 0 < len(level.strip()) <= 40)
    check(fine, level, f"the level of the group {name!r}", "a word, such as source or topic")


def check_planned(groups: Sequence[dict[str, Any]], domains: Sequence[str]) -> None:
    """Raise Problem for groups of a new study that would be read otherwise than they were meant: two of one name, one
    level written in two ways, ratios that leave out a domain of the group or name another."""
    names = [group["name"].strip() for group in groups]
    if twice := [name for name in names if names.count(name) > 1]:
        raise Problem(f"Cannot make two groups called {twice[0]!r}: give each a name of its own.")
    levels: dict[str, str] = {}
    for level in filter(None, (group.get("level") for group in groups)):
        if (first := levels.setdefault(" ".join(level.split()).casefold(), level)) != level:
            raise Problem(f"Cannot tell whether {level!r} and {first!r} are one level of groups: write both alike.")
    for group in groups:
        members = members_of(group, domains)
        if isinstance(ratios := group.get("ratios"), dict) and set(ratios) != set(members):
            without = [one for one in members if one not in ratios]
            astray = [one for one in ratios if one not in members]
            wrong = [f"there is no number for {listed(without)}"] if without else []
            wrong += [f"there is one for {listed(astray)}, which it does not have"] if astray else []
            raise Problem(
                f"Cannot keep the ratios of the group {group['name']!r}: {' and '.join(wrong)}. Its domains are "
                f"{listed(members)}: give a number for each, 0 for one that gets nothing, or let their ratios change."
            )


def members_of(group: dict[str, Any], domains: Sequence[str]) -> tuple[str, ...]:
    """The domains of a group, in its own order. Raises Problem for a name that is none of them, or a pattern that
    fits none."""
    found: list[str] = []
    for asked in group["domains"]:
        fits = fitting(asked, domains)
        if not fits:
            what = f"no domain fits {asked!r}" if is_pattern(asked) else f"there is no domain {asked!r}"
            raise Problem(f"Cannot make the group {group['name']!r}: {what}. There are {listed(domains)}.")
        found += [name for name in fits if name not in found or not is_pattern(asked)]
    return tuple(found)


def lasting(groups: Sequence[dict[str, Any]], domains: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """The groups that still stand where a study's domains become others: all that they name is there, and each of their
    domains has its ratio."""
    there = [group for group in groups if all(fitting(asked, domains) for asked in group["domains"])]
    tied = [group for group in there if isinstance(group.get("ratios"), dict)]
    astray = [group for group in tied if set(group["ratios"]) != set(members_of(group, domains))]
    return tuple(group for group in there if group not in astray)


def group_of(group: dict[str, Any], ends: tuple[float, float], domains: Sequence[str], prior: np.ndarray) -> Group:
    """A study's group as one of its space; ratios "prior" are those of the prior (D,). Raises Problem as `members_of`
    does."""
    ratios, members = group.get("ratios"), members_of(group, domains)
    if ratios == "prior":
        ratios = tuple(float(prior[domains.index(name)]) for name in members)
    elif ratios is not None:
        ratios = tuple(ratios.get(name, 0.0) for name in members)
    return Group(group["name"], members, *ends, ratios, group.get("level"))


def is_pattern(asked: str) -> bool:
    return ANY in asked or ONE in asked


def fitting(asked: str, domains: Sequence[str]) -> list[str]:
    """The domains that a name or a pattern means; a domain of that very name comes first."""
    if asked in domains or not is_pattern(asked):
        return [asked] if asked in domains else []
    pattern = re.compile(re.escape(asked).replace(re.escape(ANY), ".*").replace(re.escape(ONE), "."), re.DOTALL)
    return [name for name in domains if pattern.fullmatch(name)]
