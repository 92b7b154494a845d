"""Routing of a text by the model alone, in one plain forward: what reports are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def router_inputs(model: Any, ids: Sequence[int], routers: Sequence[torch.nn.Module]) -> list[tuple[Any, ...]]:
    """What each router is given for the ids of one text, in a forward of the model by itself."""
    seen: dict[int, tuple[Any, ...]] = {}
    handles = [
        router.register_forward_pre_hook(
            lambda module, args, kwargs, place=place: seen.__setitem__(place, (*args, *kwargs.values())),
            with_kwargs=True,
        )
        for place, router in enumerate(routers)
    ]
    try:
        with torch.no_grad():
            model(torch.tensor([list(ids)], device=model.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return [seen[place] for place in range(len(routers))]


def mixtral_routing(model: Any, ids: Sequence[int], k: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Experts ``[tokens, layers, k]`` in the order of their probability, weights, and probabilities: the definition of the paper."""
    gates = [layer.mlp.gate for layer in model.model.layers]
    every = []
    for gate, given in zip(gates, router_inputs(model, ids, gates), strict=True):
        probs = (given[0].reshape(-1, given[0].shape[-1]) @ gate.weight.detach().T).softmax(-1)
        order = probs.argsort(-1, descending=True)[:, :k]
        chosen = probs.gather(-1, order)
        every.append((order, chosen / chosen.sum(-1, keepdim=True), probs))
    experts, weights, probs = (torch.stack([one[which] for one in every], 1).cpu() for which in range(3))
    return experts, weights, probs
