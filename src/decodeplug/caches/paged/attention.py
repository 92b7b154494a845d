"""Attention over rows where they lie: piece by piece, and the pieces merged by their log-sum-exps, which is exact.

A prefix that several lanes have in common is attended once, by the queries of all of them.

Source: the merge is that of FlashAttention, arXiv:2205.14135, section 3.1; shared prefixes: Hydragen, arXiv:2402.05099,
section 3. Parts for each thread: Flash-Decoding (https://crfm.stanford.edu/2023/10/12/flashdecoding.html).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache, partial
from math import gcd
from typing import NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.paged.placement import Placement, Run

__all__ = ["attend"]

_ROWS_OF_A_UNIT = ((192, 32), (768, 64), (sys.maxsize, 256))
"""Of fewer rows than the first, one thread of the kernel attends for so many at once."""
_EVEN = 0.9  # of the threads' time used: that is even enough
_SHORTEST = 128  # rows of a part
_FUSED = {torch.float32, torch.float64, torch.bfloat16, torch.float16}


def attend(
    queries: Sequence[Tensor],
    placement: Placement,
    pieces: Sequence[tuple[Sequence[Tensor], Tensor]],
    mask: Tensor | None,
    scale: float,
) -> Tensor:
    """What each row attends to.

    :param queries: ``[lanes, heads, width, dim]`` for each part of the keys, mostly one; there may be more lanes than the
        placement has: nothing is seen by those.
    :param pieces: For each run of the placement, the parts of its keys, and its values, ``[shared heads, rows, dim]``.
    :param mask: ``[lanes, 1, width, length]`` bool; None: each row sees its own slot and all before.
    :returns: ``[lanes, width, heads, value_dim]``.
    """
    batch, heads, width, _ = queries[0].shape
    lanes, shared = placement.lanes, pieces[0][1].shape[0]
    # Rows of a group attend to the same keys.
    rows = [query.reshape(batch, shared, heads // shared * width, -1) for query in queries]
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(lanes)]
    for run, (keys, values) in zip(placement.runs, pieces, strict=True):
        hidden = placement.remembered(
            (run, rows[0].shape[2], rows[0].dtype), mask, partial(_hidden, run, placement, mask, rows[0])
        )
        if len(run.lanes) == 1:
            some = [part[run.lanes[0]] for part in rows]
            found[run.lanes[0]].append(_attend_piece(some, keys, values, hidden, scale))
            continue
        out, weight = _attend_piece([_rows_of(part, run.lanes) for part in rows], keys, values, hidden, scale)
        outs, weights = out.chunk(len(run.lanes), 1), weight.chunk(len(run.lanes), 1)
        for lane, pair in zip(run.lanes, zip(outs, weights, strict=True), strict=True):
            found[lane].append(pair)
    whole = _merged(found).view(lanes, heads, width, -1).transpose(1, 2)
    if batch > lanes:
        whole = torch.cat([whole, whole.new_zeros((batch - lanes, *whole.shape[1:]))])
    return whole.contiguous()


def _rows_of(rows: Tensor, lanes: Sequence[int]) -> Tensor:
    """``[shared heads, lanes * rows, head_dim]``: the rows of some lanes one after the other."""
    first, last = lanes[0], lanes[-1]
    some = rows[first : last + 1] if last - first + 1 == len(lanes) else rows[list(lanes)]
    return some.transpose(0, 1).reshape(rows.shape[1], -1, rows.shape[3])


class Hidden(NamedTuple):
    """What rows must not see of a piece.

    :ivar added: ``[rows, keys]``, -inf where a key is hidden and 0 elsewhere.
    :ivar blind: ``[rows]`` bool: which rows see no key at all; None: each sees one.
    """

    added: Tensor
    blind: Tensor | None


def _hidden(run: Run, placement: Placement, mask: Tensor | None, rows: Tensor) -> Hidden | None:
    """Of the rows of a run's lanes; None: they see all keys of the run."""
    width = placement.width
    group = rows.shape[2] // width
    if mask is None:
        start = placement.starts[run.lanes[0]]
        if run.slot + run.rows <= start + 1:
            return None
        slots = torch.arange(run.slot, run.slot + run.rows)
        seen = (slots[None] <= torch.arange(start, start + width)[:, None]).repeat(group, 1)
    else:
        some = mask[list(run.lanes), 0, :, run.slot : run.slot + run.rows]
        seen = some[:, None].expand(-1, group, -1, -1).reshape(-1, run.rows)
        if bool(seen.all()):
            return None
    added = torch.zeros(seen.shape, dtype=rows.dtype).masked_fill_(~seen, -torch.inf)
    blind = ~seen.any(-1)
    return Hidden(added, blind if bool(blind.any()) else None)


def _attend_piece(
    queries: Sequence[Tensor], keys: Sequence[Tensor], values: Tensor, hidden: Hidden | None, scale: float
) -> tuple[Tensor, Tensor]:
    """``[heads, rows, value_dim]`` and the log-sum-exp ``[heads, rows]`` of the scores; -inf where nothing is seen."""
    if len(keys) == 1 and values.dtype in _FUSED and keys[0].shape[-1] == values.shape[-1]:
        parts = 1 if hidden is not None else _parts(queries[0].shape[0], queries[0].shape[1], values.shape[1])
        if parts > 1:
            return _attend_parts(queries[0], keys[0], values, parts, scale)
        added = None if hidden is None else hidden.added[None, None]
        out, weight = (found[0] for found in _fused(queries[0][None], keys[0][None], values[None], added, scale))
    else:
        scores = queries[0] @ keys[0].transpose(1, 2)
        for query, key in zip(queries[1:], keys[1:], strict=True):
            scores = torch.baddbmm(scores, query, key.transpose(1, 2))
        scores = scores.float() if scores.element_size() < 4 else scores
        scores = scores * scale if hidden is None else scores * scale + hidden.added
        weight = scores.logsumexp(-1)
        out = (scores - weight[..., None]).exp().to(values.dtype) @ values
    if hidden is not None and hidden.blind is not None:  # what is computed for a row that sees nothing is no number
        out = out.masked_fill(hidden.blind[None, :, None], 0.0)
        weight = weight.masked_fill(hidden.blind, -torch.inf)
    return out, weight


def _fused(queries: Tensor, keys: Tensor, values: Tensor, added: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """``[pieces, heads, rows, dim]`` and the log-sum-exps ``[pieces, heads, rows]``, in the kernel."""
    found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        queries, keys, values, 0.0, False, attn_mask=added, scale=scale
    )
    return found[0], found[1]


def _parts(heads: int, rows: int, length: int) -> int:
    """In how many parts keys are attended so that all threads have equally much to do: the kernel gives each some heads."""
    threads = torch.get_num_threads()
    size = next(size for fewer, size in _ROWS_OF_A_UNIT if rows < fewer)
    units = heads * -(-rows // size)
    rounds = -(-units // threads)
    if units > _EVEN * (rounds * threads):
        return 1
    parts = threads // gcd(units, threads)
    return parts if length >= parts * _SHORTEST else 1


def _attend_parts(queries: Tensor, keys: Tensor, values: Tensor, parts: int, scale: float) -> tuple[Tensor, Tensor]:
    """The same as :func:`_attend_piece`, in parts of equal length: where they overlap, one of them does not look."""
    step, more = divmod(keys.shape[1], parts)
    added = _overlap(parts, step, more, queries.dtype)
    keys, values = (_overlapping(rows, parts, step, more) for rows in (keys, values))
    out, weight = _fused(queries.expand(parts, -1, -1, -1), keys, values, added, scale)
    whole = weight.logsumexp(0)
    return (out * (weight - whole).exp().unsqueeze(-1).to(out.dtype)).sum(0), whole


def _overlapping(rows: Tensor, parts: int, step: int, more: int) -> Tensor:
    """``[heads, length, dim]`` as ``[parts, heads, step + more, dim]``, of which each begins ``step`` behind the one before."""
    across, down, along = rows.stride()
    size = parts, rows.shape[0], step + more, rows.shape[2]
    return rows.as_strided(size, (step * down, across, down, along), rows.storage_offset())


@lru_cache(maxsize=16)
def _overlap(parts: int, step: int, more: int, dtype: torch.dtype) -> Tensor | None:
    """``[parts, 1, 1, step + more]``: each part but the last leaves its last rows to the next one."""
    if not more:
        return None
    added = torch.zeros((parts, 1, 1, step + more), dtype=dtype)
    added[:-1, ..., step:] = -torch.inf
    return added


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
