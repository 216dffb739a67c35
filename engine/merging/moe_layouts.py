"""Layouts of mixtures of experts: names of tensors and settings as Mixtral, Qwen and DeepSeek have them."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.core.errors import Problem
from engine.merging.moe_file import MoeConfig

PARTS = ("gate_proj", "up_proj", "down_proj")  # of a dense model's feed-forward layer
DEEPSEEK = "deepseek-ai/deepseek-moe-16b-base--"  # whose code on the hub runs this layout


@dataclass(frozen=True)
class Layout:
    """name: as `architecture` has it; kinds: model types that it takes; shared: whether it must have a shared expert,
    may, or must not; block: what stands behind the layer's name; parts: of an expert; own: the shared expert's name;
    has_bias: attention must have biases; settings: the config.json from the base's."""

    name: str
    kinds: tuple[str, ...]
    shared: str
    block: str
    parts: tuple[str, str, str]
    own: str
    has_bias: bool
    settings: Callable[[dict, MoeConfig], dict]

    def expert(self, layer: str, number: int, part: str) -> str:
        """The name of an expert's tensor; layer: as model.layers.0; part: of PARTS."""
        return f"{layer}.{self.block}.experts.{number}.{self.parts[PARTS.index(part)]}.weight"

    def router(self, layer: str) -> str:
        return f"{layer}.{self.block}.gate.weight"

    def shared_expert(self, layer: str, part: str) -> str:
        return f"{layer}.{self.block}.{self.own}.{part}.weight"


# What a config.json that leaves a setting out means, by the library's defaults: a mixture's own would be others.
UNSAID = {"rope_theta": 10_000.0, "rms_norm_eps": 1e-6}
LONGEST = {"llama": 2048, "mistral": 131_072, "qwen2": 32_768, "qwen3": 32_768}  # max_position_embeddings
HEADS = {"mistral": 8, "qwen2": 32, "qwen3": 32}  # num_key_value_heads; of a Llama as many as there are heads


def spelt_out(base: dict) -> dict:
    """A dense model's config.json with the settings that it leaves to its architecture's defaults."""
    kind = str(base.get("model_type"))
    usual = UNSAID | {"num_key_value_heads": HEADS.get(kind, base.get("num_attention_heads"))}
    usual |= {"max_position_embeddings": LONGEST.get(kind, 2048)}
    if base.get("rope_parameters"):
        del usual["rope_theta"]
    return usual | {key: value for key, value in base.items() if value is not None or key not in usual}


def mixtral(base: dict, config: MoeConfig) -> dict:
    """Mixtral's settings."""
    return base | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_local_experts": len(config.experts),
        "num_experts_per_tok": config.per_token,
        "sliding_window": None,
    }


def qwen2(base: dict, config: MoeConfig) -> dict:
    """Qwen 1.5 and 2's settings: the shared expert is as wide as the others."""
    return common(base, config) | {
        "architectures": ["Qwen2MoeForCausalLM"],
        "model_type": "qwen2_moe",
        "shared_expert_intermediate_size": base["intermediate_size"],
        "sliding_window": None,
        "use_sliding_window": False,
    }


def qwen3(base: dict, config: MoeConfig) -> dict:
    """Qwen 3's settings."""
    return common(base, config) | {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe"}


def common(base: dict, config: MoeConfig) -> dict:
    """What both of Qwen's layouts have: every layer is sparse, and the chosen experts' weights sum to 1."""
    return base | {
        "num_experts": len(config.experts),
        "num_experts_per_tok": config.per_token,
        "moe_intermediate_size": base["intermediate_size"],
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    }


def deepseek(base: dict, config: MoeConfig) -> dict:
    """DeepSeek's first layout, without dense layers."""
    return base | {
        "architectures": ["DeepseekForCausalLM"],
        "model_type": "deepseek",
        "n_routed_experts": len(config.experts),
        "n_shared_experts": 1 if config.shared else None,
        "num_experts_per_tok": config.per_token,
        "first_k_dense_replace": 0,
        "moe_layer_freq": 1,
        "scoring_func": "softmax",
        "norm_topk_prob": True,
        "moe_intermediate_size": base["intermediate_size"],
        "auto_map": {
            "AutoConfig": f"{DEEPSEEK}configuration_deepseek.DeepseekConfig",
            "AutoModel": f"{DEEPSEEK}modeling_deepseek.DeepseekModel",
            "AutoModelForCausalLM": f"{DEEPSEEK}modeling_deepseek.DeepseekForCausalLM",
        },
    }


LLAMAS = ("llama", "mistral")
LAYOUTS = (  # the first that takes the models counts
    Layout("mixtral", LLAMAS, "no", "block_sparse_moe", ("w1", "w3", "w2"), "", False, mixtral),
    Layout("deepseek", LLAMAS, "may", "mlp", PARTS, "shared_experts", False, deepseek),
    Layout("qwen", (*LLAMAS, "qwen2"), "must", "mlp", PARTS, "shared_expert", True, qwen2),
    Layout("qwen3", ("qwen3",), "no", "mlp", PARTS, "", False, qwen3),
)


def layout_of(config: MoeConfig, kinds: dict[str, str]) -> Layout:
    """The layout that the models and the file allow. kinds: model -> model_type. Raises Problem if there is none."""
    asked = str(config.architecture or "").lower()
    names = ", ".join(one.name for one in LAYOUTS)
    wanted = [one for one in LAYOUTS if not asked or asked.startswith(one.name) or one.name.startswith(asked)]
    if not wanted:
        raise Problem(f"Cannot make the mixture: the architecture {config.architecture!r:.80} is not one of {names}.")
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} is {kind}" for name, kind in kinds.items())
        raise Problem(f"Cannot make the mixture: its models are of several architectures ({told}). Take those of one.")
    kind = next(iter(kinds.values()))
    for one in wanted:
        fits_shared = one.shared == "may" or (one.shared == "must") == (config.shared is not None)
        has_row = one.shared != "must" or not config.shared or bool(config.shared.positive) or "random" in config.gate
        if kind in one.kinds and fits_shared and has_row:
            return one
    takes = "; ".join(f"{one.name}: {', '.join(one.kinds)}, shared_experts {one.shared}" for one in wanted)
    raise Problem(
        f"Cannot make the mixture of {kind} models {'with' if config.shared else 'without'} a shared expert. What "
        f"layouts take: {takes}. qwen's shared expert needs prompts."
    )
