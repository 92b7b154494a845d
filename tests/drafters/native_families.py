"""Tiny random models of the families whose multi-token prediction modules transformers builds, and checkpoints of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from routing.moe_families import with_senses
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.modeling_layers import MtpModel

from decodeplug.native_modules import count_of
from decodeplug.testing import bpe_tokenizer
from decodeplug.testing.families import family_model

ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SLIDING_FULL = ["sliding_attention", "full_attention"]
FAMILIES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "deepseek": ("deepseek_v3", 1, {}),
    "deepseek-3": ("deepseek_v3", 3, {}),
    "glm4": ("glm4_moe", 1, {}),
    "sarvam-mla": ("sarvam_mla", 2, {}),
    "sarvam-moe": ("sarvam_moe", 2, {}),
    "inkling": ("inkling_text", 3, {"unpadded_vocab_size": 560}),
    "mellum": (
        "mellum",
        1,
        {"layer_types": SLIDING_FULL, "rope_parameters": dict.fromkeys(SLIDING_FULL, ROPE)},
    ),
    "bailing": (
        "bailing_hybrid",
        2,
        {"mtp_layer_types": ["full_attention"] * 2, "mtp_mlp_layer_types": ["sparse"] * 2, "n_group": 1, "topk_group": 1},
    ),
    "step": (
        "step3p7",
        2,
        {
            "layer_types": SLIDING_FULL,
            "mlp_layer_types": ["dense", "sparse"],
            "mtp_layer_types": ["full_attention"] * 2,
            "mtp_mlp_layer_types": ["sparse", "dense"],
            "share_expert_dim": 32,
            "sliding_window": 8,
        },
    ),
}  # fmt: skip
"""Name -> (model type, modules, options of the configuration)."""

WINDOWED = ("inkling_text", 3, {"mtp_local_layer_ids": [0, 2], "unpadded_vocab_size": 560})
"""Modules with a window. transformers 5.24 forgets it in their masks, so what they say depends on how many positions they
read at once: no memory repeats that."""

CHECKPOINTS = ["deepseek", "glm4", "inkling", "mellum", "bailing", "step"]
"""Families whose modules transformers finds in a checkpoint."""

PLACES = {"mellum": "mtp.layers.{1}.", "inkling_text": "model.mtp.layers.{1}."} | dict.fromkeys(
    ["deepseek_v3", "sarvam_mla", "glm4_moe", "sarvam_moe", "bailing_hybrid", "step3p7"], "model.layers.{0}."
)
"""Where a module is in a checkpoint: by its number behind the model's layers, or among the modules."""

RELEASED: dict[str, dict[str, Any]] = {
    "deepseek_v3": {"num_hidden_layers": 61},
    "glm4_moe": {"num_hidden_layers": 46},
    "inkling_text": {"num_hidden_layers": 4, "layer_types": ["hybrid_sliding", "hybrid"] * 2},
}
"""Layers as in the released models, by whose number transformers knows the modules; or more than there are modules."""


def spec(family: str) -> tuple[str, int, dict[str, Any]]:
    """Model type, modules, and options of the configuration."""
    return WINDOWED if family == "inkling-windowed" else FAMILIES[family]


def native_model(family: str, **options: Any) -> Any:
    """A tiny model in float64, wide enough for ``bpe_tokenizer``, whose configuration names its modules."""
    model_type, count, own = spec(family)
    make = with_senses if model_type == "step3p7" else family_model
    return make(model_type, vocab_size=576, num_mtp_layers=count, **own, **options)


def native_modules(model: Any, *, seed: int = 1) -> Any:
    """Random modules for a model, in float64, that look at their memory."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = MtpModel(model, count_of(model))
    modules.layers.to(next(model.parameters()).device, torch.float64).eval()
    norm = getattr(modules, "shared_post_norm", None)
    if norm is not None:
        norm.to(torch.float64)
    with torch.no_grad():
        for parameter in modules.layers.parameters():
            parameter.requires_grad_(False)
            if parameter.dim() >= 2:
                drawn = torch.empty(parameter.shape, dtype=parameter.dtype)  # on the CPU, so the same on every device
                parameter.copy_(drawn.normal_(std=0.25, generator=torch.Generator().manual_seed(seed)))
    return modules


def checkpoint(family: str, folder: Path) -> None:
    """Write a model of a family, its modules, and a tokenizer, as a released checkpoint has them."""
    model_type = spec(family)[0]
    model = native_model(family, **RELEASED.get(model_type, {}))
    modules = native_modules(model)
    model.save_pretrained(folder)
    bpe_tokenizer().save_pretrained(folder)
    file = folder / "model.safetensors"
    weights = load_file(file)
    for number, layer in enumerate(modules.layers):
        place = PLACES[model_type].format(model.config.get_text_config().num_hidden_layers + number, number)
        for name, tensor in layer.state_dict().items():
            weights[place + (name if "mtp." in place else name.removeprefix("mtp_block."))] = tensor.contiguous()
    norm = getattr(modules, "shared_post_norm", None)
    if norm is not None:
        weights["model.mtp.chain_norm.weight"] = norm.weight.detach()
    save_file(weights, file, metadata={"format": "pt"})


def read_again(folder: Path) -> Any:
    """The model of a checkpoint, without its modules, as transformers loads it."""
    reads_pictures = AutoConfig.from_pretrained(folder).model_type == "step3p7"
    auto = AutoModelForImageTextToText if reads_pictures else AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.float64).eval()
    model.set_experts_implementation("eager")
    return model


def hidden_of(model: Any, ids: Sequence[int]) -> Tensor:
    """``[positions, hidden]``: the last hidden states, after the final norm."""
    with torch.no_grad():
        return model.get_decoder()(torch.tensor([ids], device=model.device)).last_hidden_state[0]
