"""The settings of a search, as pages show them."""

from datetime import tzinfo

from dashboard.models.wording import moment
from engine.search.methods import TITLES
from engine.surrogates import SURROGATES


def describe(search: dict, zone: tzinfo) -> str:
    """When a search ended, in a time zone, and its settings, in one line."""
    settings = search["settings"]
    counted = ", ".join(f"{d} × {w:g}" if w else f"{d} not counted" for d, w in settings["priorities"].items())
    method = TITLES[settings.get("method", "simulate")]  # version 0.1 knew one
    title = SURROGATES[settings["surrogate"]].title
    words = [
        moment(search["t"], zone),
        title,
        f"{settings['points']:,} mixtures",
        method,
        counted or "equal priorities",
    ]
    if prices := settings.get("prices"):
        words.append("priced " + ", ".join(f"{domain} × {price:g}" for domain, price in prices.items()))
    return " · ".join(words)
