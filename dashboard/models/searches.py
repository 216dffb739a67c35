"""The settings of a search, as pages show them."""

from dashboard.models.wording import moment
from engine.search.methods import TITLES
from engine.spec.objectives import Aggregate
from engine.studies.measured import aggregate_of
from engine.surrogates import SURROGATES
from store import studies
from store.database import Store


def describe(search: dict) -> str:
    """When a search ended, and its settings, in one line."""
    settings = search["settings"]
    counted = ", ".join(f"{d} × {w:g}" if w else f"{d} not counted" for d, w in settings["priorities"].items())
    method = TITLES[settings.get("method", "simulate")]  # version 0.1 knew one
    title = SURROGATES[settings["surrogate"]].title
    words = [moment(search["t"]), title, f"{settings['points']:,} mixtures", method, counted or "equal priorities"]
    return " · ".join(words)


def aggregate_in(store: Store, study: studies.Study, search: dict) -> Aggregate:
    """How a search weighed the metrics (version 0.1 did not record it: it was the plain mean)."""
    settings = search["settings"]
    if "aggregate" in settings:
        return Aggregate.from_dict(settings["aggregate"])
    return aggregate_of(store, study, settings["priorities"])
