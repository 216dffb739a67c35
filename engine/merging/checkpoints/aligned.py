"""A model aligned to the lead: with the lead's names, with its embedding rows, and with a head if the lead has one."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.merging.checkpoints.adapters import Adapted
from engine.merging.checkpoints.naming import meeting
from engine.merging.checkpoints.reader import EMBEDDING, HEAD, ROWS, Checkpoint, Stored
from engine.merging.checkpoints.vocabulary import Difference, refusal
from engine.spec.stacks import layer_of

PAGE = 4096  # bytes


class Aligned:
    """A model in a merge beside the lead; used like a `Checkpoint`.

    Rows beyond the lead's are dropped. If rows are missing, or belong to tokens that the model does not know, the
    lead's are used, as if the model had not moved them. That is valid only if both number their shared tokens
    identically; otherwise rows stay as they are. A head that the model ties, and the lead does not, is its embedding.
    """

    def __init__(self, model: Checkpoint | Adapted, lead: Checkpoint | Adapted, difference: Difference | None):
        self.model, self.lead, self.difference = model, lead, difference
        self.path, self.home, self.files = model.path, model.home, model.files
        self.config, self.layers, self.is_tied = model.config, model.layers, model.is_tied
        self.stacks, self.notes = model.stacks, list(model.notes)
        renamed = meeting(list(model.tensors), list(lead.tensors))  # the model's name -> the lead's
        self.own = {renamed.get(name, name): name for name in model.tensors}  # and back
        for name, other in list(renamed.items())[:1]:
            self.notes.append(f"{model.path} calls {name!r} what is {other!r} in {lead.path}: taken as one.")
        self.heads = tied_heads(model, lead)  # the lead's name of a head -> the model's name of the embedding
        self.own |= self.heads
        self.rows, self.unknown = [], []
        if difference is not None and refusal(difference) is None:
            self.rows = [name for name in self.own if self._has_rows(name)]
            self.unknown = [number for _, number in difference.lacking if number >= 0]

    def _has_rows(self, name: str) -> bool:
        """Whether a tensor is a matrix with one row per token and the lead's width."""
        if name not in self.lead.tensors or not ROWS.search(name) or layer_of(name) >= 0:
            return False
        own, wanted = (self._stored(name).shape, self.lead.tensors[name].shape)
        return len(own) == len(wanted) == 2 and own[1] == wanted[1]

    def _stored(self, name: str) -> Stored:
        return self.model.tensors[self.own[name]]

    @property
    def longer(self) -> int:
        """Number of rows dropped."""
        own = [self._stored(name).shape[0] - self.lead.tensors[name].shape[0] for name in self.rows]
        return max([0, *own])

    @property
    def held(self) -> int:
        """Bytes of memory to access the tensors: those shorter than the lead's are copied one by one, and pages with
        overwritten rows stay in memory."""
        copied, pages = [0], 0
        for name in self.rows:
            (own, columns), wanted = self._stored(name).shape, self.lead.tensors[name].shape[0]
            row = columns * self._stored(name).dtype.itemsize
            copied += [wanted * row] if own < wanted else []
            pages += min(wanted * row, len(self._written(name)) * max(row, PAGE)) if own >= wanted else 0
        return self.model.held + max(copied) + pages

    def _written(self, name: str) -> list[int]:
        """Unused rows, overwritten with the lead's."""
        there = min(self._stored(name).shape[0], self.lead.tensors[name].shape[0])
        return [number for number in self.unknown if number < there]

    @cached_property
    def tensors(self) -> dict[str, Stored]:
        """The model's tensors, with the lead's heads and rows."""
        found = {name: replace(self._stored(name), name=name) for name in self.own}
        return found | {name: replace(found[name], shape=self.lead.tensors[name].shape) for name in self.rows}

    def flat(self, name: str) -> Tensor:
        """A tensor's elements (n,) with the lead's rows."""
        found = self.model.flat(self.own[name])
        if name not in self.rows:
            return found
        lead, shape = self.lead.flat(name), self.lead.tensors[name].shape
        short = self._stored(name).shape[0] < shape[0]
        found = torch.cat([found, lead[len(found) :].to(found.dtype)]) if short else found[: len(lead)]
        if written := self._written(name):  # into private copies of the pages: the file does not change
            found.view(shape)[written] = lead.view(shape)[written].to(found.dtype)
        return found

    def culprit(self, name: str) -> Path:
        """The file responsible for a tensor's invalid values."""
        return self.model.culprit(self.own[name])


def tied_heads(model: Checkpoint | Adapted, lead: Checkpoint | Adapted) -> dict[str, str]:
    """The lead's heads that a model lacks since it ties them, as its config.json says: head -> embedding."""
    if not model.is_tied:
        return {}
    lacking = [name for name in lead.tensors if HEAD.search(name) and name not in model.tensors]
    found = {head: embeddings(model, lead.tensors[head].shape[1:]) for head in lacking}
    return {head: names[0] for head, names in found.items() if names}


def embeddings(model: Checkpoint | Adapted, columns: tuple[int, ...]) -> list[str]:
    """Its token embeddings of that width."""
    return [
        name
        for name, one in model.tensors.items()
        if EMBEDDING.search(name) and not HEAD.search(name) and layer_of(name) < 0 and one.shape[1:] == columns
    ]


def is_copy(model: Checkpoint | Adapted | Aligned, head: str) -> bool:
    """Whether a model's head equals its embedding: as config.json says, else by its weights."""
    said, own = model.is_tied, model.tensors[head]
    found = [name for name in embeddings(model, own.shape[1:]) if model.tensors[name].shape == own.shape]
    if said is not None:
        return bool(said and found)
    same = [name for name in found if model.tensors[name].dtype == own.dtype]
    return any(torch.equal(model.flat(name), model.flat(head)) for name in same)
