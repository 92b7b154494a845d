"""Full blocks whose ids are known: who begins with the same ids continues from them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

__all__ = ["KnownBlocks"]

_ROOT = 0


class KnownBlocks:
    """Blocks by the ids in them and in all before them. Ids are compared themselves, so nothing is taken for another.

    A block that no text holds stays as long as nobody needs its room: the one that was used longest ago goes first, and of
    one text the last block before those in front of it.

    :param size: Ids of a block.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: dict[tuple[int, tuple[int, ...]], int] = {}
        self._keys: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._numbers: dict[int, int] = {}  # block -> a number that was never another block's
        self._next = _ROOT + 1
        self._idle: OrderedDict[int, None] = OrderedDict()

    def find(self, ids: Sequence[int]) -> Iterator[int]:
        """The blocks that hold the beginning of a text, in order, as far as there are any."""
        parent = _ROOT
        for begin in range(0, len(ids) - self._size + 1, self._size):
            block = self._blocks.get((parent, tuple(ids[begin : begin + self._size])))
            if block is None:
                return
            yield block
            parent = self._numbers[block]

    def learn(self, before: int | None, ids: Sequence[int], block: int) -> None:
        """A block holds these ids, behind those of ``before``; where another block does already, nothing is learned."""
        if block in self._keys or (before is not None and before not in self._numbers):
            return
        key = (_ROOT if before is None else self._numbers[before], tuple(ids))
        if key not in self._blocks:
            self._blocks[key], self._keys[block] = block, key
            self._numbers[block], self._next = self._next, self._next + 1

    def rest(self, block: int) -> bool:
        """Nobody holds a block any more. Is it kept for its ids?"""
        if block not in self._keys:
            return False
        self._idle[block] = None
        return True

    def wake(self, block: int) -> None:
        """Somebody holds it again."""
        self._idle.pop(block, None)

    def forget(self, block: int) -> None:
        """It will hold other ids. What lay behind it is not found any more, and its blocks rest until they are evicted."""
        key = self._keys.pop(block, None)
        if key is not None:
            del self._blocks[key], self._numbers[block]
        self._idle.pop(block, None)

    @property
    def idle(self) -> int:
        """Blocks that nobody holds."""
        return len(self._idle)

    def evict(self) -> int | None:
        """Give up the block that was used longest ago; None if all are held."""
        if not self._idle:
            return None
        block = next(iter(self._idle))
        self.forget(block)
        return block
