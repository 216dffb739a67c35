"""A passage of text, each token tinted by its loss."""

from dashboard.components import component


def passage(words: list[str], bits: list[float], key: str) -> None:
    """Draw the text of T + 1 tokens; bits (T,): the loss of each but the first, which nothing predicts."""
    component("passage")(key=key, data={"words": words, "bits": bits})
