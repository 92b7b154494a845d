"""Routings that are made up."""

from __future__ import annotations

import torch

from decodeplug.routing import Routing


def routing_of(logits: torch.Tensor, k: int = 2) -> Routing:
    """Of logits ``[tokens, layers, experts]``."""
    probs = logits.softmax(-1)
    weights, experts = probs.topk(k)
    nothing = torch.zeros(logits.shape[1:], dtype=torch.int64)
    layers = list(range(logits.shape[1]))
    return Routing(
        layers=layers, names=[f"layers.{layer}" for layer in layers], token_ids=torch.arange(len(logits)),
        prompt_length=0, experts=experts, weights=weights, probs=probs, counts=[logits.shape[2]] * len(layers),
        rejected=nothing, dropped=nothing,
    )  # fmt: skip


def random_logits(tokens: int, layers: int = 3, experts: int = 8, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn((tokens, layers, experts), generator=generator, dtype=torch.float64)
