"""The weights of a model's linear layers: which can be multiplied block by block, and samples of them to try that with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

__all__ = ["BLOCK", "Sample", "can_be_cut", "is_whole", "linear_weights", "output_of", "sample", "samples"]

BLOCK = 32  # outputs of a block: small enough for a way of its own, and a divisor of most numbers of outputs
_TRIED_BYTES = 32 << 20  # of one try; the next one has other weights: in a forward they do not come from caches either
_LEAST_TRIES = 4  # parts that a model is divided into, if it is small
_MOST_TRIES = 10
_LEAST_BYTES = 8 << 20  # a model with less is so small that its products hardly matter
_LEAST_WEIGHT = 64 << 10  # bytes; a smaller one is multiplied sooner than it is cut
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def is_whole(weight: Tensor) -> bool:
    """Do views of it make blocks?"""
    return weight.is_cpu and weight.is_contiguous() and len(weight) % BLOCK == 0


def can_be_cut(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Is it a linear layer whose product is worth being cut into blocks?"""
    if type(module) is not nn.Linear:  # a class derived from it multiplies in its own way
        return False
    weight = module.weight
    right = type(weight) is nn.Parameter and weight.dtype in _DTYPES and weight.nbytes >= _LEAST_WEIGHT
    return right and is_whole(weight)


class Sample(NamedTuple):
    """Some weights of a model.

    :ivar share: How many bytes there are in all, as a multiple of those of one try. :ivar tries: Weights of equal shapes; no
        two have a weight in common.
    """

    share: float
    tries: Sequence[Sequence[Tensor]]


def samples(module: nn.Module) -> list[Sample]:
    """Weights of linear layers on the CPU, of the layers and of the output; nothing if they are small or elsewhere.

    The output has a sample of its own: its product, which is by far the widest, is slow with other numbers of rows.
    """
    output = output_of(module)
    get_decoder: Any = getattr(module, "get_decoder", lambda: module)
    layers = linear_weights(part for part in get_decoder().modules() if part not in output)
    if sum(weight.nbytes for weight, _ in layers) < _LEAST_BYTES:
        return []
    return [sample(layers), sample(linear_weights(output))]


def output_of(module: nn.Module) -> set[nn.Module]:
    """The output layer and what it is made of."""
    get_output: Any = getattr(module, "get_output_embeddings", lambda: None)
    output = get_output()
    return set() if output is None else set(output.modules())


def linear_weights(modules: Iterable[nn.Module]) -> list[tuple[Tensor, bool]]:
    """Those of linear layers on the CPU, ``[outputs, inputs]`` each, and whether they can be cut."""
    linear = (part for part in modules if isinstance(part, nn.Linear))
    weights = ((part.weight.detach(), can_be_cut(part)) for part in linear)
    return [(one, cut) for one, cut in weights if one.device.type == "cpu" and one.dtype in _DTYPES and one.numel()]


class _Kind(NamedTuple):
    """What weights that are tried in the place of each other have in common."""

    shape: torch.Size
    dtype: torch.dtype
    can_be_cut: bool


def sample(weights: Sequence[tuple[Tensor, bool]]) -> Sample:
    """Tries of the first weights that are not the only ones of their kind, and of others like them.

    :param weights: See :func:`linear_weights`.
    """
    whole = sum(weight.nbytes for weight, _ in weights)
    room = min(_TRIED_BYTES, whole // _LEAST_TRIES)
    kinds = [_Kind(weight.shape, weight.dtype, cut) for weight, cut in weights]
    pieces: dict[_Kind, list[Tensor]] = {kind: [] for kind in kinds}
    for kind, (weight, cut) in zip(kinds, weights, strict=True):
        rows = min(len(weight), max(room // weight[:1].nbytes, BLOCK))
        rows -= rows % BLOCK if cut else rows % BLOCK == 0  # what cannot be cut is not cut when it is tried
        pieces[kind] += [weight[begin : begin + rows] for begin in range(0, len(weight) - rows + 1, rows)]
    first, size = list[_Kind](), 0
    for kind in [kind for kind in kinds if len(pieces[kind]) > 1] or kinds:
        size += pieces[kind][0].nbytes
        if first and size > room:
            break
        first.append(kind)
    count = min((len(pieces[kind]) // first.count(kind) for kind in first), default=1)
    turns = {kind: iter(pieces[kind]) for kind in first}
    tries = [[next(turns[kind]) for kind in first] for _ in range(min(count, _MOST_TRIES))]
    return Sample(whole / max(1, sum(piece.nbytes for piece in tries[0])), tries)
