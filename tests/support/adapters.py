"""Small models and LoRA adapters on them, written tensor by tensor, as peft writes them."""

import json

import torch
from safetensors.torch import save_file

BASE = {
    "model.embed_tokens.weight": (11, 6),
    "model.layers.0.q_proj.weight": (6, 6),
    "model.layers.0.up_proj.weight": (9, 6),
    "model.layers.1.up_proj.weight": (9, 6),
    "model.norm.weight": (6,),
    "lm_head.weight": (11, 6),
}


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def base_of(folder, shapes=None, name="base"):
    folder = folder / name
    folder.mkdir()
    tensors = {key: drawn(shape, place) for place, (key, shape) in enumerate((shapes or BASE).items())}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 2}))
    return folder, tensors


def adapter_of(folder, tensors, name="adapter", **settings):
    folder = folder / name
    folder.mkdir()
    named = {f"base_model.model.{key}": value for key, value in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 8} | settings
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder


def low(module, rows, columns, rank=2, seed=50):
    return {
        f"{module}.lora_A.weight": drawn((rank, columns), seed),
        f"{module}.lora_B.weight": drawn((rows, rank), seed + 1),
    }


def tensor(model, name):
    return model.flat(name).reshape(model.tensors[name].shape)


def small(transformers, name):
    """A tiny model of transformers that ties what it ties by default."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "max_position_embeddings": 20, "num_attention_heads": 2, "num_hidden_layers": 2}
    wide = {
        "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
        "Bert": {"hidden_size": 16, "intermediate_size": 24},
        "Bart": {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "encoder_layers": 2, "decoder_layers": 1},
        "T5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
    }
    kind = next(one for one in wide if name.startswith(one))
    more = {"encoder_attention_heads": 2, "decoder_attention_heads": 2} if kind == "Bart" else {}
    return getattr(transformers, name)(getattr(transformers, f"{kind}Config")(**sizes | wide[kind] | more))
