"""A tiny random model of every causal language family of the installed transformers."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from decodeplug.testing.device import chosen_device
from decodeplug.testing.recipes import FLOAT32_ONLY, RECIPES

__all__ = ["common_options", "families", "family_config", "family_model", "readied"]

COMMON: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "head_dim": 16, "sliding_window": 8,
    "d_model": 64, "ffn_dim": 96, "n_inner": 96, "decoder_layers": 2, "encoder_layers": 2,
    "decoder_attention_heads": 4, "encoder_attention_heads": 4, "decoder_ffn_dim": 96, "encoder_ffn_dim": 96,
    "num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": None,
}  # fmt: skip
"""Given to a config that has an attribute of that name (or an alias of it) which is not None."""
TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id")
ABSENT = object()


def families() -> list[str]:
    """All model types that ``AutoModelForCausalLM`` knows, whether they can be built tiny or not."""
    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def family_config(family: str, **overrides: Any) -> Any:
    """The config of a tiny model: 2 layers, 64 wide, 512 ids, 256 positions, windows of 8.

    :param overrides: Names and values as in ``RECIPES``.
    """
    default: Any = CONFIG_MAPPING[family]()
    recipe = {**RECIPES.get(family, {}), **overrides}
    nested: dict[str, dict[str, Any]] = {}
    for key in [key for key in recipe if "." in key]:
        part, name = key.split(".", 1)
        nested.setdefault(part, {})[name] = recipe.pop(key)
    text = getattr(default, "text_config", None)
    options = common_options(text if text is not None else default, recipe)
    parts: dict[str, Any] = {
        part: type(getattr(default, part))(**{name: value for name, value in values.items() if value is not ...})
        for part, values in nested.items()
    }
    if text is None:
        return type(default)(**options, **parts)
    build: Any = type(default)
    return build(text_config=type(text)(**options), **parts)


def common_options(default: Any, recipe: dict[str, Any]) -> dict[str, Any]:
    """The common sizes, by the names that a config has for them, and what a recipe adds."""
    aliases = getattr(default, "attribute_map", {})
    options = {}
    for name, value in COMMON.items():
        own_name = aliases.get(name, name)
        given = ABSENT
        with contextlib.suppress(Exception):
            given = getattr(default, own_name)
        if given is not ABSENT and (given is not None or name in TOKENS):
            options[own_name] = value
    for name, value in recipe.items():
        options[aliases.get(name, name)] = value
    return {name: value for name, value in options.items() if value is not ...}


def family_model(family: str, *, dtype: torch.dtype | None = None, seed: int = 0, **overrides: Any) -> Any:
    """A tiny random model of a family, in eval mode, on the CPU or the device that ``DECODEPLUG_TEST_DEVICE`` names.

    Its matrices are larger than a fresh model's, so that attention looks at something and logits
    differ by more than rounding.

    :param dtype: float64 unless given, or float32 for a family that cannot run in float64.
    """
    dtype = dtype or (torch.float32 if family in FLOAT32_ONLY else torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(family_config(family, **overrides))
    return readied(model, dtype)


def readied(model: Any, dtype: torch.dtype = torch.float64) -> Any:
    """A fresh model with larger matrices, in eval mode, where tests compute."""
    model = model.to(chosen_device(), dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.mul_(4.0)
    with contextlib.suppress(Exception):
        # The grouped kernels know no float64; what they compute is the same.
        model.set_experts_implementation("eager")
    return model
