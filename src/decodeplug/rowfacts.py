"""What the host wants to know of each scored row, read back from the device in one transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from decodeplug.contracts import Proposal
from decodeplug.precision import widest
from decodeplug.rules import Clipped
from decodeplug.score import Scored
from decodeplug.values import Extension

__all__ = ["Chosen", "Columns", "Picked", "Table", "columns_of", "read_back"]

Columns = Mapping[str, Tensor | list[Any]]
"""Name -> ``[rows]`` or ``[rows, k]``, on the device, or plain numbers already."""

Table = dict[str, list[Any]]
"""The same, as plain numbers."""

_PLAIN = 3  # columns that every table has
_REMOVED = "removed by "
_OF_CANDIDATES = ("logprobs", "raw")  # columns of a joint choice that have a number for each candidate


@dataclass(slots=True)
class Chosen:
    """An extension of a lane, and what is known of the rows that its tokens were chosen from.

    :ivar parent: Index of the lane, among all lanes of the turn.
    :ivar table: The numbers of all rows of the lane's group.
    :ivar bound: A margin below it could have been closed by rounding.
    """

    parent: int
    tokens: tuple[int, ...]
    rows: Sequence[int]
    table: Table
    bound: float

    def column(self, name: str, count: int) -> list[Any]:
        """One fact of the first ``count`` rows; nothing where it was not asked for."""
        column = self.table.get(name)
        return [] if column is None else [column[row] for row in self.rows[:count]]

    def near_ties(self, count: int) -> int:
        """How many choices rounding could have turned into others."""
        margins, near = self.table["margins"], 0
        for row in self.rows[:count]:
            near += margins[row] < self.bound
        return near

    @property
    def are_plain(self) -> bool:
        """Nothing is known but the choices, their values and their margins."""
        return len(self.table) == _PLAIN

    def removed(self, count: int) -> dict[str, tuple[float, ...]]:
        """Part -> share of the probability mass that it took away, row by row."""
        return {
            name.removeprefix(_REMOVED): tuple(self.column(name, count))
            for name in self.table
            if name.startswith(_REMOVED)
        }


@dataclass(slots=True)
class Picked(Chosen):
    """An extension that was chosen beside others of the same lane, or in place of those of other lanes.

    :ivar extension: What the selector said. :ivar ranks: For each token, its place among the candidates of its row.
    :ivar clipped: What the rules leave of it. :ivar forks: A later extension continues the same lane.
    """

    extension: Extension
    ranks: Sequence[int]
    clipped: Clipped
    forks: bool = False

    def column(self, name: str, count: int) -> list[Any]:
        found = Chosen.column(self, name, count)
        if name in _OF_CANDIDATES:
            return [row[rank] for row, rank in zip(found, self.ranks, strict=False)]
        return found

    def near_ties(self, count: int) -> int:
        return int(count == len(self.tokens) and self.extension.margin < self.bound)


def columns_of(
    logits: Tensor, scored: Scored, proposal: Proposal, *, logprobs: bool, top: int, raw: bool, joint: bool = False
) -> Columns:
    """Compute the facts of some rows on their device, without waiting for it.

    :param logits: ``[rows, vocab]`` raw, for ``raw``.
    :param proposal: What the selector proposed for them.
    :param logprobs: Log-probabilities are wanted; a softmax over the vocabulary, unless it is known.
    :param joint: Any candidate may be chosen, so they are wanted for each: ``[rows, k]``.
    """
    candidates, values, margins = proposal
    columns: dict[str, Tensor | list[Any]] = {"candidates": candidates, "values": values, "margins": margins}
    logprobs = logprobs or scored.total is not None
    if logprobs or raw:
        ids = torch.as_tensor(candidates)
        best, shape = (ids, ids.shape) if joint else (ids[:, :1], ids.shape[:1])
        if logprobs:
            columns["logprobs"] = scored.logprobs(best).view(shape)
        if raw:
            columns["raw"] = torch.log_softmax(logits.float(), -1).gather(-1, best).view(shape)
    if scored.restored is not None:
        columns["restored"] = scored.restored
    if top:
        columns["top ids"] = best = scored.scores.topk(top, -1).indices
        columns["top"] = scored.logprobs(best)
    for part, share in scored.removed.items():
        columns[_REMOVED + part] = share
    return columns


def read_back(tables: Sequence[Columns]) -> list[Table]:
    """All numbers of all tables, as plain lists; one transfer, whatever their number."""
    if all(len(table) == _PLAIN and isinstance(table["candidates"], list) for table in tables):
        return cast("list[Table]", tables)
    waiting: list[Tensor] = []
    for table in tables:
        for column in table.values():
            if not isinstance(column, list) and not column.is_cpu:
                waiting.append(column)
    arrived = _fetched(waiting) if waiting else {}
    plain: list[Table] = []
    for table in tables:
        rows: Table = {}
        for name, column in table.items():
            rows[name] = column if isinstance(column, list) else arrived.get(id(column), column).tolist()
        plain.append(rows)
    return plain


def _fetched(columns: Sequence[Tensor]) -> dict[int, Tensor]:
    """Columns of several shapes and dtypes on the CPU, by their ``id()``: packed, and sent at once."""
    # Both float64 and float32 hold every id exactly.
    packed = torch.cat([column.to(widest(column.device)).flatten() for column in columns]).cpu()
    pieces = packed.split([column.numel() for column in columns])
    return {
        id(column): piece.view(column.shape).to(column.dtype) for column, piece in zip(columns, pieces, strict=True)
    }
