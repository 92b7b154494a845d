"""What the host wants to know of each scored row, read back from the device in one transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from decodeplug.score import Scored, near_tie_bound

__all__ = ["RowFacts", "columns_of", "read_back", "rows_of"]

Columns = Mapping[str, Tensor]
"""Name -> ``[rows, k]``, on the device."""

_REMOVED = "removed by "


@dataclass(slots=True)
class RowFacts:
    """What is known of one row after it was scored.

    :ivar best: The best score; not finite if nothing can be chosen.
    :ivar candidates: What the selector proposes, best first, and their ``logprobs``.
    :ivar near_tie: Rounding could have made another token the best.
    :ivar removed: Part -> share of the probability mass that it took away.
    """

    best: float
    candidates: list[int]
    logprobs: list[float]
    near_tie: bool
    restored: int = 0
    removed: dict[str, float] = field(default_factory=dict)
    raw_logprobs: list[float] | None = None
    top: list[tuple[int, float]] | None = None


def columns_of(logits: Tensor, scored: Scored, proposal: tuple[Tensor, Tensor], *, top: int, raw: bool) -> Columns:
    """Compute the facts of some rows on their device, without waiting for it.

    :param logits: ``[rows, vocab]`` raw, for ``raw``.
    :param proposal: ``[rows, k]`` int64 candidates and ``[rows]`` margins.
    """
    candidates, margins = proposal
    total = scored.log_total()[:, None]
    columns: dict[str, Tensor] = {
        "best": scored.best(),
        "close": margins[:, None] < near_tie_bound(logits.dtype),
        "candidates": candidates,
        "logprobs": scored.scores.gather(-1, candidates) - total,
    }
    if scored.restored is not None:
        columns["restored"] = scored.restored[:, None]
    if raw:
        columns["raw"] = torch.log_softmax(logits.float(), -1).gather(-1, candidates)
    if top:
        values, columns["top ids"] = scored.scores.topk(top, -1)
        columns["top"] = values - total
    for part, share in scored.removed.items():
        columns[_REMOVED + part] = share[:, None]
    return columns


def read_back(tables: Sequence[Columns]) -> list[dict[str, list[list[float]]]]:
    """All numbers of all tables, as plain lists; one transfer, whatever their number."""
    if not tables or next(iter(tables[0].values())).device.type == "cpu":
        return [{name: column.tolist() for name, column in table.items()} for table in tables]
    # float64 holds every id exactly.
    packed = torch.cat([column.double().flatten() for table in tables for column in table.values()])
    numbers, at, plain = packed.tolist(), 0, []
    for table in tables:
        rows: dict[str, list[list[float]]] = {}
        for name, column in table.items():
            count, width = column.shape
            rows[name] = [numbers[at + row * width : at + (row + 1) * width] for row in range(count)]
            at += count * width
        plain.append(rows)
    return plain


def rows_of(table: Mapping[str, list[list[float]]]) -> list[RowFacts]:
    """The facts row by row."""
    parts = [name for name in table if name.startswith(_REMOVED)]
    rows = []
    for row, best in enumerate(table["best"]):
        facts = RowFacts(
            best[0], [int(i) for i in table["candidates"][row]], table["logprobs"][row], bool(table["close"][row][0])
        )
        if "restored" in table:
            facts.restored = int(table["restored"][row][0])
        if "raw" in table:
            facts.raw_logprobs = table["raw"][row]
        if "top" in table:
            facts.top = [(int(i), p) for i, p in zip(table["top ids"][row], table["top"][row], strict=True)]
        facts.removed = {name.removeprefix(_REMOVED): table[name][row][0] for name in parts}
        rows.append(facts)
    return rows
