"""What the forward in progress reads, and layers whose keys are read so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from decodeplug.caches.pieces.attention import attend
from decodeplug.caches.pieces.runs import Run

__all__ = ["InPieces", "Reading"]

Made = TypeVar("Made")


@dataclass(slots=True)
class Reading:
    """One value for all layers that have the same rows; what it says is said anew for each forward.

    :ivar lanes: How many lanes the forward has. :ivar width: Rows of each, padding included.
    :ivar starts: For each lane, how many ids it holds. :ivar runs: Where its keys are read.
    """

    lanes: int = 0
    width: int = 0
    starts: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    _made: dict[Hashable, tuple[Tensor | None, Any]] = field(
        default_factory=dict[Hashable, "tuple[Tensor | None, Any]"]
    )

    @property
    def longest(self) -> int:
        """The most ids that a lane holds."""
        return max(self.starts, default=0)

    @property
    def length(self) -> int:
        """The most ids of a lane with its new rows, padding included."""
        return self.longest + self.width

    def begin(self, starts: Sequence[int], width: int, runs: Sequence[Run]) -> None:
        """Another forward."""
        self.lanes, self.width, self.starts, self.runs = len(starts), width, list(starts), list(runs)
        self.end()

    def end(self) -> None:
        """The model has run: let go of what was made of its masks."""
        self._made.clear()

    def remembered(self, key: Hashable, mask: Tensor | None, make: Callable[[], Made]) -> Made:
        """What is made of a mask once for all layers of this forward that have it."""
        key = id(mask), key
        if key not in self._made:
            self._made[key] = mask, make()  # the mask, too: its id is not given to another one
        return self._made[key][1]


class InPieces(ABC):
    """A :class:`decodeplug.caches.lazy.Source` whose keys and values lie in pieces."""

    @property
    @abstractmethod
    def reading(self) -> Reading:
        """Of the forward in progress."""

    @abstractmethod
    def rows_of_runs(self) -> list[tuple[Tensor, Tensor]]:
        """Of each run, keys and values, ``[1, heads, rows, dim]``, or of each of its lanes where they differ."""

    def can_attend(self, query: Tensor, mask: Tensor | None) -> bool:
        """Kernels of other devices want keys in one piece."""
        return query.is_cpu and (mask is None or (mask.dtype == torch.bool and mask.shape[1] == 1))

    def attend(self, query: Tensor, mask: Tensor | None, scale: float, *, plain: bool) -> Tensor:
        """See :class:`decodeplug.caches.lazy.Source`."""
        pieces = [((keys,), values) for keys, values in self.rows_of_runs()]
        return attend((query,), self.reading, pieces, None if plain else mask, scale)

    def attend_latents(self, queries: Sequence[Tensor], mask: Tensor | None, scale: float, *, plain: bool) -> Tensor:
        """The same where what is kept as keys are the values, and what is kept as values further parts of the keys.

        :param queries: For the one and for the other, ``[lanes, heads, width, dim]``.
        """
        pieces = [(pair, pair[0]) for pair in self.rows_of_runs()]
        return attend(queries, self.reading, pieces, None if plain else mask, scale)
