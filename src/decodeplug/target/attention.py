"""Grouped-query attention under a mask without copying keys and values.

With a mask, transformers' "sdpa" repeats keys and values for every query head
before it attends (9x slower at 2048 ids on a CPU). Inside a forward of ours the
kernel is asked to share them instead. Other devices keep transformers' way:
their fast kernels want the copy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from decodeplug.caches.lazy import source_of
from decodeplug.target.masks import looking

__all__ = ["install"]


def _wrapped(original: Callable[..., tuple[Tensor, Any]]) -> Callable[..., tuple[Tensor, Any]]:
    @wraps(original)
    def shared_heads(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        is_causal: bool | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Any]:
        view, source = looking.get(), source_of(key, value)
        special = kwargs.get("position_bias") is not None or kwargs.get("softcap") is not None
        if view is not None and source is not None and not special:
            plain = view.is_plain(attention_mask)
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            if source.can_attend(query, attention_mask):
                return source.attend(query, attention_mask, scale, plain=plain), None
        if (
            attention_mask is None
            or query.shape[2] == 1
            or query.shape[1] == key.shape[1]
            or not query.is_cpu
            or view is None
            or special
        ):
            return original(module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs)
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling, enable_gqa=True
        )
        return attended.transpose(1, 2).contiguous(), None

    marked: Any = shared_heads
    marked.decodeplug_original = original  # how install() knows that it has been here
    return marked


def install() -> None:
    """Wrap the registered "sdpa" attention, once."""
    original = ALL_ATTENTION_FUNCTIONS["sdpa"]
    if not hasattr(original, "decodeplug_original"):
        ALL_ATTENTION_FUNCTIONS.register("sdpa", _wrapped(original))
