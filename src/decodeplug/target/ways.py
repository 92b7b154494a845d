"""Ways to multiply a few rows with the weight of a linear layer, beside the layer's own.

Taken as a batch of products with blocks of the weight, which are views of it, a product can take little longer than to read
the weight. Blocks may be on the right of a product or on the left: which is faster depends on how many rows and inputs there are.
With eight rows and more oneDNN is the fastest on some processors, if it is given the weight as if that were the rows: it brings
into an order of its own what it takes for the weight, and these are then the few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from decodeplug.target.weights import BLOCK

__all__ = ["Choice", "Way", "blocks_of", "in_blocks", "transposed", "ways_of"]

Way = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Choice = Sequence[Way | None]
"""In which way 0, 1 ... 32 rows are multiplied; None: in the layer's own."""


def in_blocks(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``states @ weight.T + bias``, up to rounding, as a batch of products with blocks of the weight.

    :param states: ``[..., inputs]``. :param weight: ``[outputs, inputs]``, contiguous; outputs a multiple of 32.
    :param bias: ``[outputs]``.
    :returns: ``[..., outputs]``, contiguous.
    """
    outputs, inputs = weight.shape
    rows, blocks = states.reshape(-1, inputs), weight.view(outputs // BLOCK, BLOCK, inputs)
    products = torch.bmm(rows.expand(len(blocks), -1, -1), blocks.transpose(1, 2))
    return _finished(products.transpose(0, 1), states, bias)


def blocks_of(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same as a batch of products of blocks of the weight with the rows."""
    outputs, inputs = weight.shape
    rows, blocks = states.reshape(-1, inputs), weight.view(outputs // BLOCK, BLOCK, inputs)
    products = torch.bmm(blocks, rows.t().expand(len(blocks), -1, -1))
    return _finished(products.view(outputs, -1).t(), states, bias)


def transposed(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``states @ weight.T + bias``, up to rounding, by oneDNN, which is given the weight as the rows.

    It is for float32, and has no gradients: of another weight, and where one is wanted, the product is the plain one.

    :param states: ``[..., inputs]``. :param weight: ``[outputs, inputs]``, contiguous. :param bias: ``[outputs]``.
    :returns: ``[..., outputs]``, contiguous.
    """
    wanted = torch.is_grad_enabled() and (states.requires_grad or weight.requires_grad)
    if wanted or weight.dtype != torch.float32:
        return nn.functional.linear(states, weight, bias)
    return _finished(_by_onednn(weight, states.reshape(-1, weight.shape[1]).contiguous()).t(), states, bias)


def ways_of(dtype: torch.dtype) -> Sequence[Way]:
    """Those there are for weights of this dtype, with this build of torch."""
    usable = dtype == torch.float32 and torch.backends.mkldnn.enabled and _has_onednn()
    return (in_blocks, blocks_of, transposed) if usable else (in_blocks, blocks_of)


def _by_onednn(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T``; the operator is not public."""
    return torch.ops.mkldnn._linear_pointwise.default(left, right, None, "none", [], "")


@cache
def _has_onednn() -> bool:
    """Where its operator is missing or has become another one, there is a way less."""
    try:
        found = _by_onednn(torch.ones(32, 8), torch.ones(2, 8))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((found == 8.0).all())


def _finished(products: Tensor, states: Tensor, bias: Tensor | None) -> Tensor:
    """:param products: ``[rows, ...]``, of all outputs in order, in any layout."""
    whole = products.reshape(*states.shape[:-1], -1).contiguous()
    return whole if bias is None else whole + bias
