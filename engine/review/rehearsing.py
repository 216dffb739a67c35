"""Rehearsals: a point of a study by the rule of a loader, on the lengths of its corpus' documents. Uses the store."""

from collections.abc import Mapping

import numpy as np

from engine.core.errors import Problem
from engine.corpus.shelf import Corpus
from engine.recipes import Recipe
from engine.recipes.rehearsal import Rehearsal, rehearse
from engine.review.recipe import per_document
from engine.studies import corpora
from store import studies
from store.database import Store

MOST_TOKENS = 1 << 23  # of a domain, from its beginning: enough for tens of thousands of documents


def rehearsed(
    store: Store,
    study: studies.Study,
    recipe: Recipe,
    format: str,
    context: int,
    lengths: Mapping[str, list[float]] | None = None,
    seed: int = 0,
) -> Rehearsal:
    """The rehearsal of a recipe of a study. lengths: domain -> tokens of its documents; others are the corpus' own.

    Where the recipe's mean length of a domain is another than the corpus' (another tokenizer), the corpus' lengths are
    stretched to it. Raises Problem as `rehearse` does, and for the recipe of a merge.
    """
    if not isinstance(recipe, Recipe):
        raise Problem("Cannot rehearse a merge: no loader mixes its text. Choose a study of mixtures.")
    own = corpus_lengths(store, study, recipe)
    return rehearse(recipe, format, context, own | {name: np.array(one) for name, one in (lengths or {}).items()}, seed)


def corpus_lengths(store: Store, study: studies.Study, recipe: Recipe) -> dict[str, np.ndarray]:
    """The lengths (M,) of the domains' training documents, of those where it is known how documents end."""
    if study.imported or study.external or study.corpus is None:
        return {}
    corpus, found = corpora.opened(store, study.spec["corpus"]), {}
    for place, domain in enumerate(study.domains):
        mean, own = recipe.tokens_per_document, document_lengths(corpus, domain)
        if own is not None:
            known = per_document(corpus.manifest["domains"][domain])
            found[domain] = own * (mean[place] / known if mean and known else 1)
    return {name: np.maximum(own, 1) for name, own in found.items()}


def document_lengths(corpus: Corpus, domain: str) -> np.ndarray | None:
    """Tokens of a domain's first training documents (M,), with the one that ends each; None where no token does."""
    end = corpus.manifest["tokenizer"].get("end")
    if not isinstance(end, int):
        return None
    ids = corpus.train(domain)[:MOST_TOKENS]
    ends = np.flatnonzero((ids % corpus.vocabulary if corpus.answers_only(domain) else ids) == end)
    return np.diff(ends, prepend=-1).astype(float) if len(ends) else None
