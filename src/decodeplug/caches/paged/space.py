"""Which blocks of a pool are free, and where a text had better begin so that it can grow in one piece."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

__all__ = ["Space"]


class Space:
    """Free blocks as extents, ascending. Those of different slabs are never one extent: their memory is not.

    :ivar free: How many blocks are free.
    """

    __slots__ = ("_begins", "_ends", "_places", "_slabs", "_step", "free")

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._slabs: set[int] = set()  # first block of each
        self._places: list[int] = []  # where the next blocks are taken, in reverse
        self._step = 0  # from one place to the next
        self.free = 0

    def add(self, begin: int, end: int) -> None:
        """A slab with the blocks ``begin .. end - 1`` is there, and all of it is free."""
        self._slabs.add(begin)
        place = bisect_left(self._begins, begin)
        self._begins.insert(place, begin)
        self._ends.insert(place, end)
        self.free += end - begin

    def remove(self, begin: int, end: int) -> bool:
        """Take a slab away if all of it is free; whether it was."""
        place = bisect_left(self._begins, begin)
        if place == len(self._begins) or (self._begins[place], self._ends[place]) != (begin, end):
            return False
        del self._begins[place], self._ends[place]
        self._slabs.discard(begin)
        self.free -= end - begin
        return True

    @property
    def longest(self) -> int:
        """How many free blocks lie in a row."""
        return max([end - begin for begin, end in zip(self._begins, self._ends, strict=True)], default=0)

    def free_behind(self, block: int) -> int:
        """How many blocks behind this one are free, and of the same slab."""
        place = bisect_left(self._begins, block + 1)
        if block + 1 in self._slabs or self._begins[place : place + 1] != [block + 1]:
            return 0
        return self._ends[place] - self._begins[place]

    def take_behind(self, block: int, count: int) -> int:
        """Take up to ``count`` blocks behind this one, as far as they are free and of the same slab; how many."""
        count = min(count, self.free_behind(block))
        if count:
            self._cut(bisect_left(self._begins, block + 1), block + 1, count)
        return count

    def spread(self, count: int) -> None:
        """Have what is taken the next ``count`` times ``beside`` others begin equally far from each other, if there is an extent for it:
        texts that go on side by side are read side by side then, and each has as much room behind it. What is wider than that gets
        no such place. 0: no more of them.
        """
        begin, end = max(self.extents(), key=lambda extent: extent[1] - extent[0], default=(0, 0))
        behind_others = begin not in self._slabs  # who will want to go on there
        self._step = step = (end - begin) // max(1, count + behind_others)
        self._places = [begin + step * (number + behind_others) for number in reversed(range(count))] if step else []

    def take(self, count: int, *, beside: bool = False) -> tuple[int, int]:
        """Take up to ``count`` blocks that lie in a row: the first of them, and how many.

        They come from the largest extent. Behind blocks that are taken, half of what is not needed is left free in
        front of them: whoever has those will want to go on there.

        :param beside: From the next of the places of :meth:`spread`, if there is one and they all lie before the place behind it.
        """
        assert self.free, "no block is free"
        if beside and self._places and count <= self._step:
            first = self._places.pop()
            place = bisect_right(self._begins, first) - 1
            if place >= 0 and first + count <= self._ends[place]:
                self._cut(place, first, count)
                return first, count
        sizes = [end - begin for begin, end in zip(self._begins, self._ends, strict=True)]
        place = max(range(len(sizes)), key=sizes.__getitem__)
        begin, size = self._begins[place], sizes[place]
        count = min(count, size)
        first = begin if begin in self._slabs else begin + (size - count) // 2
        self._cut(place, first, count)
        return first, count

    def _cut(self, place: int, first: int, count: int) -> None:
        begin, end = self._begins[place], self._ends[place]
        rest = [(low, high) for low, high in ((begin, first), (first + count, end)) if low < high]
        self._begins[place : place + 1] = [low for low, _ in rest]
        self._ends[place : place + 1] = [high for _, high in rest]
        self.free -= count

    def give(self, block: int) -> None:
        """A block is free again."""
        place = bisect_right(self._begins, block)
        joins_left = place > 0 and self._ends[place - 1] == block and block not in self._slabs
        joins_right = place < len(self._begins) and self._begins[place] == block + 1 and block + 1 not in self._slabs
        if joins_left and joins_right:
            self._ends[place - 1] = self._ends.pop(place)
            del self._begins[place]
        elif joins_left:
            self._ends[place - 1] = block + 1
        elif joins_right:
            self._begins[place] = block
        else:
            self._begins.insert(place, block)
            self._ends.insert(place, block + 1)
        self.free += 1

    def extents(self) -> list[tuple[int, int]]:
        """All of them: first block, and the one behind the last."""
        return list(zip(self._begins, self._ends, strict=True))
