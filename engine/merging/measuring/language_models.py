"""Merges of language models on disk: built in place in one Hugging Face model, and measured on a corpus' text.

The base and the experts stay memory-mapped; a merge is written, tensor by tensor and chunk by chunk, into the weights
of the one loaded model, on a GPU if there is one. So a search never writes a checkpoint. M domains.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.core.workspace import within
from engine.merging.checkpoints.naming import meeting
from engine.merging.checkpoints.reader import HEAD
from engine.merging.config import from_text
from engine.merging.layout import lead_of, opened, plan
from engine.merging.measuring.answering import LogitModels
from engine.merging.measuring.flips import Losses, Reference
from engine.merging.measuring.windows import windows_of
from engine.merging.merge import inputs_of
from engine.merging.methods.global_stats import run_first_pass
from engine.metrics import (
    LOSS,
    Metric,
    Prediction,
    Text,
    asked_of,
    measured_by,
    names_of,
    task_values,
    values_of,
    window_scores,
)
from engine.metrics.evaluators import evaluated
from engine.proxies.device import choose_device
from engine.spec.merge import MergeSpec
from engine.spec.merge_point import merge_file, references
from engine.spec.tasks import Merging
from engine.tasks.outcomes import Outcome

CONTEXT = 1024  # tokens per window, or the model's own limit if lower


class ModelMerges:
    """The external base and K experts of a merge study. task: of a merge job; beat: called while evaluators run.

    Raises Problem if a model is missing or does not fit, or the optional package is not installed.
    """

    batch_size = 1

    def __init__(self, task: Merging, workspace: Path, device: str = "auto", beat: Callable[[], None] = lambda: None):
        self.merge, self.names, self.domains = MergeSpec.from_dict(task.merge), task.names, task.domains
        self.experts, self.device = list(task.experts), choose_device(device)
        self.metrics = measured_by(task.metrics)
        self.workspace, self.tasks = workspace, asked_of(workspace, task.tasks)
        self.measures = names_of(self.metrics, self.domains, self.tasks)
        base = within(workspace, task.base)
        self.paths, self.planned = references(workspace, task), []
        self.config = self.config_of(self._middle())
        self.models = opened(self.config)
        self.planned = plan(self.config, self.models)
        self.model, self.tokenizer = loaded(base, self.device)
        tensors = [one.slot.name for one in self.planned]
        if any(HEAD.search(name) for name in tensors):
            untied(self.model)
        self.places = places_of(self.model, tensors)
        corpus = corpora.load(within(workspace / "corpora", task.corpus))
        self.context = context_of(self.model, CONTEXT)
        self.vocabulary = len(self.model.get_input_embeddings().weight)  # V; tokens from there on are never predicted
        self.windows = {
            domain: windows_of(
                self.tokenizer, corpus, domain, self.merge.eval_bytes, self.context, begins_of(self.tokenizer)
            )
            for domain in self.domains
        }
        self.refused: dict[int, str] = {}  # of the last merges measured: place -> why the method refuses it
        self.outcomes: list[dict[str, Outcome]] = []  # of the last merges measured: what each answered, by task
        self.missing: list[dict[str, str]] = []  # of the last merges measured: metrics without a value, and why
        self.reference = self._as_it_is()[2] if task.flips else None  # the base, which is loaded before it is merged
        self.measures += self.reference.names if self.reference else []
        self.measures += self.merge.evaluated
        self.beat = beat

    def set_method(self, merge: MergeSpec, names: list[str]) -> None:
        """Measure by another method, or in other coordinates, with the same experts."""
        self.merge, self.names = merge, names

    def _middle(self) -> np.ndarray:
        """A point that is valid for every method: coefficients 0, knobs in the middle of their ranges."""
        return np.array([np.mean(self.merge.tuned[name]) if name in self.merge.tuned else 0.0 for name in self.names])

    @property
    def parameters(self) -> int:
        """Parameters of a merge."""
        return sum(one.slot.size for one in self.planned)

    def config_of(self, point: np.ndarray):
        """The merge at a point as engine.merging.merge reads it."""
        tensors = [one.slot.name for one in self.planned]
        text = merge_file(self.merge, self.experts, self.names, point, self.paths, tensors)
        return from_text(text)

    @torch.no_grad()
    def build(self, point: np.ndarray) -> None:
        """Put the merge at a point (D,) into the model's weights."""
        config = self.config_of(point)
        piece = config.slices[0]  # a file with `models` has one slice
        floating = [
            replace(one, piece=piece) for one in self.planned if one.slot.dtype.is_floating_point and one.slot.size
        ]
        stats = run_first_pass(config.method, [inputs_of(config, self.models, one) for one in floating])
        for one in floating:
            x, arguments = inputs_of(config, self.models, one)
            x.global_stats = stats
            at, flat = config.method.merge(x, **arguments), self.places[one.slot.name].view(-1)
            for part in x.chunks():
                flat[part] = at(part).to(flat.dtype)

    @property
    def tensors(self) -> list[str]:
        """The names of the tensors that are merged."""
        return [one.slot.name for one in self.planned if one.slot.dtype.is_floating_point and one.slot.size]

    @torch.no_grad()
    def without(self, point: np.ndarray, groups: list[list[str]]) -> Iterator[dict[str, tuple[np.ndarray, np.ndarray]]]:
        """As engine.merging.measuring.proxies.ProxyMerges.without, one after another in the one model."""
        self.build(point)
        yield self._nats()
        base = self.models[lead_of(self.config)]
        for names in groups:
            kept = {name: self.places[name].clone() for name in names}
            for name in names:
                self.places[name].copy_(base.flat(name).view(self.places[name].shape))
            yield self._nats()
            for name, value in kept.items():
                self.places[name].copy_(value)

    def _nats(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Nats and bytes of each domain's windows, by the weights that the model has."""
        found = {domain: self._sums(domain, Losses(), (LOSS,)) for domain in self.domains}
        return {domain: (sums[0, 0], text.bytes) for domain, (sums, text) in found.items()}

    @torch.no_grad()
    def measure(self, points: np.ndarray, tokens: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Metrics of merges at points (G, D), and standard errors over windows: (G, M) each, in order of `measures`.

        NaN if the method refuses one; `refused` says why.
        """
        losses, errors, self.refused, self.outcomes, self.missing = [], [], {}, [], []
        for place, point in enumerate(np.atleast_2d(points)):
            try:
                self.build(point)
            except Problem as problem:
                self.refused[place] = str(problem)
                losses.append([np.nan] * len(self.measures))
                errors.append([np.nan] * len(self.measures))
                self.outcomes.append({})
                self.missing.append({})
                continue
            own, error, did, missing = self._as_it_is()
            if self.reference is not None:
                worse, of_worse = self.reference.flips(did.losses, [did.outcomes])
                own, error = np.hstack([own, worse[0]]), np.hstack([error, of_worse[0]])
                missing |= self.reference.missing(did.unscored)
            if self.merge.evaluators:
                told, spread, untold = self._evaluated()
                own, error, missing = np.hstack([own, told]), np.hstack([error, spread]), missing | untold
            losses.append(own)
            errors.append(error)
            self.outcomes.append(did.outcomes)
            self.missing.append(missing)
        return np.array(losses), np.array(errors)

    @torch.no_grad()
    def _as_it_is(self) -> tuple[np.ndarray, np.ndarray, Reference, dict[str, str]]:
        """Metrics of the model with the weights that it has, and standard errors, (M,) each, what it did, and why
        metrics have no value."""
        single = Losses()
        sums, texts = zip(*(self._sums(domain, single, self.metrics) for domain in self.domains), strict=True)
        own, error = values_of(self.metrics, sums, texts)
        answered = task_values(self.reader, self.tasks, self.workspace)
        both = np.hstack([own, answered.values])[0], np.hstack([error, answered.errors])[0]
        names = [task.name for task, _ in self.tasks]
        did = Reference(single, answered.outcomes[0], names, answered.unscored)
        return *both, did, answered.missing(self.tasks)

    def _evaluated(self) -> tuple[list[float], list[float], dict[str, str]]:
        """What evaluators tell of the model with the weights that it has, standard errors, and why those metrics have
        no value whose program fails: it takes nothing from the others."""
        values, errors, missing = [], [], {}
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint"
            self.model.save_pretrained(checkpoint)
            self.tokenizer.save_pretrained(checkpoint)
            for name, metrics in self.merge.evaluators.items():
                try:
                    found, spread = evaluated(name, list(metrics), self.workspace, checkpoint, self.beat)
                except Problem as problem:
                    found = spread = [np.nan] * len(metrics)
                    missing |= dict.fromkeys(metrics, str(problem))
                values += found
                errors += spread
        return values, errors, missing

    @property
    def reader(self) -> LogitModels:
        """How its merges read a text."""
        return self.speaking(lambda seen: self.model(seen).logits)

    def speaking(self, logits: Callable[[torch.Tensor], torch.Tensor]) -> LogitModels:
        """A model of this tokenizer, by its logits."""
        return speaking(self.tokenizer, logits, self.context, self.model.device)

    def _sums(self, domain: str, single: Losses, metrics: Sequence[Metric]) -> tuple[np.ndarray, Text]:
        """The scores' sums over each window of a domain, (metrics, 1, W), and the text of the windows; single: takes
        the losses of their tokens."""
        sums, windows = [], self.windows[domain]
        for one in windows:
            tokens = torch.from_numpy(one.tokens(self.vocabulary))[None].to(self.model.device)
            ids = tokens % self.vocabulary
            prediction = Prediction(
                tokens[:, 1:], lambda seen=ids: self.model(seen).logits[:, :-1], None, self.vocabulary
            )
            sums.append(window_scores(metrics, prediction))
            single.take(domain, prediction)
        counted = np.array([one.predicted[1:].sum() for one in windows])
        return np.stack(sums, -1), Text(counted, np.array([one.size for one in windows], float))

    def anatomy(self) -> dict:
        """Which expert moved which tensor, and how alike (engine.merging.measuring.proxies.ProxyMerges.anatomy)."""
        tensors, moved, cosines = [], [], []
        for one in self.planned:
            if not one.slot.dtype.is_floating_point or not one.slot.size:
                continue
            x, _ = inputs_of(self.config, self.models, one)
            base = self.models[lead_of(self.config)].flat(one.slot.name)
            x.base = base
            gram = x.gram()
            size = np.sqrt(np.maximum(np.diagonal(gram), 0))
            whole = float(base.float().norm()) or 1e-12
            unit = np.maximum(size, 1e-12)
            tensors.append(one.slot.name)
            moved.append((size / whole).tolist())
            cosines.append((gram / unit[:, None] / unit).tolist())
        return {"tensors": tensors, "moved": np.array(moved).T.tolist(), "cosines": cosines}


def loaded(folder: Path, device: str):
    """The base as a Hugging Face model, and its tokenizer. Raises Problem if the package or a file is missing."""
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise Problem(
            "Cannot measure language models: the package transformers is missing. Install it: "
            "python -m pip install -r requirements-transformers.txt"
        ) from None
    config = folder / "config.json"
    try:
        settings = json.loads(config.read_text())
        if "auto_map" in settings:
            raise Problem(f"Cannot load {folder}: its config.json asks to run code of its own (auto_map). Remove that.")
        if isinstance(settings, dict):
            refuse_others(folder, settings)
        keep = {"local_files_only": True, "trust_remote_code": False}
        dtype = torch.float32 if device == "cpu" else "auto"
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=dtype, **keep)
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **keep)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = str(error).strip().split("\n")[0]
        raise Problem(f"Cannot load {folder} as a causal language model: {first}. Copy its whole folder.") from error
    if not tokenizer.is_fast:
        raise Problem(f"Cannot measure {folder} in bits per byte: it has no fast tokenizer. Add a tokenizer.json.")
    return model.to(device).eval(), tokenizer


def refuse_others(folder: Path, settings: dict) -> None:
    """Raise Problem for a model that is known, and that predicts no next token of text alone."""
    from transformers.models.auto import configuration_auto, modeling_auto

    kind = settings.get("model_type")
    known = isinstance(kind, str) and kind in configuration_auto.CONFIG_MAPPING_NAMES
    if known and kind not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        named = ", ".join(map(str, settings.get("architectures") or [kind]))
        raise Problem(
            f"Cannot measure {folder}: it is not a causal language model of text alone, but {named}. Studies measure "
            "those only; a merge file merges others, without measuring them."
        )


def untied(model) -> None:
    """Give a model that ties its head to its embedding a head of its own, since its merges have one."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and head.weight is embedding.weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
        model.config.tie_word_embeddings = False


def places_of(model, tensors: list[str]) -> dict[str, torch.Tensor]:
    """Each checkpoint tensor's parameter in the loaded model. Raises Problem if one is missing."""
    own = {name: value.data for name, value in model.state_dict(keep_vars=True).items()}
    met = meeting(tensors, list(own))
    found = {name: own.get(met.get(name, name)) for name in tensors}
    if lacking := [name for name, place in found.items() if place is None]:
        raise Problem(f"Cannot place the tensor {lacking[0]!r}: {type(model).__name__} has none of that name.")
    return found


def speaking(tokenizer, logits: Callable[[torch.Tensor], torch.Tensor], context: int, device) -> LogitModels:
    """A model of a tokenizer, by its logits, as metrics of tasks ask it."""
    return LogitModels(logits, partial(token_ids, tokenizer), tokenizer.decode, begins_of(tokenizer), context, device)


def context_of(model, most: int) -> int:
    """The tokens that a model sees: `most`, or its own limit if that is lower."""
    return min(most, getattr(model.config, "max_position_embeddings", most) or most)


def begins_of(tokenizer) -> list[int]:
    """The token that a tokenizer prepends, if it does."""
    first: list[int] = tokenizer("a").input_ids[:1]
    return first if tokenizer.bos_token_id in first else []


def token_ids(tokenizer, text: str) -> list[int]:
    """The tokens of a text, without any that the tokenizer adds."""
    found: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return found
