"""Which blocks each lane has, and what must be copied before it may write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from decodeplug.caches.paged.pool import BlockPool
from decodeplug.caches.pieces import GONE

__all__ = ["Copy", "Lanes"]


class Copy(NamedTuple):
    """The first ``rows`` ids of a block have to be written into another."""

    source: int
    target: int
    rows: int


class Lanes:
    """Block tables of some lanes. Slot ``i`` of a lane is row ``i % size`` of its block ``i // size``.

    :param window: A row sees this many slots, its own included; None: all. Blocks that no further row sees are dropped.
    :ivar tables: For each lane its blocks; in the place of those that were dropped :data:`GONE`.
    :ivar ids: For each lane the ids that it holds.
    """

    def __init__(self, pool: BlockPool, window: int | None = None) -> None:
        self.pool, self.window = pool, window
        self.tables: list[list[int]] = []
        self.ids: list[list[int]] = []
        self._learned: list[int] = []  # for each lane, how many of its blocks are known

    @property
    def held(self) -> list[int]:
        """How many ids each lane holds."""
        return [len(ids) for ids in self.ids]

    def known(self, lane: int, ids: Sequence[int]) -> list[int]:
        """Blocks that hold the beginning of a lane's text, if that goes on with ``ids``.

        At least one id is left to be fed: the logits behind it are wanted.
        """
        return list(self.pool.known.find([*self.ids[lane], *ids][:-1]))

    def reuse(self, lane: int, blocks: Sequence[int], ids: Sequence[int]) -> None:
        """Let a lane hold known blocks in place of its own. ``ids`` are those in them."""
        pool = self.pool
        pool.share(blocks)
        pool.drop(self.tables[lane])
        self.tables[lane], self.ids[lane], self._learned[lane] = list(blocks), list(ids), len(blocks)

    def spread(self, lanes: Sequence[int], counts: Sequence[int]) -> None:
        """Prepare places for those lanes that will not go on behind their last block: see :meth:`BlockPool.spread`."""
        begun = [(lane, count) for lane, count in zip(lanes, counts, strict=True) if count and self.tables[lane]]
        leaving: list[int] = []
        behind: set[int | None] = set()  # one lane only goes on behind a block
        for lane, count in begun:
            _, last, wanted = self._wants(lane, count)
            if wanted and (last in behind or wanted > self.pool.free_behind(last)):
                leaving.append(wanted)
            elif wanted:
                behind.add(last)
        self.pool.spread(leaving)

    def _wants(self, lane: int, count: int) -> tuple[bool, int | None, int]:
        """What a lane needs for ``count`` further ids.

        :returns: Must it not write into its last block, since others hold it? Behind which block it goes on; None: anywhere. How
            many blocks it needs.
        """
        pool, table, held = self.pool, self.tables[lane], len(self.ids[lane])
        forks = bool(held % pool.block_size) and pool.holders(table[-1]) > 1
        kept = table[:-1] if forks else table
        last = kept[-1] if kept and kept[-1] != GONE else None
        return forks, last, max(0, -(-(held + count) // pool.block_size) - len(kept))

    def room_for(self, lane: int, count: int) -> list[Copy]:
        """Take what blocks a lane needs for ``count`` further ids, and make the one it writes into its own.

        :returns: What must be copied first. :raises NoRoom: There is none; nothing is changed then.
        """
        pool, table, rows = self.pool, self.tables[lane], len(self.ids[lane]) % self.pool.block_size
        forks, last, wanted = self._wants(lane, count)
        taken = pool.take_behind(last, wanted) if table else pool.take(wanted)
        copies: list[Copy] = []
        if forks:
            copies.append(Copy(table[-1], taken[0], rows))
            pool.drop(table[-1:])
            table.pop()
        elif rows:
            pool.known.forget(table[-1])  # what is behind the rows that the lane holds will be other ids
        if rows:
            self._learned[lane] = min(self._learned[lane], len(table) - (not forks))
        table += taken
        return copies

    def append(self, lane: int, ids: Sequence[int]) -> None:
        """A lane holds these ids, too."""
        self.ids[lane] += ids

    def learn(self) -> None:
        """Full blocks of what the lanes hold become known, for those that begin with the same ids."""
        pool, size = self.pool, self.pool.block_size
        for lane, (table, ids) in enumerate(zip(self.tables, self.ids, strict=True)):
            for place in range(self._learned[lane], len(ids) // size):
                before = table[place - 1] if place else None
                if GONE not in (before, table[place]):
                    pool.known.learn(before, ids[place * size : (place + 1) * size], table[place])
            self._learned[lane] = max(self._learned[lane], len(ids) // size)

    def holds(self, parent: int, length: int) -> bool:
        """Are the blocks there that the row behind the first ``length`` ids of a lane sees?"""
        out = self._out_of_window(length)
        return GONE not in self.tables[parent][out : out + 1]

    def _out_of_window(self, length: int) -> int:
        """How many blocks no row from slot ``length`` on sees."""
        return 0 if self.window is None else max(0, length - self.window + 1) // self.pool.block_size

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """See :meth:`decodeplug.contracts.Session.keep`. Nothing is copied."""
        pool, size = self.pool, self.pool.block_size
        tables: list[list[int]] = []
        ids: list[list[int]] = []
        learned: list[int] = []
        for parent, length in zip(parents, lengths, strict=True):
            if parent < 0:
                tables.append([])
                ids.append([])
                learned.append(0)
                continue
            kept = self.ids[parent][:length]
            table = self.tables[parent][: -(-len(kept) // size)]
            pool.share(table)
            tables.append(table)
            ids.append(kept)
            learned.append(min(self._learned[parent], len(kept) // size))
        for table in self.tables:
            pool.drop(table)
        self.tables, self.ids, self._learned = tables, ids, learned
        return self.held

    def leave(self) -> None:
        """Drop the blocks that are out of the window."""
        for table, ids in zip(self.tables, self.ids, strict=True):
            out = self._out_of_window(len(ids))
            if out and table[out - 1] != GONE:
                first = out
                while first and table[first - 1] != GONE:
                    first -= 1
                self.pool.drop(table[first:out])
                table[first:out] = [GONE] * (out - first)
