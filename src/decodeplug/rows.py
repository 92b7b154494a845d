"""What a selector is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from decodeplug.values import Draft, LaneView

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Proposal", "Rows"]


class Rows:
    """The rows of one score table that a selector sees, and whose they are.

    :ivar lanes: The lanes, in order. :ivar drafts: Their drafts.
    :ivar first: For each lane, the index of its first row; lane ``i`` has rows
        ``first[i] .. first[i] + len(drafts[i])``, one per drafted token and one more.
    :ivar count: All rows.
    """

    __slots__ = ("count", "drafts", "first", "lanes")

    def __init__(self, lanes: Sequence[LaneView], drafts: Sequence[Draft]) -> None:
        self.lanes, self.drafts = lanes, drafts
        self.first: list[int] = []
        self.count = 0
        for draft in drafts:
            self.first.append(self.count)
            self.count += len(draft.tokens) + 1


class Proposal(NamedTuple):
    """What a selector proposes: on the device of the scores, or, on the CPU, plain lists.

    :ivar candidates: ``[rows, k]`` int64 ids, best first.
    :ivar values: ``[rows, k]``: what they were chosen by: their score, with noise where noise is
        drawn. The first one is not finite where nothing can be chosen.
    :ivar margins: ``[rows]``: how far each choice is ahead of what would have been chosen in
        its place (``inf``: nothing).
    """

    candidates: Tensor | list[list[int]]
    values: Tensor | list[list[float]]
    margins: Tensor | list[float]
