"""Text -> token shards: `build` makes a corpus from installed packages or own data, `load` opens one."""

from engine.corpus.build import build
from engine.corpus.shelf import Corpus, load
from engine.corpus.spec import CorpusSpec

__all__ = ["Corpus", "CorpusSpec", "build", "load"]
