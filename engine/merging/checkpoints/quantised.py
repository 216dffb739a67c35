"""Quantised weights are named as what they are: their numbers are codes with scales, which cannot be added."""

import re
from collections.abc import Iterable
from pathlib import Path

from engine.core.errors import Problem

# Of config.json, also inside its parts (text_config); MLX says "quantization".
KEYS = ("quantization_config", "compression_config", "quantization")
# How a quantiser's tensors end -> its name, for files whose config.json says nothing of it.
ENDS = {
    r"\.qweight|\.qzeros": "GPTQ or AWQ",
    r"\.absmax|\.nested_absmax|\.quant_map|\.quant_state\.\w+|\.SCB": "bitsandbytes",
    r"\.(weight|input)_(global_)?scales?(_inv|_2)?|\.weight_zero_points?": "FP8, FP4 or INT8 with scales",
    r"\.weight_packed|\.weight_shape": "compressed-tensors",
    r"\.W_q|\.W_q_\w+": "HQQ",
    r"\.weight\._data|\.weight\._scale": "quanto",
    r"\.codebooks|\.codes": "AQLM",
    r"_proj_blocks|_proj_scales": "MXFP4",
    r"\.q_weight|\.q_scale|\.q_scale_max|\.q_groups|\.q_perm|\.q_invperm": "EXL2",
    r"\.trellis|\.suh|\.svh": "EXL3",
    r"\.Qidxs": "QuIP#",
    r"\.centroids\.weight|\.res_centroids\.weight": "VPTQ",
    r"_proj\.biases|\.embed_tokens\.biases|\.embed_tokens\.scales": "MLX",
}
ANY_END = re.compile(f"(?:{'|'.join(ENDS)})$")
CURE = "Merge the model that it was quantised from, or load it and save it again in bfloat16 without quantisation."


def refuse_configured(path: Path, config: dict | None) -> None:
    """Raise Problem for a model whose config.json says that it is quantised."""
    for part in [config or {}, *((config or {}).values())]:
        marks = [part[key] for key in KEYS if part.get(key)] if isinstance(part, dict) else []
        if marks:
            kind = marks[0].get("quant_method", marks[0].get("quant_algo")) if isinstance(marks[0], dict) else None
            raise Problem(
                f"Cannot merge {path}: its weights are quantised ({kind or 'of an unnamed kind'}), as its config.json "
                f"says. {CURE} If they are not, take that out of its config.json."
            )


def codes(name: str, shape: tuple[int, ...], dtype: str, where: str) -> str | None:
    """The refusal of a matrix of whole numbers, which stand for weights; None for a buffer. where: in which model."""
    if not name.endswith(".weight") or len(shape) < 2:
        return None
    return f"Cannot merge {where}: its weights are quantised: {name!r} holds whole numbers ({dtype}). {CURE}"


def refuse_named(path: Path, tensors: Iterable[str]) -> None:
    """Raise Problem for a model with a quantiser's tensors."""
    for name in tensors:
        if found := ANY_END.search(name):
            kind = next(kind for end, kind in ENDS.items() if re.fullmatch(end, found[0]))
            raise Problem(f"Cannot merge {path}: its weights are quantised ({kind}): it has {name!r}. {CURE}")
