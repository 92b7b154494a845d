"""Blocks, tables and known prefixes against a plain model of them: whatever is appended, forked, dropped or evicted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from decodeplug.caches.paged.placement import Placement
from decodeplug.caches.paged.pool import BlockPool, NoRoom
from decodeplug.caches.paged.tables import Lanes
from decodeplug.caches.pieces import GONE, Slab

IDS = st.integers(0, 2)


class Tables(RuleBasedStateMachine):
    """Lanes in blocks, beside what each of them should hold."""

    @initialize(
        size=st.integers(1, 4),
        most=st.sampled_from([None, 6, 15, 40]),
        slab=st.integers(1, 9),
        window=st.sampled_from([None, 1, 3, 8]),
    )
    def begin(self, size: int, most: int | None, slab: int, window: int | None) -> None:
        self.slabs: set[Slab] = set()
        self.pool = BlockPool(size, self.slabs.add, self.slabs.remove, slab_blocks=slab)
        self.pool.most = most
        self.lanes = Lanes(self.pool, window)
        self.memory: dict[tuple[int, int], int] = {}
        self.texts: list[list[int]] = []

    @rule(ids=st.lists(IDS, min_size=1, max_size=9), data=st.data())
    def open(self, ids: list[int], data: Any) -> None:
        """A new lane begins with what is known of its ids."""
        self.lanes.keep([*range(len(self.texts)), -1], [*map(len, self.texts), 0])
        self.texts.append([])
        lane = len(self.texts) - 1
        known = self.lanes.known(lane, ids)
        reused = len(known) * self.pool.block_size
        assert reused < len(ids)
        self.lanes.reuse(lane, known, ids[:reused])
        self.texts[-1] = ids[:reused]
        self._append(lane, ids[reused:])

    @rule(ids=st.lists(IDS, min_size=1, max_size=9), data=st.data())
    def append(self, ids: list[int], data: Any) -> None:
        if self.texts:
            self._append(data.draw(st.integers(0, len(self.texts) - 1)), ids)

    @rule(ids=st.lists(IDS, min_size=1, max_size=3))
    def append_to_all(self, ids: list[int]) -> None:
        """Lanes that go on side by side."""
        lanes = range(len(self.texts))
        self.lanes.spread(lanes, [len(ids)] * len(lanes))
        for lane in lanes:
            self._append(lane, ids)
        self.pool.spread([])

    def _append(self, lane: int, ids: list[int]) -> None:
        before = [list(table) for table in self.lanes.tables]
        try:
            copies = self.lanes.room_for(lane, len(ids))
        except NoRoom:
            assert self.lanes.tables == before
            return
        for copy in copies:
            for row in range(copy.rows):
                self.memory[copy.target, row] = self.memory[copy.source, row]
        placement = Placement()
        placement.aim(self.lanes, self.pool.slabs, [lane], [len(ids)], len(ids))
        size = self.pool.block_size
        for written in placement.written:
            for number in range(written.rows):
                row = written.begin + number
                self.memory[written.slab + row // size, row % size] = ids[written.first + number]
        self.lanes.append(lane, ids)
        self.texts[lane] += ids

    @rule()
    def learn(self) -> None:
        """Also where the last ids will be dropped again."""
        self.lanes.learn()

    @rule()
    def leave(self) -> None:
        self.lanes.leave()

    @rule(idle=st.integers(0, 9))
    def forget(self, idle: int) -> None:
        self.pool.forget(idle)
        assert self.pool.idle <= idle

    @rule(data=st.data())
    def keep(self, data: Any) -> None:
        """Fork, drop, crop and put in another order, and open new ones."""
        lanes = st.integers(-1, len(self.texts) - 1)
        parents = data.draw(st.lists(lanes, max_size=5))
        lengths = [0 if parent < 0 else data.draw(st.integers(0, len(self.texts[parent]))) for parent in parents]
        lengths = [
            length if parent < 0 or self.lanes.holds(parent, length) else 0
            for parent, length in zip(parents, lengths, strict=True)
        ]
        held = self.lanes.keep(parents, lengths)
        self.texts = [
            [] if parent < 0 else self.texts[parent][:length] for parent, length in zip(parents, lengths, strict=True)
        ]
        assert held == [len(text) for text in self.texts]

    @rule()
    def shrink(self) -> None:
        self.pool.shrink()

    @invariant()
    def each_lane_holds_its_text(self) -> None:
        for table, text in zip(self.lanes.tables, self.texts, strict=True):
            size = self.pool.block_size
            first = self._first_slot(table)
            assert first <= (len(text) if self.lanes.window is None else max(0, len(text) - self.lanes.window + 1))
            slots = range(first, len(text))
            assert [self.memory[table[slot // size], slot % size] for slot in slots] == text[first:]
            assert len(table) == -(-len(text) // size), "no slots but those of the last block are unused"

    def _first_slot(self, table: list[int]) -> int:
        """The first one that is not out of the window for good."""
        return sum(block == GONE for block in table) * self.pool.block_size

    @invariant()
    def nothing_leaks_and_nothing_is_free_twice(self) -> None:
        holders = Counter(block for table in self.lanes.tables for block in table if block != GONE)
        assert all(self.pool.holders(block) == count for block, count in holders.items())
        free = [block for begin, end in self.pool._space.extents() for block in range(begin, end)]
        idle = list(self.pool.known._idle)
        everything = [*holders, *free, *idle]
        assert sorted(everything) == sorted(block for slab in self.slabs for block in range(slab.begin, slab.end))
        assert self.pool.shared == sum(count > 1 for count in holders.values())
        assert self.pool.most is None or self.pool.total <= self.pool.most

    @invariant()
    def what_lies_together_is_read_together(self) -> None:
        used = [lane for lane, text in enumerate(self.texts) if text]
        placement = Placement()
        placement.aim(self.lanes, self.pool.slabs, used, [0] * len(used), 0)
        size = self.pool.block_size
        seen: list[dict[int, int]] = [{} for _ in used]
        for run in [part for whole in placement.runs for part in whole.parts or (whole,)]:
            for nth, place in enumerate(run.lanes):
                for number in range(run.rows):
                    row = run.begin + nth * run.stride + number
                    assert run.slot + number not in seen[place]
                    seen[place][run.slot + number] = self.memory[run.slab + row // size, row % size]
        for lane, slots in zip(used, seen, strict=True):
            first = self._first_slot(self.lanes.tables[lane])
            assert [slots[slot] for slot in range(first, len(self.texts[lane]))] == self.texts[lane][first:]
            assert min(slots, default=first) >= first


Tables.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestTables = Tables.TestCase


def test_room_that_was_not_used_is_there_for_fewer_ids() -> None:
    pool = BlockPool(4, lambda slab: None, lambda slab: None)
    lanes = Lanes(pool)
    lanes.keep([-1], [0])
    lanes.room_for(0, 30)
    table, free = list(lanes.tables[0]), pool.free
    assert lanes.room_for(0, 5) == []
    assert (lanes.tables[0], pool.free) == (table, free)
