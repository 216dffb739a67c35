"""What a moment of a study rests on, in words: how its runs are counted, and how far fit and search lie behind them."""

from datetime import tzinfo

from dashboard.models.wording import RUN
from dashboard.models.wording import moment as at
from engine.core.short_names import counted
from engine.spec.merge import EXPERT, REFERENCE
from engine.spec.phases import PHASED
from engine.spec.repetition import DOSE
from engine.spec.starts import START
from engine.studies.moments import Behind, Moment
from engine.surrogates import title_of

# Roles of finished runs that no fit of shares learns from -> what they are for.
BESIDE = {
    "repeat": ("repeat", "for the noise"),
    DOSE: ("dose run", "for repetition"),
    PHASED: ("phased run", "for order"),
    START: ("untrained start", "for comparison"),
    EXPERT: ("expert", "with the base"),
    REFERENCE: ("reference", "by task arithmetic"),
}


def fitted_words(moment: Moment) -> str:
    """How many of a study's runs the fit in use learned from, and what became of the others: the numbers in brackets
    and the first make all its runs."""
    study, fitted = moment.study, 0 if moment.fit is None else len(moment.fit.measured.ids)
    others = [
        f"{counted(number, title)} {purpose}"
        for role, (title, purpose) in BESIDE.items()
        if (number := study.done_roles.get(role, 0))
    ]
    others += [f"{moment.since} finished since"] * bool(moment.since)
    beside = sum(study.done_roles.get(role, 0) for role in BESIDE)
    rest = study.done - fitted - beside - moment.since
    others += [f"{rest} of another size"] * (rest > 0)
    others += [f"{number} {state}" for state, number in study.counts.items() if state != "done"]
    return f"Fitted on {fitted} of {counted(study.runs, 'run')}" + (f" ({', '.join(others)})." if others else ".")


def noise_unknown(moment: Moment) -> str:
    """Why the noise of one run is unknown."""
    repeats, done = (one.get("repeat", 0) for one in (moment.study.roles, moment.study.done_roles))
    if repeats > done:
        return f"{done} of {counted(repeats, 'repeat')} {'is' if done == 1 else 'are'} done, and the noise takes two"
    return "fewer than two runs repeat a mixture with another seed"


def notes(moment: Moment, zone: tzinfo) -> list[str]:
    """How far the fit in use lies behind the runs, and the search in use behind the fit; nothing where none does."""
    found = []
    if moment.fit is not None and moment.since:
        on = _runs(moment, len(moment.fit.measured.ids))
        found.append(
            f"Predictions come from the fit of {at(moment.fitted_at, zone)}, on {on}; {moment.since} more that it "
            f"could learn from {_have(moment.since)} finished since. Measured values come from all "
            f"{len(moment.measured.ids)} finished ones{', repeats included' * ('repeat' in moment.measured.roles)}."
        )
    if moment.fit is not None and not moment.compares:
        found.append("The runs that were fitted are of another size than most runs are now.")
    return [*found, *search_notes(moment, zone)]


def search_notes(moment: Moment, zone: tzinfo) -> list[str]:
    """What to know about the search that found the best predicted point."""
    if moment.fit is None or not moment.searches:  # the first one starts by itself
        return []
    if moment.search is None:
        return ["No search by these priorities yet, so nothing is called *best predicted*."]
    behind, by = moment.behind(moment.search), moment.search["settings"]["surrogate"]
    if not behind.in_use:
        return [
            f"*Best predicted* comes from the search of {at(moment.search['t'], zone)}, {behind_words(moment, behind)}."
        ]
    if by != moment.fit.name:
        return [f"*Best predicted* was found with {title_of(by)}; other predictions are {moment.fit.title}'s."]
    return []


def behind_words(moment: Moment, behind: Behind) -> str:
    """What stands behind a search or a proposal, to follow its time."""
    earlier = ", of an earlier fit" * (not behind.in_use and not behind.recounted)
    since = f"; {behind.since} more {_have(behind.since)} finished since" * bool(behind.since)
    return f"on {_runs(moment, behind.runs)}{earlier}{since}" + "; the text was recounted since" * behind.recounted


def _runs(moment: Moment, number: int) -> str:
    return counted(number, RUN[moment.study.kind])


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
