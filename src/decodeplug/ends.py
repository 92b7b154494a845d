"""Which ids end a text, and which one pads: what the model's generation config says."""

from __future__ import annotations

from typing import Any

__all__ = ["end_ids_of", "pad_id_of"]


def end_ids_of(module: Any, tokenizer: Any) -> frozenset[int]:
    """All end ids of the generation config; without any, the tokenizer's one."""
    ids = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
    if ids is None:
        ids = getattr(tokenizer, "eos_token_id", None)
    if ids is None:
        return frozenset()
    return frozenset(ids if isinstance(ids, list | tuple | set) else [ids])


def pad_id_of(module: Any, tokenizer: Any) -> int:
    """The id that fills the short rows of a tensor; an end id, or 0, where none is named."""
    for source in (getattr(module, "generation_config", None), tokenizer):
        if (pad := getattr(source, "pad_token_id", None)) is not None:
            return pad
    return min(end_ids_of(module, tokenizer), default=0)
