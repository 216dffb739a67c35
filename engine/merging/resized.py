"""Models whose vocabulary is longer or shorter than the base's, seen with the base's rows."""

import re
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from engine.merging.adapters import Adapted
from engine.merging.checkpoints import Checkpoint, Stored, layer_of

ROWS = re.compile(r"(?:^|\.)(?:\w*(?:emb|wte|lm_head)\w*|output)\.weight$")  # embeddings and heads, by their names


class Resized:
    """A model whose embeddings and head have the lead's number of rows; used like a `Checkpoint`.

    Rows beyond the lead's are left out; where rows are missing the lead's own stand in, as if the model had not moved
    them. That is right only where both number the tokens that they share alike.
    """

    def __init__(self, model: Checkpoint | Adapted, lead: Checkpoint | Adapted):
        self.model, self.lead = model, lead
        self.path, self.home, self.files = model.path, model.home, model.files
        self.config, self.layers = model.config, model.layers
        self.changed = [name for name in model.tensors if differs_in_rows(model, lead, name)]

    @cached_property
    def tensors(self) -> dict[str, Stored]:
        """The model's tensors, with the lead's rows."""
        own = self.model.tensors
        return own | {name: replace(own[name], shape=self.lead.tensors[name].shape) for name in self.changed}

    def flat(self, name: str) -> Tensor:
        """A tensor's elements (n,) with the lead's rows."""
        found = self.model.flat(name)
        if name not in self.changed:
            return found
        wanted = self.lead.tensors[name].size
        if len(found) >= wanted:
            return found[:wanted]
        return torch.cat([found, self.lead.flat(name)[len(found) :].to(found.dtype)])


def differs_in_rows(model: Checkpoint | Adapted, lead: Checkpoint | Adapted, name: str) -> bool:
    """Whether a matrix with a row a token has other rows than the lead's and as many columns."""
    if name not in lead.tensors or not ROWS.search(name) or layer_of(name) >= 0:
        return False
    own, wanted = model.tensors[name].shape, lead.tensors[name].shape
    return len(own) == len(wanted) == 2 and own[0] != wanted[0] and own[1] == wanted[1]
