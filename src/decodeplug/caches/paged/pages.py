"""The memory of a paged cache: one for all sessions over a model, so that what one of them knows serves the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

from decodeplug.caches.paged.pool import BlockPool
from decodeplug.caches.paged.store import BlockRows, Moved
from decodeplug.caches.paged.tables import Copy, Lanes
from decodeplug.caches.pieces import Slab
from decodeplug.inference import inference

__all__ = ["PageGroup", "Pages"]

_STEPS = 8  # in which a pool with a budget grows to its share
_FIRST = 1024  # ids that the first slab has room for


class PageGroup:
    """Blocks of the layers that have the same window. A block has rows in each of these layers.

    :param window: See :class:`Lanes`. :param size: Ids of a block.
    :ivar stores: The rows, one for each kind of each layer.
    """

    def __init__(self, window: int | None, size: int) -> None:
        self.window, self.size = window, size
        self.stores: list[BlockRows] = []
        self.pool = BlockPool(size, self._grow, self._shrink, slab_blocks=max(1, _FIRST // size))

    @property
    def block_bytes(self) -> int:
        """Bytes of a block; 0 before the first write."""
        return sum([store.row_bytes for store in self.stores]) * self.size

    def new_store(self) -> BlockRows:
        """Rows of a further kind."""
        self.stores.append(BlockRows(self.size))
        return self.stores[-1]

    def _grow(self, slab: Slab) -> None:
        for store in self.stores:
            store.grow(slab)

    def _shrink(self, slab: Slab) -> None:
        for store in self.stores:
            store.shrink(slab)

    @inference
    def copy(self, copies: Sequence[Copy]) -> int:
        """Copy rows between blocks; returns how many bytes were copied."""
        moved: list[Moved] = [(*self._row(source), *self._row(target), rows) for source, target, rows in copies]
        if moved:
            for store in self.stores:
                store.copy(moved)
        return sum([copy.rows for copy in copies]) * self.block_bytes // self.size

    def _row(self, block: int) -> tuple[int, int]:
        slab = next(slab for slab in self.pool.slabs if slab.begin <= block < slab.end)
        return slab.begin, (block - slab.begin) * self.size


class Pages:
    """Blocks of all layers of one model.

    :param layers: For each layer its window, and how many kinds of rows it has, which may be none.
    :param size: Ids of a block. :param most: Bytes that blocks may take; None: any number.
    :param idle: Bytes of blocks that nobody holds that are kept for texts that begin with the same ids.
    :param model: The state of the model that computes them.
    :ivar size: Ids of a block. :ivar groups: By window, at least one. :ivar layers: For each layer its rows, one store for each kind.
    """

    def __init__(
        self, layers: Sequence[tuple[int | None, int]], size: int, most: int | None, idle: int, model: Hashable
    ) -> None:
        windows = dict.fromkeys(window for window, kinds in layers if kinds) or {None: None}
        self.groups = {window: PageGroup(window, size) for window in windows}
        self.layers = [[self.groups[window].new_store() for _ in range(kinds)] for window, kinds in layers]
        self.size, self.most, self._idle = size, most, idle
        self._model, self._is_stale = model, False
        self._left: deque[Sequence[Lanes]] = deque()

    @property
    def bytes_taken(self) -> int:
        """Bytes of all slabs."""
        return sum([group.pool.total * group.block_bytes for group in self.groups.values()])

    @property
    def bytes_held(self) -> int:
        """Bytes of blocks that some text holds."""
        return sum([group.pool.held * group.block_bytes for group in self.groups.values()])

    def is_of(self, model: Hashable) -> bool:
        """Is it the model that the blocks were computed with? Once it was another one, it never is again."""
        self._is_stale = self._is_stale or model != self._model
        return not self._is_stale

    def reclaim(self, group: PageGroup) -> None:
        """Give up what other groups hold for nobody, so that this one may grow."""
        for other in self.groups.values():
            if other is not group:
                other.pool.forget()
                other.pool.shrink()
        self.limit(group)

    def leave(self, lanes: Sequence[Lanes]) -> None:
        """Tables that nobody uses any more; may be called from anywhere, and is seen to later."""
        self._left.append(lanes)

    def tidy(self) -> None:
        """Let go of what nobody needs: idle blocks beyond those that are to be kept, and slabs without any."""
        while self._left:
            for lanes in self._left.popleft():
                lanes.keep([], [])
        total = sum([group.pool.idle * group.block_bytes for group in self.groups.values()])
        kept = 0 if self.most is not None and self.bytes_taken > self.most else self._idle
        if total > kept:
            for group in self.groups.values():
                group.pool.forget(group.pool.idle * kept // total)
        for group in self.groups.values():
            group.pool.shrink()

    def limit(self, group: PageGroup) -> None:
        """Tell a pool how many blocks it may have."""
        if self.most is not None and group.block_bytes:
            room = (self.most - self.bytes_taken) // group.block_bytes
            group.pool.most = max(group.pool.total + room, 0)
            # In steps, so that groups get what they need and not all of it goes to whoever asks first.
            group.pool.step = max(1, self.most // (_STEPS * len(self.groups) * group.block_bytes))
