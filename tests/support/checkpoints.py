"""Tiny Llamas on disk, for tests of merging."""

import json

import torch
from safetensors.torch import load_file, save_file

from engine.merging.config import from_dict

FILE = "model.safetensors"
LAYERS, WIDTH, HIDDEN, VOCABULARY = 3, 32, 48, 64
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def llama(seed: int, base: dict | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a tiny Llama: random, or near a base."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "model.norm.weight": (WIDTH,)}
    shapes["lm_head.weight"] = (VOCABULARY, WIDTH)
    for n in range(LAYERS):
        head = f"model.layers.{n}"
        shapes |= {f"{head}.{name}.weight": (WIDTH,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{head}.self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qo"}
        shapes |= {f"{head}.self_attn.{name}_proj.weight": (WIDTH // 2, WIDTH) for name in "kv"}
        shapes |= {f"{head}.mlp.{name}_proj.weight": (HIDDEN, WIDTH) for name in ("gate", "up")}
        shapes[f"{head}.mlp.down_proj.weight"] = (WIDTH, HIDDEN)
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return drawn if base is None else {name: base[name] + 0.1 * value for name, value in drawn.items()}


def write(folder, tensors, shards=1):
    """A model's folder, in one file or several."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, folder / FILE)
        return
    index = {}
    for n in range(shards):
        part = {name: tensors[name] for name in names[n::shards]}
        file = f"model-{n + 1:05d}-of-{shards:05d}.safetensors"
        save_file(part, folder / file)
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def tensors_of(folder) -> dict[str, torch.Tensor]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def family(root):
    """A base and two experts, one of them sharded; and three bare files."""
    base = llama(0)
    write(root / "base", base)
    for n, name in enumerate(("one", "two"), 1):
        write(root / name, llama(n, base), shards=n)
    for name in ("base", "one", "two"):
        save_file(tensors_of(root / name), root / f"{name}.safetensors")
    return root


def merging(zoo, experts=("one", "two"), method="task_arithmetic", base="base", **settings):
    """A merge of some of a family."""
    models = [{"model": name, "parameters": {"weight": 0.5}} for name in experts]
    return from_dict({"merge_method": method, "base_model": base, "models": models} | settings, zoo)


def vocabulary(folder, tokens, added=()):
    """tokenizer.json with these tokens, numbered from 0, and others added behind."""
    told = {
        "model": {"type": "BPE", "vocab": {token: n for n, token in enumerate(tokens)}},
        "added_tokens": [{"content": token, "id": len(tokens) + n} for n, token in enumerate(added)],
    }
    (folder / "tokenizer.json").write_text(json.dumps(told))
