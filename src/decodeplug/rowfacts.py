"""What the host wants to know of each scored row, read back from the device in one transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from decodeplug.score import Scored, near_tie_bound

__all__ = ["Columns", "RowFacts", "Table", "columns_of", "facts_of", "read_back"]

Columns = Mapping[str, Tensor]
"""Name -> ``[rows, k]``, on the device."""

Table = dict[str, list[list[float]]]
"""The same, as plain numbers."""

_PLAIN = 3  # columns that every table has
_REMOVED = "removed by "


@dataclass(slots=True)
class RowFacts:
    """What is known of one row after it was scored.

    :ivar score: The choice's score; not finite if nothing could be chosen.
    :ivar logprob: Its log-probability; None where nobody asked and it did not come by the way.
    :ivar near_tie: Rounding could have made another token the choice.
    :ivar removed: Part -> share of the probability mass that it took away.
    """

    score: float
    near_tie: bool
    logprob: float | None = None
    restored: int = 0
    removed: dict[str, float] = field(default_factory=dict)
    raw_logprob: float | None = None
    top: list[tuple[int, float]] | None = None


def columns_of(
    logits: Tensor, scored: Scored, proposal: tuple[Tensor, Tensor], *, logprobs: bool, top: int, raw: bool
) -> Columns:
    """Compute the facts of some rows on their device, without waiting for it.

    :param logits: ``[rows, vocab]`` raw, for ``raw``.
    :param proposal: ``[rows, k]`` int64 candidates and ``[rows]`` margins.
    :param logprobs: Log-probabilities are wanted; a softmax over the vocabulary, unless it is known.
    """
    candidates, margins = proposal
    columns = {"candidates": candidates, "margins": margins[:, None], "scores": scored.scores.gather(-1, candidates)}
    if logprobs or scored.knows_total:
        columns["logprobs"] = scored.logprobs(candidates)
    if scored.restored is not None:
        columns["restored"] = scored.restored[:, None]
    if raw:
        columns["raw"] = torch.log_softmax(logits.float(), -1).gather(-1, candidates)
    if top:
        columns["top ids"] = scored.scores.topk(top, -1).indices
        columns["top"] = scored.logprobs(columns["top ids"])
    for part, share in scored.removed.items():
        columns[_REMOVED + part] = share[:, None]
    return columns


def read_back(tables: Sequence[Columns]) -> list[Table]:
    """All numbers of all tables, as plain lists; one transfer, whatever their number."""
    if not tables or tables[0]["candidates"].device.type == "cpu":
        return [{name: column.tolist() for name, column in table.items()} for table in tables]
    # float64 holds every id exactly.
    packed = torch.cat([column.double().flatten() for table in tables for column in table.values()])
    numbers, at, plain = packed.tolist(), 0, []
    for table in tables:
        rows: Table = {}
        for name, column in table.items():
            count, width = column.shape
            rows[name] = [numbers[at + row * width : at + (row + 1) * width] for row in range(count)]
            at += count * width
        rows["candidates"], rows["top ids"] = _ids(rows["candidates"]), _ids(rows.get("top ids", []))
        plain.append(rows)
    return plain


def _ids(rows: list[list[float]]) -> list[list[float]]:
    return [[int(value) for value in row] for row in rows]


def facts_of(table: Table, row: int, dtype: torch.dtype) -> RowFacts:
    """The facts of one row.

    :param dtype: That of the logits: it says which margins rounding could close.
    """
    facts = RowFacts(table["scores"][row][0], table["margins"][row][0] < near_tie_bound(dtype))
    if len(table) > _PLAIN:
        if "logprobs" in table:
            facts.logprob = table["logprobs"][row][0]
        if "restored" in table:
            facts.restored = int(table["restored"][row][0])
        if "raw" in table:
            facts.raw_logprob = table["raw"][row][0]
        if "top" in table:
            facts.top = [(int(i), p) for i, p in zip(table["top ids"][row], table["top"][row], strict=True)]
        facts.removed = {
            name.removeprefix(_REMOVED): column[row][0] for name, column in table.items() if name.startswith(_REMOVED)
        }
    return facts
