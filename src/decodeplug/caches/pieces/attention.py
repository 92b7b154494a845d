"""Attention over rows where they lie: piece by piece, and the pieces merged by their log-sum-exps, which is exact.

What several lanes have in common is attended once, by the queries of all of them; rows of several lanes that lie at equal
distances are attended in one call.

Source: the merge is that of FlashAttention, arXiv:2205.14135, section 3.1; shared prefixes: Hydragen, arXiv:2402.05099,
section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.pieces.runs import Run

if TYPE_CHECKING:
    from decodeplug.caches.pieces.reading import Reading

__all__ = ["attend"]

_FUSED = {torch.float32, torch.float64, torch.bfloat16, torch.float16}


def attend(
    queries: Sequence[Tensor],
    reading: Reading,
    pieces: Sequence[tuple[Sequence[Tensor], Tensor]],
    mask: Tensor | None,
    scale: float,
) -> Tensor:
    """What each row attends to.

    :param queries: ``[lanes, heads, width, dim]`` for each part of the keys, mostly one; there may be more lanes than the
        forward has: nothing is seen by those.
    :param pieces: For each run of the reading, the parts of its keys, and its values, ``[1, shared heads, rows, dim]``, or of each
        of its lanes where they differ.
    :param mask: ``[lanes, 1, width, length]`` bool; None: each row sees its own slot and all before.
    :returns: ``[lanes, width, heads, value_dim]``.
    """
    batch, heads, width, _ = queries[0].shape
    lanes, shared = reading.lanes, pieces[0][1].shape[1]
    # Rows of a group attend to the same keys.
    rows = [query.reshape(batch, shared, heads // shared * width, -1) for query in queries]
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(lanes)]
    for run, (keys, values) in zip(reading.runs, pieces, strict=True):
        hidden = reading.remembered(
            (id(run), rows[0].shape[2], rows[0].dtype), mask, partial(_hidden, run, reading, mask, rows[0])
        )
        out, weight = _attend_piece([_rows_of(part, run) for part in rows], keys, values, hidden, scale)
        count = len(run.lanes)
        by_lane = count == 1 or run.stride
        outs, weights = (out, weight) if by_lane else (out[0].chunk(count, 1), weight[0].chunk(count, 1))
        for lane, pair in zip(run.lanes, zip(outs, weights, strict=True), strict=True):
            found[lane].append(pair)
    whole = _merged(found).view(lanes, heads, width, -1).transpose(1, 2)
    if batch > lanes:
        whole = torch.cat([whole, whole.new_zeros((batch - lanes, *whole.shape[1:]))])
    return whole.contiguous()


def _rows_of(rows: Tensor, run: Run) -> Tensor:
    """``[lanes, shared heads, rows, head_dim]`` of a run's lanes; ``[1, shared heads, lanes * rows, head_dim]`` where all see the same rows."""
    first, last = run.lanes[0], run.lanes[-1]
    some = rows[first : last + 1] if last - first + 1 == len(run.lanes) else rows[list(run.lanes)]
    if run.stride or first == last:
        return some
    return some.transpose(0, 1).reshape(1, rows.shape[1], -1, rows.shape[3])


class Hidden(NamedTuple):
    """What rows must not see of a piece.

    :ivar added: ``[1 or lanes, 1, rows, keys]``, -inf where a key is hidden and 0 elsewhere.
    :ivar blind: ``[1 or lanes, 1, rows]`` bool: which rows see no key at all; None: each sees one.
    """

    added: Tensor
    blind: Tensor | None


def _hidden(run: Run, reading: Reading, mask: Tensor | None, rows: Tensor) -> Hidden | None:
    """Of the rows of a run's lanes; None: they see all keys of the run."""
    width = reading.width
    if mask is None:
        starts = [reading.starts[lane] for lane in run.lanes]
        if run.slot + run.rows <= min(starts) + 1:
            return None
        slots = torch.arange(run.slot, run.slot + run.rows)
        some = slots <= torch.tensor(starts)[:, None, None] + torch.arange(width)[:, None]
    else:
        some = mask[list(run.lanes), 0, :, run.slot : run.slot + run.rows]
    if bool(some.all()):
        return None
    seen = (
        some[:, None]
        .expand(-1, rows.shape[2] // width, -1, -1)
        .reshape(len(some) if run.stride else 1, 1, -1, run.rows)
    )
    added = torch.zeros(seen.shape, dtype=rows.dtype).masked_fill_(~seen, -torch.inf)
    blind = ~seen.any(-1)
    return Hidden(added, blind if bool(blind.any()) else None)


def _attend_piece(
    queries: Sequence[Tensor], keys: Sequence[Tensor], values: Tensor, hidden: Hidden | None, scale: float
) -> tuple[Tensor, Tensor]:
    """``[lanes, heads, rows, value_dim]`` and the log-sum-exp ``[lanes, heads, rows]`` of the scores; -inf where nothing is seen."""
    if len(keys) == 1 and values.dtype in _FUSED and keys[0].shape[-1] == values.shape[-1]:
        added = None if hidden is None else hidden.added
        out, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            queries[0], keys[0], values, 0.0, False, attn_mask=added, scale=scale
        )[:2]
    else:
        scores = queries[0] @ keys[0].transpose(2, 3)
        for query, key in zip(queries[1:], keys[1:], strict=True):
            scores += query @ key.transpose(2, 3)
        scores = scores.float() if scores.element_size() < 4 else scores
        scores *= scale
        if hidden is not None:
            scores += hidden.added
        weight = scores.logsumexp(-1)
        out = scores.sub_(weight[..., None]).exp_().to(values.dtype) @ values
    if hidden is not None and hidden.blind is not None:  # what is computed for a row that sees nothing is no number
        out = out.masked_fill(hidden.blind[..., None], 0.0)
        weight = weight.masked_fill(hidden.blind, -torch.inf)
    return out, weight


def _merged(found: Sequence[Sequence[tuple[Tensor, Tensor]]]) -> Tensor:
    """One attention for each lane from those over parts of its keys, ``[lanes, shared heads, rows, value_dim]``."""
    if all(len(pieces) == 1 for pieces in found):
        return found[0][0][0][None] if len(found) == 1 else torch.stack([pieces[0][0] for pieces in found])
    most = max(map(len, found))
    out, weight = next(pieces[0] for pieces in found if pieces)
    nothing = torch.zeros_like(out), torch.full_like(weight, -torch.inf)
    filled = [pieces[number] if number < len(pieces) else nothing for number in range(most) for pieces in found]
    outs = torch.stack([out for out, _ in filled]).view(most, len(found), *out.shape)
    weights = torch.stack([weight for _, weight in filled]).view(most, len(found), *weight.shape)
    shares = weights.softmax(0).nan_to_num_(0.0)  # padding may see nothing at all
    return (outs * shares[..., None].to(outs.dtype)).sum(0)
