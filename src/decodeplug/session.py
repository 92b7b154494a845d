"""The model's side of the loop, as a contract."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from decodeplug.taps import Taps

__all__ = ["Session"]


@runtime_checkable
class Session(Protocol):
    """The model and its cache, as the loop sees them."""

    max_draft: int | None
    """Drafted tokens a forward may carry: None for any number, 0 for none at all."""
    watched: Sequence[Tensor]
    """For each lane ``[fed, features]``: what the taps saw of its ids in the last forward. Empty without any. Zeros
    for ids that were not computed, as they are out of sight of those behind them."""

    reused: Sequence[int]
    """For each lane, how many ids of the last forward were not computed, since the cache knew them. Empty: none."""

    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        """One call of the model over all lanes, each with its own number of new ids.

        :param feeds: For each lane, the ids that the cache does not hold; may be empty.
        :param wants: For each lane, of how many trailing ids the logits are wanted.
        :param whole: Lanes all of whose ids have to be computed, also where the cache knows some of another text.
        :returns: ``[sum(wants), vocab]`` raw logits, lane after lane, in the model's dtype.
        :raises CacheFull: There is no room for a lane; what the lanes held before is there still.
        """
        ...

    def watch(self, taps: Taps) -> None:
        """From now on, let these see each forward; others may be added to them."""
        ...

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """Drop, reorder and fork: the one verb by which the cache changes shape.

        :param parents: For each lane from now on, the lane before that it continues;
            -1 for a new, empty one.
        :param lengths: For each, how many of its parent's ids shall be held at most.
        :returns: How many the cache really holds (it may hold fewer, if its state
            cannot be rewound: what is missing is pending again and fed again).
        """
        ...

    def bytes(self) -> int:
        """Bytes that the cache holds now."""
        ...

    def facts(self) -> Mapping[str, int]:
        """What else the cache says of itself: ``copied_bytes`` so far, and what is of its kind."""
        ...
