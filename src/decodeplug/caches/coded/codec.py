"""What stands between full precision and fewer bytes: codecs, pieces of text that they coded, and when that is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from torch import Tensor

__all__ = ["Codec", "Codes", "Horizon", "Piece"]

Codes = tuple[Tensor, ...]
"""What a codec made of one piece of one layer: equally many tensors for every piece, each as large as the others of its place."""


class Codec(Protocol):
    """Of one layer. Keys and values may have different dims, and those of some models are something else."""

    def encode(self, keys: Tensor, values: Tensor, start: int) -> Codes:
        """Code one piece.

        :param keys: ``[ids, heads, key_dim]`` as attention reads them; not modified. :param values: ``[ids, heads, value_dim]``.
        :param start: Position of the first id.
        """
        ...

    def decode(self, codes: Codes, starts: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        """Pieces as attention reads them.

        :param codes: Those of all pieces, stacked: ``[pieces, ...]`` each; not modified. :param starts: For each, as above.
        :param like: Of the dtype that is wanted.
        :returns: Keys and values, ``[pieces, ids, heads, dim]``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Horizon:
    """Which ids are coded: a function of the position that looks at them, whatever was fed at once.

    :ivar first: Ids at the beginning of a text that stay as they are: many heads look at them when there is nothing to look
        at (Xiao et al. 2023, arXiv:2309.17453, section 3.1).
    :ivar window: The last ids, which stay as they are, at least so many.
    :ivar step: Ids that are coded together.
    """

    first: int
    window: int
    step: int

    def coded(self, position: int) -> int:
        """How many ids from the first one on an id at this position sees coded; a multiple of ``step``."""
        return max(0, position - self.window) // self.step * self.step

    def room(self, position: int) -> int:
        """How many ids from this position on see the same ids coded."""
        return self.coded(position) + self.window + self.step - position


@dataclass(frozen=True, eq=False)
class Piece:
    """``step`` ids of a text, coded. A value: texts that fork share it.

    :ivar start: Position of the first one. :ivar codes: For each layer.
    :ivar whole: For each layer, keys and values of the ids that stay as they are, ``[ids, heads, dim]``; empty: of none.
    """

    start: int
    codes: Sequence[Codes]
    whole: Sequence[tuple[Tensor, Tensor]] = field(default=())

    @cached_property
    def bytes(self) -> int:
        tensors = [tensor for some in (*self.codes, *self.whole) for tensor in some]
        return sum([tensor.numel() * tensor.element_size() for tensor in tensors])
