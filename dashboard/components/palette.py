"""The command palette: Ctrl+K, and ? for help, on every page."""

from dashboard.components import component

HELP = "help"  # what is chosen by the key ? (palette.js)


def palette(items: list[dict[str, str]], runs: int) -> str | None:
    """Listen for the keys. items: {"id", "kind", "label"} each; runs: how many the study has, found by their numbers.
    Returns the id of what was just chosen, or None."""
    state = component("palette")(key="palette", data={"items": items, "runs": runs}, on_chosen_change=lambda: None)
    return state.chosen and state.chosen["id"]
