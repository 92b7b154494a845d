"""Which families of the installed transformers choose experts, and how each is built tiny."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from decodeplug.testing.families import common_options, family_model, readied

__all__ = ["CANNOT", "CI", "build", "moe_families"]

_SIGNS = re.compile(r"top_k_index|selected_experts|router_indices|class \w*(TopKGating|CDMoE)\b|class Llama4Router")

CI = ("mixtral", "deepseek_v3", "gpt_oss", "qwen3_moe", "jetmoe", "llama4", "zaya", "phimoe")
"""One of each kind."""


def moe_families() -> list[str]:
    """Folders of transformers' models whose code chooses experts."""
    root = Path(transformers.__file__).parent / "models"
    return sorted(path.parent.name for path in root.glob("*/modeling_*.py") if _SIGNS.search(path.read_text("utf-8")))


def build(family: str) -> Any:
    """A tiny random model of a family."""
    return BUILT_OTHERWISE[family]() if family in BUILT_OTHERWISE else family_model(family)


MLA = {
    "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
    "v_head_dim": 16, "head_dim": ...,
}  # fmt: skip
SPARSE = {"index_n_heads": 24, "index_topk": 4, "index_head_dim": 16}
GROUPS = {"n_group": 2, "topk_group": 1, "n_routed_experts": 8, "num_experts_per_tok": 2}
SMALL = {
    "depth": 1, "num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "out_hidden_size": 64, "deepstack_visual_indexes": [0], "hidden_sizes": [16],
    "depths": [1], "patch_sizes": [16], "layer_types": None, "projection_intermediate_size": 48, "vocab_size": 64, "mlp_dim": 48,
    "global_attn_indexes": [0], "downsample_channels": [16, 32], "output_channels": 16,
}  # fmt: skip
"""Sizes of encoders of pictures and sound, which have no part in a text: of those that they have."""


def with_senses(family: str, **text: Any) -> Any:
    """A tiny random model that reads pictures or sound as well.

    :param text: What its language model needs beside the common sizes.
    """
    default: Any = CONFIG_MAPPING[family]()
    senses = {
        name: _small(getattr(default, name)) for name in ("vision_config", "audio_config") if hasattr(default, name)
    }
    language = type(default.text_config)(**common_options(default.text_config, text))
    config = type(default)(text_config=language, **{name: one for name, one in senses.items() if one is not None})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return readied(getattr(transformers, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[family])(config))


def _small(config: Any) -> Any:
    """A config of the same kind with small sizes, and so those that are in it."""
    if config is None:
        return None
    sizes = {name: value for name, value in SMALL.items() if hasattr(config, name)}
    inner = {
        name: _small(one) for name, one in vars(config).items() if name.endswith("_config") and hasattr(one, "to_dict")
    }
    return type(config)(**sizes, **inner)


def mistral4() -> Any:
    default: Any = CONFIG_MAPPING["mistral4"]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return readied(transformers.Mistral4ForCausalLM(type(default)(**common_options(default, {**MLA, **GROUPS}))))


def qwen3_omni() -> Any:
    """The part of it that writes text."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        thinker = transformers.Qwen3OmniMoeThinkerConfig
        default: Any = thinker()
        text = type(default.text_config)(**common_options(default.text_config, {}))
        audio = type(default.audio_config)(
            d_model=16,
            encoder_layers=1,
            encoder_attention_heads=2,
            encoder_ffn_dim=16,
            output_dim=64,
            downsample_hidden_size=8,
        )
        config = thinker(text_config=text, vision_config=_small(default.vision_config), audio_config=audio)
        return readied(transformers.Qwen3OmniMoeThinkerForConditionalGeneration(config))


BUILT_OTHERWISE: dict[str, Callable[[], Any]] = {
    "aria": partial(family_model, "aria_text"),
    "bailing_hybrid": partial(
        family_model, "bailing_hybrid", first_k_dense_replace=0, n_group=2, topk_group=1, num_experts=8
    ),
    "beam": partial(family_model, "beam", mlp_layer_types=["dense", "sparse"], n_group=2, topk_group=1, num_experts=8),
    "deepseek_ocr2": partial(
        with_senses,
        "deepseek_ocr2",
        mlp_layer_types=["dense", "sparse"],
        num_key_value_heads=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
    ),
    "deepseek_v2": partial(family_model, "deepseek_v2", topk_method="group_limited_greedy", **GROUPS),
    "deepseek_v3": partial(family_model, "deepseek_v3", **GROUPS),
    "deepseek_v4": partial(family_model, "deepseek_v4", mlp_layer_types=["hash_moe", "moe"]),
    "doge": partial(family_model, "doge", is_moe=True, num_experts=16, num_experts_per_tok=3),
    "ernie4_5_vl_moe": partial(
        with_senses,
        "ernie4_5_vl_moe",
        moe_intermediate_size=[32, 32],
        head_dim=16,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [3, 3, 2]},
    ),
    "flint": partial(family_model, "flint", mlp_only_layers=[0]),
    "gemma4": partial(
        family_model, "gemma4_text", enable_moe_block=True, top_k_experts=2, moe_intermediate_size=32, num_experts=4
    ),
    "glm4v_moe": partial(
        with_senses,
        "glm4v_moe",
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1],
            "partial_rotary_factor": 0.5,
        },
    ),
    "glm5_next": partial(
        with_senses, "glm5_next", **{**MLA, "qk_rope_head_dim": 0}, mlp_layer_types=["dense", "sparse"]
    ),
    "hy_v4_vl": partial(
        with_senses,
        "hy_v4_vl",
        **MLA,
        **SPARSE,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
    ),
    "inkling": partial(family_model, "inkling_text"),
    "inkling2": partial(family_model, "inkling2_text"),
    "inkling2_loop": partial(family_model, "inkling2_loop_text"),
    "minimax_m3_vl": partial(family_model, "minimax_m3_vl_text"),
    "mistral4": mistral4,
    "mistral_large4": partial(with_senses, "mistral_large4", **MLA, **SPARSE),
    "muse_spark": partial(with_senses, "muse_spark", moe_hidden_size=32),
    "qwen3_omni_moe": qwen3_omni,
    "qwen3_vl_moe": partial(with_senses, "qwen3_vl_moe"),
    "step3p7": partial(with_senses, "step3p7", sliding_window=8, mlp_layer_types=["dense", "sparse"]),
    "unlimited_ocr": partial(with_senses, "unlimited_ocr"),
}
CANNOT: dict[str, str] = {
    "diffusion_gemma": "it writes blocks of tokens by diffusion, not from left to right",
    "nllb_moe": "it translates: an encoder reads, and nothing is written from left to right alone",
    "openai_privacy_filter": "it labels the tokens of a text and writes none",
    "switch_transformers": "an encoder reads, and nothing is written from left to right alone",
}
"""Families whose routing cannot be looked at here, and why."""
