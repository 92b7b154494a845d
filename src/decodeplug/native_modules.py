"""The multi-token prediction modules that a model came with: whether it has some, and where they are read from.

``transformers`` leaves them out when it loads a model. Its ``MtpModel`` reads them from the same checkpoint later on.
"""

from __future__ import annotations

import copy
import weakref
from typing import Any

from torch import Tensor

from decodeplug.errors import IncompatibleParts

__all__ = ["check_belong", "count_of", "modules_of", "new_cache", "scores_of", "width_of"]

_LOADED: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def count_of(model: Any) -> int:
    """How many modules the model's configuration speaks of, each for one token ahead; 0: none."""
    return int(getattr(_text_config(model), "num_mtp_layers", None) or 0)


def modules_of(model: Any) -> Any:
    """The modules of a model, a ``transformers.modeling_layers.MtpModel``: read once from the model's own checkpoint.

    Only safetensors are read. They are on the device of the model's last layer, in the dtype of its embedding, and share
    the model's embedding and output layer.

    :param model: A transformers causal language model, as ``from_pretrained`` gave it; not modified.
    :raises IncompatibleParts: It has none that can be read; says why, and that heads can be trained.
    """
    if model not in _LOADED:
        _LOADED[model] = _load(model)
    modules, weight = _LOADED[model], model.get_input_embeddings().weight
    device = _device(model)
    held = modules.layers[0].eh_proj.weight
    if held.device != device or held.dtype != weight.dtype:  # the model was moved since
        for part in _own_parts(modules):
            part.to(device, weight.dtype)
    return modules


def check_belong(modules: Any, model: Any) -> None:
    """Refuse modules that were made for another model.

    :raises IncompatibleParts: They do not share this model's output layer.
    """
    if modules.shared_head is not model.get_output_embeddings():
        raise IncompatibleParts(
            "the modules that drafter 'mtp' was given",
            type(model).__name__,
            because="they share the output layer of another model",
            instead="Make them with MtpModel.from_pretrained(model), or leave modules= out",
        )


def new_cache(modules: Any) -> Any:
    """An empty cache of keys and values of the modules alone: what they keep in it never reaches the model's own."""
    from transformers.cache_utils import MtpCache

    cache = MtpCache(config=modules.config)
    cache.activate_past_recording()
    return cache


def scores_of(modules: Any, states: Tensor) -> Tensor:
    """``[rows, hidden]`` of a module through the model's output layer, as the model scales and cuts it: ``[rows, vocab]``."""
    scale = getattr(modules.config, "logits_mup_width_multiplier", None)
    head = modules.shared_head
    scaled = states if scale is None else states / scale
    return head(scaled.to(head.weight.device))[..., : width_of(modules)]


def width_of(modules: Any) -> int:
    """How many ids are scored."""
    rows = len(modules.shared_head.weight)
    return min(rows, getattr(modules.config, "unpadded_vocab_size", None) or rows)


def _load(model: Any) -> Any:
    from transformers.modeling_layers import MtpModel

    if not count_of(model):
        raise _none(model, "its configuration names no multi-token prediction modules")
    if not model.config.name_or_path:
        raise _none(model, "it was not loaded from a checkpoint, where its multi-token prediction modules would be")
    try:
        modules = MtpModel.from_pretrained(model, device_map={"": _device(model)})
    except Exception as error:  # all that is between is transformers and somebody's checkpoint
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise _none(model, f"transformers cannot read the modules of {model.config.name_or_path}: {reason}") from error
    for part in _own_parts(modules):
        part.requires_grad_(False).eval()
    # Rotary tables may grow with the longest position seen; those of the model are its own affair.
    modules.rotary_emb = copy.deepcopy(modules.rotary_emb)
    return modules


def _own_parts(modules: Any) -> list[Any]:
    """What is not shared with the model."""
    shared_norm = getattr(modules, "shared_post_norm", None)
    return [modules.layers] if shared_norm is None else [modules.layers, shared_norm]


def _device(model: Any) -> Any:
    return next(model.get_decoder().layers[-1].parameters()).device


def _text_config(model: Any) -> Any:
    return model.config.get_text_config(decoder=True)


def _none(model: Any, because: str) -> IncompatibleParts:
    who = f"{type(model).__name__} ({getattr(_text_config(model), 'model_type', 'unknown')})"
    way_out = 'Train heads with `decodeplug train-heads`, and use drafters=["heads=FOLDER"]'
    return IncompatibleParts("drafter 'mtp'", who, because=because, instead=way_out)
