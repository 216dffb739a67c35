"""Tiny Llamas with real tokenizers, for tests of merges whose models know different tokens."""

import json
import string
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

WIDTH, LAYERS = 8, 4
PLAIN = ["<s>", "</s>", "<unk>", *string.ascii_lowercase, "Ġ"]
CHATML = ("<|im_start|>", "<|im_end|>")
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": 12,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def tokens_file(folder: Path, plain=PLAIN, added=(), reserved=(), template: str | None = None) -> list[str]:
    """A byte-level BPE tokenizer with these letters; its tokens in order. added: special tokens behind them."""
    merges = [(a, b) for a, b in (("a", "b"), ("c", "d")) if a + b in plain]
    tokenizer = Tokenizer(BPE({token: n for n, token in enumerate(plain)}, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (*reserved, *added)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    settings |= {"chat_template": template} if template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return [*plain, *reserved, *added]


def speaker(folder: Path, seed: int, layers=LAYERS, tied=False, rows: int | None = None, **tokens) -> Path:
    """A tiny Llama with random weights and a tokenizer. rows: of its embeddings, where not one for each token."""
    folder.mkdir(parents=True)
    count = rows or len(tokens_file(folder, **tokens))
    generator = torch.Generator().manual_seed(seed)
    inner = CONFIG["intermediate_size"]
    shapes = {"model.embed_tokens.weight": (count, WIDTH), "model.norm.weight": (WIDTH,)}
    shapes |= {} if tied else {"lm_head.weight": (count, WIDTH)}
    for n in range(layers):
        block = f"model.layers.{n}"
        shapes |= {f"{block}.{name}.weight": (WIDTH,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{block}.self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qo"}
        shapes |= {f"{block}.self_attn.{name}_proj.weight": (4, WIDTH) for name in "kv"}
        shapes |= {f"{block}.mlp.{name}_proj.weight": (inner, WIDTH) for name in ("gate", "up")}
        shapes[f"{block}.mlp.down_proj.weight"] = (WIDTH, inner)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    said = CONFIG | {"num_hidden_layers": layers, "vocab_size": count, "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(said))
    return folder


def speakers(root: Path) -> Path:
    """base, a and b: one vocabulary; chatml and pad: with tokens of their own; other: in another order, with plain
    tokens of its own; reserved and renamed: two reserved tokens, and ChatML's in their places."""
    for seed, name in enumerate(("base", "a", "b")):
        speaker(root / name, seed)
    speaker(root / "chatml", 3, added=CHATML)
    speaker(root / "pad", 4, added=("<pad>", CHATML[1]))
    speaker(root / "other", 5, plain=[*reversed(PLAIN), "ab"])
    speaker(root / "reserved", 6, reserved=("<|reserved_0|>", "<|reserved_1|>"))
    speaker(root / "renamed", 7, reserved=CHATML)
    return root
