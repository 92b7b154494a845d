"""Attention to vectors that keys and values are a linear map of: the map is applied to the query and to the output instead.

Source: DeepSeek-V2, arXiv:2405.04434, section 2.1.2 ("absorption").
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["attend_absorbed"]

_SCORES = 1 << 24
"""Scores that are computed at once: rows of wide forwards take turns rather than much memory."""


def attend_absorbed(
    absorbed: Tensor,
    vectors: Tensor,
    mask: Tensor | None,
    scale: float,
    further: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The mean of the vectors that each head of each row sees.

    :param absorbed: Queries in the space of the vectors, ``[lanes, heads, width, rank]``; not modified.
    :param vectors: ``[lanes, length, rank]``, the same for all heads; not modified.
    :param mask: Bool, True where a row may look, ``[lanes, 1, width, length]``; None: each row sees its own slot and all
        before.
    :param further: Parts of queries and keys that are no map of the vectors, ``[lanes, heads, width, dim]`` and
        ``[lanes, length, dim]``.
    :returns: ``[lanes, heads, width, rank]``.
    """
    lanes, heads, width, _ = absorbed.shape
    length = vectors.shape[1]
    if mask is None and width > 1:
        rows = torch.arange(length - width, length, device=vectors.device)
        mask = (torch.arange(length, device=vectors.device) <= rows[:, None])[None, None]
    pieces: list[Tensor] = []
    step = max(1, _SCORES // (lanes * heads * length))
    for first in range(0, width, step):
        some = slice(first, first + step)
        turned = None if further is None else (further[0][:, :, some], further[1])
        pieces.append(
            _attend_rows(absorbed[:, :, some], vectors, None if mask is None else mask[:, :, some], scale, turned)
        )
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)


def _attend_rows(
    absorbed: Tensor, vectors: Tensor, mask: Tensor | None, scale: float, further: tuple[Tensor, Tensor] | None
) -> Tensor:
    lanes, heads, width, rank = absorbed.shape
    scores = absorbed.reshape(lanes, heads * width, rank) @ vectors.transpose(1, 2)
    if further is not None:
        queries, keys = further
        scores = torch.baddbmm(scores, queries.reshape(lanes, heads * width, -1), keys.transpose(1, 2))
    scores = scores.view(lanes, heads, width, -1)
    scores = (scores.float() if scores.element_size() < 4 else scores).mul_(scale)
    if mask is not None:
        scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
    shares = scores.softmax(-1).to(vectors.dtype).view(lanes, heads * width, -1)
    return (shares @ vectors).view(lanes, heads, width, rank)
