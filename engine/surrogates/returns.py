"""The law of diminishing returns: the law of epochs where nothing is known of how much text there is."""

from dataclasses import dataclass

from engine.surrogates.epochs import Epochs


@dataclass(kw_only=True)
class Returns(Epochs):
    """Fields as in Epochs; repeats is 0 everywhere, so that benefits are of shares, and there are no harms."""

    title = "Law of diminishing returns"
    summary = "Each domain helps the less the larger its share already is, in the logarithm of a loss above a floor."
    knows_conditions = False
