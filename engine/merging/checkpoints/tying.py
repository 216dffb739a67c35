"""Adapters on models that tie their head to their embedding: what is trained of one counts for both, as in peft."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.merging.checkpoints.reader import EMBEDDING, HEAD, Checkpoint
from engine.spec.stacks import layer_of

TOKENS = re.compile(rf"{EMBEDDING.pattern}|(?:^|\.)shared\.weight$")  # embeddings of tokens
CAUSAL = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")  # architectures with a head over tokens


@dataclass(frozen=True)
class Tie:
    """embedding, head: the base's names, of one parameter; saved: those of them that the adapter trained as whole
    copies (modules_to_save). With one of these the two are tied no longer: the parameter stays in the other."""

    embedding: str
    head: str
    saved: tuple[str, ...]
    copies: tuple[str, ...]  # the adapter's names of the copies

    def places(self, name: str, target: str) -> list[str]:
        """The base's tensors that one of the adapter's tensors changes."""
        both = (self.embedding, self.head)
        if target not in both or name in self.copies:
            return [target]
        return [one for one in both if one not in self.saved] if self.saved else [self.embedding]


def tie_of(base: Checkpoint, targets: dict[str, str], settings: dict) -> Tie | None:
    """How an adapter changes a tied head or its embedding; None if the base does not tie them, or it changes neither.

    targets: the adapter's names -> the base's.
    """
    if base.is_tied is False or (base.is_tied is None and has_head(base.tensors)):
        return None
    heads = [one for one in targets.values() if HEAD.search(one)]
    own = [name for name, one in base.tensors.items() if TOKENS.search(name) and len(one.shape) == 2]
    own = [name for name in own if not HEAD.search(name) and layer_of(name) < 0]
    embeddings = [one for one in targets.values() if one in own]
    if not (heads or embeddings) or not own or not (heads or may_have_head(base)):
        return None
    embedding = (embeddings or own)[0]
    head = heads[0] if heads else head_of(embedding)
    whole = settings.get("modules_to_save") or [] if not settings.get("ensure_weight_tying") else []
    copies = [name for name, one in targets.items() if one in (embedding, head) and is_copy_of(name, whole)]
    return Tie(embedding, head, tuple(dict.fromkeys(targets[name] for name in copies)), tuple(copies))


def has_head(names: Iterable[str]) -> bool:
    """Whether one of the tensors is an output head."""
    return any(HEAD.search(name) for name in names)


def may_have_head(base: Checkpoint) -> bool:
    """Whether a model has a head over tokens, by its config.json: as its architecture says, else if it ties one."""
    kinds = (base.config or {}).get("architectures")
    if not isinstance(kinds, list):
        return bool(base.is_tied)
    return any(str(kind).endswith(CAUSAL) for kind in kinds)


def head_of(embedding: str) -> str:
    """The usual name of the head of a model whose file holds the embedding only."""
    outer = "language_model." if embedding.startswith("language_model.") else ""
    return "embed_out.weight" if embedding.endswith("embed_in.weight") else f"{outer}lm_head.weight"


def is_copy_of(name: str, modules: Iterable[str]) -> bool:
    """Whether an adapter's tensor is one of the modules that were trained as a whole."""
    module = name.rpartition(".")[0]
    return any(module == one or module.endswith(f".{one}") for one in modules)
