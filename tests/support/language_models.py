"""Tiny Llamas that transformers can load, with a tokenizer, trained a little on real text: a base and its experts."""

from pathlib import Path

import torch

from engine import corpus as corpora
from engine.corpus.tokenizers import train_bpe

STEPS, VOCABULARY = 30, 300


def text_of(corpus, domain: str) -> str:
    return corpus.decode(corpus.train(domain)[:60_000])


def family(folder: Path, corpus_folder: Path) -> Path:
    """folder/base, and folder/python and folder/prose: experts trained from it on one domain each."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    corpus = corpora.load(corpus_folder)
    texts = {domain: text_of(corpus, domain) for domain in ("python", "prose")}
    made = train_bpe(list(texts.values()), VOCABULARY)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made.model)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=64, tie_word_embeddings=True, **sizes)
    model = LlamaForCausalLM(config)
    ids = {domain: torch.tensor(tokenizer(text).input_ids) for domain, text in texts.items()}
    save(train(model, torch.cat(list(ids.values())), 2 * STEPS), tokenizer, folder / "base")
    for domain, own in ids.items():
        model = LlamaForCausalLM.from_pretrained(folder / "base")
        save(train(model, own, STEPS), tokenizer, folder / domain)
    return folder


def train(model, ids: torch.Tensor, steps: int):
    """A few steps of AdamW on random windows."""
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        starts = torch.randint(len(ids) - 33, (16,), generator=generator)
        batch = torch.stack([ids[start : start + 33] for start in starts])
        loss = model(batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def save(model, tokenizer, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
