"""The model that a harness is run on, from the workspace: a language model's folder, or a saved proxy."""

from pathlib import Path

import torch

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.core.workspace import within
from engine.merging.measuring.language_models import begins_of, context_of, loaded, speaking
from engine.metrics.models import Ids, Models
from engine.proxies.answering import StackModels
from engine.proxies.device import choose_device
from engine.proxies.model import saved_proxy, stack
from engine.spec.fidelity import Fidelity, shapes
from engine.spec.harness import is_proxy, model_in
from engine.spec.kinds.harness import HarnessTask

CONTEXT = 4096  # most tokens that a language model sees: what more would cost in memory


def model_of(task: HarnessTask, workspace: Path) -> tuple[Models, Ids]:
    """The model of a task, and the tokens before a text that has none before it. Raises Problem where it cannot be
    loaded."""
    path, device = model_in(workspace, task.model), choose_device(task.device)
    if not is_proxy(task.model):
        return language_model(path, device)
    if task.corpus is None or task.fidelity is None:
        raise Problem(f"Cannot load the proxy {task.model!r}: its corpus and fidelity are not given. Name its study.")
    corpus, fidelity = corpora.load(within(workspace / "corpora", task.corpus)), Fidelity.from_dict(task.fidelity)
    state = saved_proxy(workspace, task.model, shapes(fidelity, corpus.vocabulary))
    models = StackModels(stack(fidelity, corpus.vocabulary, [state], device), corpus)
    return models, models.begin


def language_model(path: Path, device: str) -> tuple[Models, Ids]:
    """A Hugging Face model. Where its tokenizer begins no text itself, the token for a text's beginning, or for the
    end of the one before, stands in for texts with nothing before them."""
    model, tokenizer = loaded(path, device)
    vocabulary = len(model.get_input_embeddings().weight)

    def logits(tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(tokens % vocabulary).logits
        return found

    models = speaking(tokenizer, logits, context_of(model, CONTEXT), model.device)
    stand_in = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return models, begins_of(tokenizer) or ([] if stand_in is None else [stand_in])
