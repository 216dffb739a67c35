"""The settings of searches and proposals, as pages show them."""

from datetime import tzinfo

from dashboard.models.wording import moment
from engine.search.methods import TITLES
from engine.surrogates import title_of


def describe(search: dict, zone: tzinfo) -> str:
    """When a search ended, in a time zone, and its settings, in one line."""
    settings = search["settings"]
    asked = settings.get("method", "simulate")  # version 0.1 knew one
    method = TITLES.get(asked, asked)
    title = title_of(settings["surrogate"])
    words = [
        moment(search["t"], zone),
        title,
        f"{settings['points']:,} mixtures",
        method,
        counted(settings),
    ]
    if prices := settings.get("prices"):
        words.append("priced " + ", ".join(f"{domain} × {price:g}" for domain, price in prices.items()))
    if limits := settings.get("limits"):
        words.append("limits on " + ", ".join(limits))
    return " · ".join(words)


def counted(settings: dict) -> str:
    """How metrics were weighed."""
    weighed = [f"{d} × {w:g}" if w else f"{d} not counted" for d, w in settings["priorities"].items()]
    return ", ".join(weighed) or "equal priorities"


def proposal_words(proposal: dict, zone: tzinfo) -> str:
    """When a proposal was made, by what and for which priorities, as the start of a sentence."""
    settings = proposal["settings"]
    title = title_of(settings["surrogate"])
    return f"Proposed {moment(proposal['t'], zone)} with {title}, {counted(settings)}"
