"""What the team's ledger says of a surrogate's past predictions, for the text beside an answer."""

from dashboard.server import state
from engine.studies import ledger
from engine.surrogates import SURROGATES


def optimism_words(surrogate: str) -> str:
    """How past predictions of a surrogate, of all studies, compare with what was measured; empty without any."""
    found = [one for one in ledger.entries(state.store()) if one.registered.prediction.surrogate == surrogate]
    for one in ledger.records(found, "surrogate"):
        title = SURROGATES[surrogate].title if surrogate in SURROGATES else surrogate
        head = f"In the *Ledger*, {one.points} points that {title} predicted before they were measured, in all studies:"
        inside = f"{one.in_95:.0%} of the runs lay inside its 95% intervals"
        if one.half is None:
            return f"{head} {inside}; one point tells nothing of its optimism."
        verdict = "beyond noise" if one.claims else "within noise"
        gap = f"{one.optimism:+.2f} ± {one.half:.2f} standard deviations worse than predicted ({verdict})"
        return f"{head} {inside}; they measured {gap}."
    return ""
