"""When a study whose results come from elsewhere is fitted again: results that come within a window cause one fit.

Uses the store.
"""

import math
import time

from store import reported, studies
from store.database import Store

WINDOW_SECONDS = 10.0  # after the first result that no fit has learned from


def window_ends(store: Store, study: str) -> float:
    """When (seconds since 1970) the window of a study's new results ends; long ago where there are none."""
    times = reported.times(store).get(study, {})
    latest = studies.league(store, study)
    learned = set(latest["run_ids"]) if latest else set[str]()
    new = [t for run, t in times.items() if run not in learned]
    return min(new) + WINDOW_SECONDS if new else -math.inf


def is_open(store: Store, study: studies.Study) -> bool:
    """Whether more results may still come into the fit that the first new one asks for. Results that complete an
    external study's plan wait for nothing."""
    complete = study.external and not study.open
    return not complete and time.time() < window_ends(store, study.id)


def ends(store: Store) -> list[float]:
    """When the windows of all active studies with new results end, or ended (seconds since 1970)."""
    active = [one.id for one in studies.all_studies(store) if one.state == "active"]
    found = store.remembered("window ends", lambda: [window_ends(store, one) for one in active])
    return [end for end in found if end > -math.inf]
