"""How proxies read a text: as tokens of their corpus."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from engine.corpus.shelf import Corpus


class CorpusReader:
    """engine.metrics.models.Reader: the tokens of a corpus, as models of a context see them."""

    def __init__(self, corpus: Corpus, context: int) -> None:
        self.corpus, self.context = corpus, context

    @cached_property
    def begin(self) -> list[int]:
        """The end of a document before, as every text of the corpus but the first has it."""
        return self._ids("")

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without an end."""
        return self._ids(text)[:-1]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens."""
        return self.corpus.decode(np.array(ids, np.int64))

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self.corpus.tokenizer.encode([text.encode()]).tolist()
        return found
