"""Fewer key and value heads: multi-head attention made grouped-query or multi-query attention on a loaded model.

Source: Shazeer 2019, arXiv:1911.02150 (one head for all); Ainslie et al. 2023, arXiv:2305.13245, section 2.1 (groups; mean
pooling of a loaded model).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.caches.transform.rotary import Rotation, pairs
from decodeplug.calibration.moments import begun
from decodeplug.errors import BadOption, UnsupportedModel

__all__ = ["METHODS", "Shared", "share_heads"]

METHODS = ("fit", "mean")
_PARTS = ("q_proj", "k_proj", "v_proj")
_OUTPUTS = ("o_proj", "dense")
_NORMS = ("k_norm", "k_layernorm", "key_layernorm", "key_norm")


@dataclass(frozen=True, slots=True)
class Shared:
    """A model with fewer key and value heads.

    :ivar model: A new one, of the same class and dtype. :ivar groups: Key and value heads that it has.
    :ivar heads: Those that it had. :ivar kept: Share of the squared weights of keys and of values that the shared heads
        explain, mean over layers; 1: nothing was lost.
    """

    model: Any
    groups: int
    heads: int
    kept: tuple[float, float]


def share_heads(target: Any, groups: int, method: str = "fit") -> Shared:
    """A copy of a model in which neighbouring key and value heads are one.

    Nothing is trained, so much is lost where heads differ; how much, ``decodeplug cache report`` says.

    :param target: The ``target`` of a ``decodeplug.Host``; its model is not changed. :param groups: Key and value heads that are left:
        as many as there were (nothing changes), fewer (grouped-query attention), or 1 (multi-query attention).
    :param method: "mean": the mean of the weights. "fit": the heads that explain most of the weights, where queries and outputs
        make up for what differs: a value head may be any linear map of the shared one, a key head may differ in the phase and size of each
        pair of numbers that is rotated together, which commutes with the rotation.
    :raises BadOption: ``groups`` does not divide the number of heads, or there is no such method.
    :raises UnsupportedModel: Its keys and values do not come from layers of their own, or are normalised behind them.
    """
    model = target.module
    if method not in METHODS:
        raise BadOption("cache share-heads", method=method, wanted=f"one of {', '.join(METHODS)}")
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1 or heads % groups:
        raise BadOption("cache share-heads", groups=groups, wanted=f"a divisor of the {heads} key and value heads")
    found = [(name, output) for name, module in model.named_modules() if (output := _output(module)) is not None]
    normalised = any(name.endswith(_NORMS) for name, _ in model.named_modules())
    if not found or not hasattr(config, "num_key_value_heads") or len(found) != config.num_hidden_layers:
        raise UnsupportedModel(
            type(model).__name__,
            because="its keys and values do not come from layers k_proj and v_proj of their own",
            instead="Use a cache that takes fewer bytes: cache='quantised'",
        )
    if normalised:
        raise UnsupportedModel(
            type(model).__name__,
            because="its keys are normalised head by head, so heads cannot be joined",
            instead="Use a cache that takes fewer bytes: cache='quantised'",
        )
    rotations = [layer.rotation for layer in begun(target)]
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    kept: list[tuple[float, float]] = []
    with torch.no_grad():
        for (name, output), rotation in zip(found, rotations, strict=True):
            kept.append(_layer(weights, name, output, heads, groups, rotation if method == "fit" else None, method))
    smaller = copy.deepcopy(model.config)
    smaller.get_text_config(decoder=True).num_key_value_heads = groups
    made = type(model)._from_config(smaller, dtype=model.dtype, attn_implementation=model.config._attn_implementation)
    made.load_state_dict(weights)
    made.generation_config = copy.deepcopy(model.generation_config)
    made.to(target.device).eval()
    keys, values = (sum(layer[side] for layer in kept) / len(kept) for side in (0, 1))
    return Shared(made, groups, heads, (keys, values))


def _output(module: nn.Module) -> str | None:
    """The name of an attention's last layer; None of what is no attention, or has no layers of its own for keys and values."""
    if not all(type(getattr(module, part, None)) is nn.Linear for part in _PARTS):
        return None
    return next((name for name in _OUTPUTS if type(getattr(module, name, None)) is nn.Linear), None)


def _layer(
    weights: dict[str, Tensor],
    name: str,
    output: str,
    heads: int,
    groups: int,
    rotation: Rotation | None,
    method: str,
) -> tuple[float, float]:
    """Join the heads of one layer in ``weights``; the share of keys and of values that is kept."""
    queries, keys, values = (_rows(weights, f"{name}.{part}") for part in _PARTS)
    dim, value_dim = keys.shape[0] // heads, values.shape[0] // heads
    together, each = heads // groups, queries.shape[0] // keys.shape[0]
    queries = queries.view(groups, together, each, dim, -1)
    keys, values = keys.view(groups, together, dim, -1), values.view(groups, together, value_dim, -1)
    inner = weights[f"{name}.{output}.weight"].double().view(-1, groups, together, each, value_dim)
    if method == "mean":
        shared_keys, shared_values = keys.mean(1), values.mean(1)
        guesses = shared_keys[:, None].expand_as(keys), shared_values[:, None].expand_as(values)
    else:
        shared_values, maps = _spanned(values)
        inner = torch.einsum("hgted,gtdk->hgtek", inner, maps)
        shared_keys, queries, key_guess = _keys(keys, queries, rotation)
        guesses = key_guess, maps @ shared_values[:, None]
    _store(weights, f"{name}.q_proj", queries.flatten(0, 3))
    _store(weights, f"{name}.k_proj", shared_keys.flatten(0, 1))
    _store(weights, f"{name}.v_proj", shared_values.flatten(0, 1))
    weights[f"{name}.{output}.weight"] = inner.flatten(1).to(weights[f"{name}.{output}.weight"].dtype)
    lost = [
        float((guess - rows).square().sum() / rows.square().sum())
        for guess, rows in zip(guesses, (keys, values), strict=True)
    ]
    return 1 - lost[0], 1 - lost[1]


def _rows(weights: dict[str, Tensor], name: str) -> Tensor:
    """``[out, in + 1]`` float64: the bias is one more column, 0 where there is none."""
    weight, bias = weights[f"{name}.weight"].double(), weights.get(f"{name}.bias")
    return torch.cat([weight, weight.new_zeros(len(weight), 1) if bias is None else bias.double()[:, None]], dim=1)


def _store(weights: dict[str, Tensor], name: str, rows: Tensor) -> None:
    weights[f"{name}.weight"] = rows[:, :-1].to(weights[f"{name}.weight"].dtype).contiguous()
    if f"{name}.bias" in weights:
        weights[f"{name}.bias"] = rows[:, -1].to(weights[f"{name}.bias"].dtype).contiguous()


def _spanned(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows ``[groups, together, dim, in]`` as linear maps ``[groups, together, dim, dim]`` of shared ones ``[groups, dim, in]``."""
    groups, together, dim, _ = rows.shape
    left, sizes, right = torch.linalg.svd(rows.flatten(1, 2), full_matrices=False)
    maps = (left[..., :dim] * sizes[:, None, :dim].sqrt()).view(groups, together, dim, -1)
    return sizes[:, :dim, None].sqrt() * right[:, :dim], maps


def _keys(keys: Tensor, queries: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
    """Shared keys ``[groups, dim, in]``, queries that make up for what differs, and what keys are then."""
    if rotation is None:  # positions do not enter by a rotation: any two numbers may be mixed, as in values
        shared, maps = _spanned(keys)
        return shared, torch.einsum("gtedi,gtdk->gteki", queries, maps), maps @ shared[:, None]
    count = len(rotation.angles)
    turned = _pairs(keys, rotation)  # [groups, together, pairs, in]
    left, sizes, right = torch.linalg.svd(turned.transpose(1, 2), full_matrices=False)
    factors = left[..., 0] * sizes[..., :1].sqrt()  # [groups, pairs, together]
    one = sizes[..., :1].sqrt() * right[..., 0, :]  # [groups, pairs, in]
    factors = factors.transpose(1, 2)[..., None]  # [groups, together, pairs, 1]
    asked = _pairs(queries, rotation) * factors.conj()[:, :, None]
    shared = _unpaired(one, rotation)
    guess, new = _unpaired(factors * one[:, None], rotation), _unpaired(asked, rotation)
    if 2 * count < keys.shape[2]:
        rest, maps = _spanned(keys[:, :, 2 * count :])
        shared = torch.cat([shared, rest], dim=1)
        guess = torch.cat([guess, maps @ rest[:, None]], dim=2)
        new = torch.cat([new, torch.einsum("gtedi,gtdk->gteki", queries[..., 2 * count :, :], maps)], dim=3)
    return shared, new, guess


def _pairs(rows: Tensor, rotation: Rotation) -> Tensor:
    """``[..., dim, in]`` as complex ``[..., pairs, in]``."""
    return pairs(rows.transpose(-1, -2), rotation.kind, len(rotation.angles)).transpose(-1, -2)


def _unpaired(rows: Tensor, rotation: Rotation) -> Tensor:
    """The opposite, ``[..., 2 * pairs, in]``."""
    if rotation.kind == "half":
        return torch.cat([rows.real, rows.imag], dim=-2)
    return torch.stack([rows.real, rows.imag], dim=-2).flatten(-3, -2)
