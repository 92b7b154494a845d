"""Prediction heads that nobody has trained: what they say is right now and then."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from decodeplug.heads import Heads

__all__ = ["random_heads"]


def random_heads(model: Any, kind: str, *, count: int = 3, ids: Tensor | None = None, std: float = 0.25) -> Heads:
    """Heads with random weights, the same each time: what they draft says something only of how it was computed.

    :param ids: The tokens that can be drafted; None: all.
    """
    heads = Heads.new(model, kind, count, torch.arange(model.config.vocab_size) if ids is None else ids)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        for parameter in heads.part.parameters():
            torch.nn.init.normal_(parameter, std=std)
    heads.part.requires_grad_(False)
    return heads
