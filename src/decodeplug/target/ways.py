"""Ways to multiply a few rows with the weight of a linear layer, beside the layer's own.

Taken as a batch of products with blocks of the weight, which are views of it, a product can take little longer than to read
the weight. Blocks may be on the right of a product or on the left: which is faster depends on how many rows and inputs there are.
With eight rows and more oneDNN is the fastest on some processors, if it is given the weight as if that were the rows: it brings
into an order of its own what it takes for the weight, and these are then the few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

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
    """The same as the product of the weight with the rows, by oneDNN; float32 only."""
    rows = states.reshape(-1, weight.shape[1]).contiguous()
    return _finished(torch.ops.mkldnn._linear_pointwise(weight, rows, None, "none", [], "").t(), states, bias)


def ways_of(dtype: torch.dtype) -> Sequence[Way]:
    """Those there are for weights of this dtype, with this build of torch."""
    onednn = torch.backends.mkldnn
    # It is not public; where it is gone there is a way less.
    usable = onednn.is_available() and onednn.enabled and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return (in_blocks, blocks_of, transposed) if usable and dtype == torch.float32 else (in_blocks, blocks_of)


def _finished(products: Tensor, states: Tensor, bias: Tensor | None) -> Tensor:
    """:param products: ``[rows, ...]``, of all outputs in order, in any layout."""
    whole = products.reshape(*states.shape[:-1], -1).contiguous()
    return whole if bias is None else whole + bias
