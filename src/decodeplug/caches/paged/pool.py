"""Blocks of equally many ids: who holds them, which are free, and when memory is taken and given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from decodeplug.caches.paged.prefixes import KnownBlocks
from decodeplug.caches.paged.space import Space
from decodeplug.caches.pieces import Slab

__all__ = ["BlockPool", "NoRoom"]


class NoRoom(Exception):  # noqa: N818 - it only says so to whoever knows how many bytes a block has
    """More blocks are wanted than there may be.

    :ivar blocks: How many there would have to be.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__(f"{blocks} blocks")
        self.blocks = blocks


class BlockPool:
    """Blocks and how many hold each. It knows no tensors: whoever has them is told of slabs that come and go.

    :param block_size: Ids of a block.
    :param grown: Called for a slab that is new. :param shrunk: For one that is given back.
    :param slab_blocks: Blocks of the first slab; each further one has as many as all before it, and half as many again
        as are wanted at once, so that long texts lie in few pieces.
    :ivar most: Blocks that there may be; None: any number. :ivar step: Blocks of a slab where there is such a limit.
    :ivar shared: Blocks that more than one text holds.
    """

    def __init__(
        self,
        block_size: int,
        grown: Callable[[Slab], None],
        shrunk: Callable[[Slab], None],
        *,
        slab_blocks: int = 64,
    ) -> None:
        self.block_size = block_size
        self.most: int | None = None
        self.step = slab_blocks
        self.known = KnownBlocks(block_size)
        self.slabs: list[Slab] = []
        self.shared = 0
        self._grown, self._shrunk = grown, shrunk
        self._slab_blocks = slab_blocks
        self._space = Space()
        self._holders: dict[int, int] = {}
        self._next = 0  # ids of blocks are never used for another slab

    @property
    def total(self) -> int:
        """Blocks that memory was taken for."""
        return sum(slab.end - slab.begin for slab in self.slabs)

    @property
    def held(self) -> int:
        """Blocks that some text holds."""
        return len(self._holders)

    @property
    def free(self) -> int:
        """Blocks that are there for anybody."""
        return self._space.free

    @property
    def idle(self) -> int:
        """Blocks that nobody holds, and that are kept for their ids."""
        return self.known.idle

    def holders(self, block: int) -> int:
        """How many texts hold a block."""
        return self._holders.get(block, 0)

    def take_behind(self, block: int | None, count: int) -> list[int]:
        """Blocks for a text whose last one is ``block``: those behind it as far as they are free, and the rest in a row.

        :raises NoRoom: There is none for so many; none is taken then.
        """
        some = 0 if block is None else self._space.take_behind(block, count)
        found = [] if block is None else list(range(block + 1, block + 1 + some))
        self._holders.update(dict.fromkeys(found, 1))
        if some == count:
            return found
        try:
            return found + self.take(count - some, beside=True)
        except NoRoom:
            self.drop(found)
            raise

    def free_behind(self, block: int | None) -> int:
        """By how many blocks the text whose last one this is can go on behind it."""
        return 0 if block is None else self._space.free_behind(block)

    def spread(self, counts: Sequence[int]) -> None:
        """See :meth:`Space.spread`.

        :param counts: How many blocks each text will take.
        """
        if self.most is None and self._space.free < sum(counts):
            self._make_room(sum(counts))
        self._space.spread(len(counts))

    def take(self, count: int, *, beside: bool = False) -> list[int]:
        """Blocks in a row, as far as there is room.

        :param beside: See :meth:`Space.take`.
        :raises NoRoom: There is none for so many; none is taken then.
        """
        found: list[int] = []
        if self.most is None and self._space.longest < count:
            self._make_room(count)  # in one piece, rather than in what is left between others
        try:
            while len(found) < count:
                if not self._space.free:
                    self._make_room(count - len(found))
                first, some = self._space.take(count - len(found), beside=beside)
                found += range(first, first + some)
        except NoRoom:
            for block in found:
                self._space.give(block)
            raise NoRoom(self.held + count) from None
        self._holders.update(dict.fromkeys(found, 1))
        return found

    def _make_room(self, count: int) -> None:
        """Free at least one block: by another slab, or, where there may be none, by giving up what is known only."""
        room = None if self.most is None else self.most - self.total
        if room is None or room > 0:
            size = max(self._slab_blocks if not self.slabs else self.total, count + count // 2)
            size = size if room is None else min(max(self.step, count), room)
            slab = Slab(self._next, self._next + size)
            self._grown(slab)
            self._next = slab.end
            self.slabs.append(slab)
            self._space.add(slab.begin, slab.end)
            return
        for _ in range(count):
            block = self.known.evict()
            if block is None:
                break
            self._space.give(block)
        if not self._space.free:
            raise NoRoom(self.held + count)

    def share(self, blocks: Sequence[int]) -> None:
        """One more text holds these; what is negative is no block."""
        for block in blocks:
            if block < 0:
                continue
            holders = self._holders.get(block, 0)
            if not holders:
                self.known.wake(block)
            self.shared += holders == 1
            self._holders[block] = holders + 1

    def drop(self, blocks: Sequence[int]) -> None:
        """One text less holds these; last ones first, so that of what is known the beginnings stay longest."""
        for block in reversed(blocks):
            if block < 0:
                continue
            holders = self._holders[block] - 1
            self.shared -= holders == 1
            if holders:
                self._holders[block] = holders
                continue
            del self._holders[block]
            if not self.known.rest(block):
                self._space.give(block)

    def forget(self, idle: int = 0) -> None:
        """Keep at most so many idle blocks: those that were used last."""
        while self.known.idle > idle and (block := self.known.evict()) is not None:
            self._space.give(block)

    def shrink(self) -> None:
        """Give back every slab of which no block is held or known."""
        for slab in list(self.slabs):
            if self._space.remove(slab.begin, slab.end):
                self.slabs.remove(slab)
                self._shrunk(slab)
