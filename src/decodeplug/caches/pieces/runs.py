"""In how few pieces the keys of all lanes of a forward are read: what several lanes have in common once, what lies in a row at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

__all__ = ["GONE", "Run", "Slab", "as_runs", "runs_of"]

GONE = -1
"""In the place of a block whose ids are out of the window for good."""

_PIECES = 4  # runs of a lane that are attended one by one, however short they are
_LONG = 64  # rows of a run, on the average, from which on it is attended where it lies
_WORTH = 48  # rows that have to be saved by the second piece of a lane that it shares; by each further one twice as many and more


@dataclass(frozen=True, slots=True)
class Slab:
    """Blocks ``begin .. end - 1``, whose memory is one piece."""

    begin: int
    end: int


class Run(NamedTuple):
    """Slots of some lanes that lie behind one another.

    :ivar lanes: Places of the lanes in the forward; more than one where they all have these very rows, or as many at equal distances.
    :ivar slab: First block of the slab. :ivar begin: First row in it. :ivar rows: How many.
    :ivar slot: The slot of the first one.
    :ivar stride: Rows from where those of one lane begin to where the next one's do; 0: they are the same.
    :ivar parts: The runs that it is put together from, where there are many short ones; ``slab`` and ``begin`` are the first one's.
    """

    lanes: tuple[int, ...]
    slab: int
    begin: int
    rows: int
    slot: int
    parts: tuple[Run, ...] = ()
    stride: int = 0


class Branch(NamedTuple):
    """Lanes whose tables are the same for a while.

    :ivar lanes: Places in the forward, ascending. :ivar begin: Their first common block that is not in the branch that this one
        grows from. :ivar end: Behind the last one.
    """

    lanes: Sequence[int]
    begin: int
    end: int


def runs_of(
    tables: Sequence[Sequence[int]], starts: Sequence[int], ends: Sequence[int], slabs: Sequence[Slab], size: int
) -> list[Run]:
    """What is read of each lane before its end.

    :param tables: For each lane its blocks. :param starts: How many ids it held before this forward. :param ends: How many it will
        hold. :param size: Ids of a block.
    """
    if not tables:
        return []
    full = [list(table[: start // size]) for table, start in zip(tables, starts, strict=True)]
    lanes = range(len(tables))
    found: list[Run] = []
    seen: set[int] = set()
    # A lane goes on alone from the last branch that it is in.
    for members, begin, end in reversed([Branch(lanes, 0, 0), *_branches(full, lanes, 0, size)]):
        found += _in_few(as_runs(tuple(members), full[members[0]], slabs, size, begin * size, end * size))
        alone = [lane for lane in members if lane not in seen]
        found += _side_by_side(
            [_in_few(as_runs((lane,), tables[lane], slabs, size, end * size, ends[lane])) for lane in alone]
        )
        seen.update(alone)
    return found


def _branches(full: Sequence[list[int]], lanes: Sequence[int], begin: int, size: int, depth: int = 0) -> list[Branch]:
    """What these lanes have in common from a block on, then what some of them have in common behind it, and so on.

    :param full: For each lane of the forward its full blocks. :param depth: How many pieces the lanes share already.
    """
    common = _common([full[lane][begin:] for lane in lanes])
    alike = begin + len(common)
    saved = (len(lanes) - 1) * size * (len(common) - common.count(GONE))
    # What lanes in many pieces have to merge grows with their number.
    is_worth_it = saved > 0 and saved >= _WORTH * (2**depth - 1)
    end, depth = (alike, depth + 1) if is_worth_it else (begin, depth)
    kin: dict[int, list[int]] = {}
    for lane in lanes:
        if alike < len(full[lane]):
            kin.setdefault(full[lane][alike], []).append(lane)
    found = [Branch(lanes, begin, end)] if is_worth_it else []
    for some in kin.values():
        if len(some) > 1:
            found += _branches(full, some, end, size, depth)
    return found


def _common(tables: Sequence[list[int]]) -> list[int]:
    """What all of them begin with."""
    least, most = min(tables), max(tables)  # what these two begin with, those between them do, too
    alike = sum([1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False))])
    return least[:alike]


def _in_few(runs: list[Run]) -> list[Run]:
    """Many short runs as one: they are copied together faster than attended one by one."""
    rows = sum([run.rows for run in runs])
    if len(runs) <= _PIECES or rows >= _LONG * len(runs):
        return runs
    return [runs[0]._replace(rows=rows, parts=tuple(runs))]


def _side_by_side(lanes: Sequence[list[Run]]) -> list[Run]:
    """Runs of lanes one after the other, where those of several are alike and lie at equal distances as one.

    :param lanes: Those of each lane.
    """
    found: list[Run] = []
    begin = 0
    while begin < len(lanes):
        end, strides = begin + 1, _strides(lanes[begin], lanes[begin + 1]) if begin + 1 < len(lanes) else None
        while strides is not None and end < len(lanes) and _strides(lanes[end - 1], lanes[end]) == strides:
            end += 1
        if strides is None:
            found += lanes[begin]
        else:
            places = tuple([run.lanes[0] for runs in lanes[begin:end] for run in runs[:1]])
            found += [
                run._replace(lanes=places, stride=stride) for run, stride in zip(lanes[begin], strides, strict=True)
            ]
        begin = end
    return found


def _strides(runs: Sequence[Run], others: Sequence[Run]) -> list[int] | None:
    """How far each run is from that of another lane; None where they differ in something else, too."""
    if len(runs) != len(others):
        return None
    for one, other in zip(runs, others, strict=True):
        if one.parts or other.parts or (one.slab, one.rows, one.slot) != (other.slab, other.rows, other.slot):
            return None
    strides = [other.begin - one.begin for one, other in zip(runs, others, strict=True)]
    return strides if min(strides, default=0) > 0 else None


def as_runs(
    lanes: tuple[int, ...], table: Sequence[int], slabs: Sequence[Slab], size: int, begin: int, end: int
) -> list[Run]:
    """The slots ``begin .. end - 1`` of a table, in as few pieces as its blocks lie in."""
    runs: list[Run] = []
    slot = begin
    while slot < end:
        place = slot // size
        block = table[place]
        if block == GONE:
            slot = (place + 1) * size
            continue
        slab = next(slab for slab in slabs if slab.begin <= block < slab.end)
        last = place
        while (last + 1) * size < end and table[last + 1] == table[last] + 1 < slab.end:
            last += 1
        stop = min(end, (last + 1) * size)
        runs.append(Run(lanes, slab.begin, (block - slab.begin) * size + slot - place * size, stop - slot, slot))
        slot = stop
    return runs
