"""What the team's ledger says of a surrogate's past predictions, for the text beside an answer."""

from dashboard.models import wording
from dashboard.server import state
from engine.studies import ledger
from engine.surrogates import title_of


def optimism_words(surrogate: str) -> str:
    """How past predictions of a surrogate, of all studies, compare with what was measured; empty without any."""
    found = [one for one in ledger.entries(state.store()) if one.registered.prediction.surrogate == surrogate]
    for one in ledger.records(found, "surrogate"):
        title = title_of(surrogate)
        points = f"{wording.counted(one.points, 'point')} ({wording.counted(one.runs, 'run')}, of all studies)"
        head = f"The *Ledger* holds {points} that {title} predicted in advance:"
        inside = f"{one.in_95:.0%} of the runs lay inside its 95% intervals"
        if one.half is None:
            return f"{head} {inside}; one point says nothing of its optimism."
        noise = "beyond noise" if one.claims else "within noise"
        gap = (
            f"{abs(one.optimism):.2f} ± {one.half:.2f} standard deviations {'worse' if one.optimism > 0 else 'better'}"
        )
        return f"{head} {inside}; on average they measured {gap} than predicted, {noise}."
    return ""
