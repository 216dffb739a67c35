"""The target fader: the tokens and the size of the real run, kept in the link, and how often it repeats each domain."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models import wording
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.best import best_for
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import listed, short_count
from engine.space.baselines import epochs
from engine.spec.frame import Frame
from engine.spec.objectives import Aggregate
from engine.spec.pools import CAP_SLACK, SOURCES
from engine.spec.repetition import notes_on_repetition
from engine.spec.sizes import Size
from engine.spec.statistics import ci_half_width
from engine.spec.study import StudySpec
from engine.studies import sizes
from engine.studies.doses import Dose, Worth, doses, worth_repeating
from engine.studies.fits import Fit
from engine.studies.targets import frame_at
from store import studies

STEPS = 10  # of a fader, in each power of ten
REACH = 3  # powers of ten that the fader of tokens goes down and up from the study's own budget
USUAL = 1e9  # tokens where a study has no budget
SIZES = (6, 12)  # powers of ten that the fader of sizes spans
UNSAID = 0.0
COLUMNS = {
    "available tokens": st.column_config.NumberColumn(format="localized"),
    "tokens of the real run": st.column_config.NumberColumn(format="localized"),
    "epochs": st.column_config.NumberColumn(format="%.3g"),
    "as a share of the mixture": st.column_config.NumberColumn(format="percent"),
}


@dataclass(frozen=True)
class Target:
    """The real run. tokens: that it trains on; parameters: its parameters, 0 where that is not said; size: at
    which it is predicted, None where nothing is to be predicted at a size."""

    tokens: float
    parameters: float
    size: Size | None


def target_fader(study: studies.Study, frame: Frame) -> Target:
    """The two faders of the real run; at first the study's own budget, or what the link says."""
    there = sizes.summary(state.store(), study)["sizes"]
    counts = {name: {one[name] for one in there if one[name]} for name in ("parameters", "tokens")}
    several = sizes.has_sizes(state.store(), study)
    own = frame.budget or (several and max(counts["tokens"], default=0)) or USUAL
    tokens_place, size_place = st.columns([3, 2])
    tokens = _fader(
        tokens_place,
        "Target: tokens of the real run",
        "target",
        {*_steps(np.log10(own) - REACH, np.log10(own) + REACH), own, *(counts["tokens"] if several else ())},
        own,
        study,
        "Changes how often each domain's text is repeated.",
    )
    parameters = _fader(
        size_place,
        "Target: its parameters",
        "size",
        {*_steps(*SIZES), *counts["parameters"], UNSAID},
        UNSAID,
        study,
        "Where the runs are of several sizes, predictions and the best mixture follow it.",
    )
    asked = parameters or (several and not counts["parameters"] and tokens != own)
    size = Size(parameters or None, tokens if counts["tokens"] else None, 0) if asked else None
    return Target(tokens, parameters, size)


def _steps(low: float, high: float) -> set[float]:
    """Round numbers from 10^low to 10^high, STEPS in each power of ten."""
    exponents = np.arange(np.ceil(low * STEPS), np.floor(high * STEPS) + 1) / STEPS
    return {float(f"{10**exponent:.2g}") for exponent in exponents}


def _fader(place, label: str, link: str, values: set[float], start: float, study: studies.Study, what: str) -> float:
    """One fader over values, kept in the link; a number in the link that is none of them becomes one."""
    try:
        linked = float(st.query_params.get(link, start))
    except ValueError:
        linked = start
    linked = linked if np.isfinite(linked) and linked >= 0 and (linked > 0 or UNSAID in values) else start
    labels = {_label(one): one for one in [*sorted(values), start, linked]}  # the last of a label stays
    value = place.select_slider(
        label,
        sorted(labels.values()),
        value=linked,
        format_func=_label,
        key=f"{link}-{study.id}",
        help=what,
    )
    if value != start:
        st.query_params[link] = f"{value:.15g}"
    elif link in st.query_params:
        del st.query_params[link]
    return value


def _label(value: float) -> str:
    return short_count(value) if value else "unspecified"


def repetition(
    study: studies.Study, frame: Frame, names: Named, at: np.ndarray, target: Target, aggregate: Aggregate
) -> None:
    """How often the real run would repeat each domain at the faders' mixture (D,), and how often that is worth it."""
    if frame.available is None:
        st.caption("How often text would be repeated is unknown: the tokens of each domain are not known here.")
        return
    seen = epochs(at, frame.pools.tokens, target.tokens)
    cap = study.spec["epoch_cap"]
    over = [name for name, one in zip(names.coordinates, seen, strict=True) if one > cap * CAP_SLACK]
    head = f"**Epochs at {short_count(target.tokens)} tokens**"
    parts = [
        f"{plain(name)} {wording.two_digits(one)}" if np.isfinite(one) else f"{plain(name)} unknown"
        for name, one in zip(names.coordinates, seen, strict=True)
    ]
    st.markdown(f"{head}: {', '.join(parts)}.")
    if over:
        st.warning(f"More than the epoch cap of {cap:g}: {plain(listed(over))}.", icon=":material/repeat:")
    if frame.pools.known and frame.pools.total * cap < target.tokens:
        st.error(
            f"No mixture keeps to it: all the text together is {short_count(frame.pools.total)} tokens, and "
            f"{cap:g} epochs of it are {short_count(cap * frame.pools.total)}. Lower the target, or add text.",
            icon=":material/block:",
        )
    with st.expander("Text of each domain", icon=":material/database:"):
        text_table(study, frame, names, at, target, aggregate)
        text_notes(StudySpec.from_dict(study.spec), frame)


def text_notes(spec: StudySpec, frame: Frame) -> None:
    """What has to be known of the counts of text and of repetition."""
    for note in [*frame.notes, *notes_on_repetition(spec, frame)]:
        st.caption(f":material/info: {plain(note)}")


def best_there(
    study: studies.Study, frame: Frame, names: Named, fits: tuple[Fit, Fit], aggregate: Aggregate, target: Target
) -> None:
    """How the best mixture moves from the study's own budget to the target; fits: there and here, the same where the
    surrogate cannot tell."""
    own, there = fits
    if there is own:
        if frame.pools is not None and target.tokens != frame.budget:
            st.caption(
                f"{plain(own.title)} does not take into account how often text is read, so its predictions stay "
                "those for the study's own budget. *Law of epochs* does, where proxies repeated text as the real run "
                "will."
            )
        return
    try:
        moved = best_for(study, frame_at(study, target.tokens), there, aggregate, own.fingerprint, (target.tokens,))
    except Problem as problem:
        st.caption(plain(problem))
        return
    read = reading(aggregate.unit)
    before = best_for(study, frame, own, aggregate, own.fingerprint, (frame.budget,))
    rows = {
        "domain": names.coordinates,
        f"best at {short_count(frame.budget)}": before.shares.tolist(),
        f"best at {short_count(target.tokens)}": moved.shares.tolist(),
        "epochs there": epochs(moved.shares, frame.pools.tokens, target.tokens).tolist(),
    }
    title = f"The best mixture at {short_count(target.tokens)} tokens"
    with st.expander(title, icon=":material/moving:", key="best-at-target"):
        percent = st.column_config.NumberColumn(format="percent")
        columns = {name: percent for name in list(rows)[1:3]} | {"epochs there": COLUMNS["epochs"]}
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)
        half = wording.number(read.gap(ci_half_width(moved.aggregate_std)))
        st.caption(
            f"By {plain(there.title)}, from {len(own.measured.ids)} runs of one budget: they show how shares and "
            "epochs matter, but not the level of the losses at another budget. The "
            f"{plain(aggregate.title)} is predicted with ± {half} {plain(read.gap_unit)} (95%)."
        )


def text_table(
    study: studies.Study, frame: Frame, names: Named, at: np.ndarray, target: Target, aggregate: Aggregate
) -> None:
    """The text of each domain, what the real run takes of it, and what dose runs say of repeating it."""
    there, seen = frame.pools.tokens, epochs(at, frame.pools.tokens, target.tokens)
    table = {
        "domain": names.coordinates,
        "available tokens": frame.pools.plain,
        "known": [SOURCES[source] for source in frame.pools.sources],
        "tokens of the real run": (at * target.tokens).tolist(),
        "epochs": seen.tolist(),
    }
    found = doses(state.store(), study, aggregate)
    by_domain = {one.domain: one for one in worth_repeating(found)}
    if by_domain:
        worth = [by_domain.get(domain) for domain in study.domains]
        table["worth repeating up to"] = [worth_words(one) for one in worth]
        table["as a share of the mixture"] = [
            share_at_limit(one, tokens, target.tokens) for one, tokens in zip(worth, there, strict=True)
        ]
    st.dataframe(pd.DataFrame(table), hide_index=True, column_config=COLUMNS)
    if found:
        dose_table(found, dict(zip(study.domains, names.coordinates, strict=True)), aggregate, frame.budget)


def worth_words(one: Worth | None) -> str:
    """How often a domain may be repeated, as far as dose runs tell."""
    if one is None or (one.harmless is None and one.harmful is None):
        return "cannot tell"
    if one.harmful is None:
        return f"no harm beyond noise at {one.harmless:.2g} epochs"
    return f"fewer than {one.harmful:.2g} epochs" + (f", {one.harmless:.2g} are fine" if one.harmless else "")


def share_at_limit(one: Worth | None, there: float, target: float) -> float | None:
    """The share of the real run at which a domain is repeated that often, None where that is unknown."""
    limit = one and (one.harmful or one.harmless)
    return min(1.0, limit * there / target) if limit and np.isfinite(there) else None


def dose_table(found: list[Dose], names: dict[str, str], aggregate: Aggregate, budget: float) -> None:
    """The dose runs behind it, each against the run of the same mixture that saw all the text."""
    read = reading(aggregate.unit)
    words = {None: "noise unknown", True: "worse, beyond noise", False: "within noise"}
    rows = [
        {
            "domain": names[one.domain],
            "epochs": one.epochs,
            "epochs of the dose run": one.more_epochs,
            "change": read.gap(aggregate.sign * one.change),
            "± 95%": None if one.half is None else read.gap(one.half),
            "": words[one.harms],
            "runs": f"{one.run}, {one.uncut}",
        }
        for one in found
    ]
    forms = dict.fromkeys(("epochs", "epochs of the dose run"), ".3g") | {"change": "+.4f", "± 95%": ".4f"}
    st.dataframe(signed(rows, forms), hide_index=True)
    st.caption(
        f"Dose runs: the same shares with one domain's text cut. Change of the {plain(aggregate.title)} "
        f"({plain(read.gap_unit)}, {aggregate.better} is better); epochs at the study's own {budget:,.0f} tokens. "
        "All runs saw one budget, so this shows the effect of repetition, not the level at another budget."
    )
