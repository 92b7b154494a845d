"""What a forward reads: every slot of every lane once, and what lanes have in common once for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from caches.paged_texts import prompt
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.caches import Paged
from decodeplug.caches.pieces import GONE, Run, Slab, runs_of
from decodeplug.caches.pieces import runs as of_pieces
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout, tiny_model

SIZE = 4
SLABS = [Slab(0, 40), Slab(40, 400)]


def read(run: Run) -> list[tuple[int, int, int]]:
    """Of each lane each slot, and in which row of all slabs it is."""
    if run.parts:
        assert run.rows == sum(part.rows for part in run.parts)
        return [one for part in run.parts for one in read(part)]
    return [
        (lane, run.slot + row, run.slab * SIZE + run.begin + place * run.stride + row)
        for place, lane in enumerate(run.lanes)
        for row in range(run.rows)
    ]


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[list[int]], list[int], list[int]]:
    """Tables of lanes that forked from each other at some time, how many ids they held, and how many they will hold."""
    blocks = iter(draw(st.permutations(range(100))) if draw(st.booleans()) else range(400))
    tables: list[list[int]] = []
    for _ in range(draw(st.integers(1, 9))):
        parent = draw(st.sampled_from([[], *tables]))
        kept = parent[: draw(st.integers(0, len(parent)))]
        tables.append([*kept, *[next(blocks) for _ in range(draw(st.integers(0, 8)))]])
    tables = [table or [next(blocks)] for table in draw(st.permutations(tables))]
    ends = [len(table) * SIZE - draw(st.integers(0, SIZE - 1)) for table in tables]
    held = Counter(block for table in tables for block in table)
    starts = [  # nobody writes into a block that others hold
        draw(st.integers(max([place + 1 for place, one in enumerate(table) if held[one] > 1], default=0) * SIZE, end))
        if held[table[-1]] == 1
        else len(table) * SIZE
        for table, end in zip(tables, ends, strict=True)
    ]
    gone = st.integers(0, 3) if draw(st.booleans()) else st.just(draw(st.integers(0, 3)))
    out = [min(draw(gone), start // SIZE) for start in starts]
    tables = [[GONE] * count + table[count:] for table, count in zip(tables, out, strict=True)]
    return tables, starts, [max(start, end) for start, end in zip(starts, ends, strict=True)]


@given(forest=forests(), worth=st.sampled_from([0, 5, 20]))
def test_every_slot_of_every_lane_is_read_once(
    forest: tuple[list[list[int]], list[int], list[int]], worth: int
) -> None:
    tables, starts, ends = forest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_pieces, "_WORTH", worth)
        found = runs_of(tables, starts, ends, SLABS, SIZE)
    assert all(list(run.lanes) == sorted(set(run.lanes)) for run in found)
    assert sorted(one for run in found for one in read(run)) == [
        (lane, slot, table[slot // SIZE] * SIZE + slot % SIZE)
        for lane, (table, end) in enumerate(zip(tables, ends, strict=True))
        for slot in range(end)
        if table[slot // SIZE] != GONE
    ]
    branches: Counter[tuple[int, ...]] = Counter()
    for run in found:
        branches[run.lanes] += run.rows * (len(run.lanes) - 1) if not run.stride else 0
    branches = +branches
    for lanes, saved in branches.items():
        assert saved >= worth * (2 ** sum(set(lanes) < set(others) for others in branches) - 1)
    if not worth and len({table.count(GONE) for table in tables}) == 1:
        rows = Counter(row for run in found for row in {row for _, _, row in read(run)})
        assert set(rows.values()) <= {1}, "a row is read once, however many lanes have it"


def common_slots(runs: Sequence[Run]) -> list[tuple[tuple[int, ...], int, int]]:
    """What is read for several lanes at once: these, the first slot, and behind the last one."""
    return sorted((run.lanes, run.slot, run.slot + run.rows) for run in runs if len(run.lanes) > 1 and not run.stride)


@pytest.mark.parametrize("kind", ["llama", "deepseek"])
@pytest.mark.parametrize("width", [1, 3])
def test_samples_of_prompts_that_begin_alike_read_the_beginning_once_and_their_prompt_once(
    kind: str, width: int
) -> None:
    target, spec = Target(tiny_model(kind)), Paged(16)
    session, oracle = target.session(spec), target.session("none")
    system, asked = prompt(64), [prompt(640, 4), prompt(32, 5), prompt(592, 6)]
    parents = [0, 1, 2, 0, 2, 1, 0, 2]
    with Float64Throughout():
        session.keep([-1] * 3, [0] * 3)
        session.forward([[*system, *one] for one in asked], [1] * 3)
        session.keep(parents, [64 + len(asked[parent]) for parent in parents])
        news = [[60 + 7 * lane + row for row in range(width)] for lane in range(8)]
        texts = [[*system, *asked[parent], *new] for parent, new in zip(parents, news, strict=True)]
        oracle.keep([-1] * 8, [0] * 8)
        found, expected = session.forward(news, [width] * 8), oracle.forward(texts, [width] * 8)
        assert (found - expected).abs().max() < 1e-10
    assert common_slots(session.cache.parts[0].placement.runs) == [
        (tuple(range(8)), 0, 64),
        ((0, 3, 6), 64, 704),
        ((2, 4, 7), 64, 656),
    ], "what they have beyond the common beginning lies in a row, and a short prompt is not worth a piece of its own"
    assert session.facts()["copied_bytes"] == 0


def test_a_lane_that_has_only_begun_leaves_the_others_what_they_have_in_common() -> None:
    target, spec = Target(tiny_model()), Paged(16)
    session = target.session(spec)
    session.keep([-1], [0])
    session.forward([prompt(1600)], [1])
    session.keep([0, 0, 0], [1600, 32, 1600])
    session.forward([[5], [6], [7]], [1, 1, 1])
    assert common_slots(session.cache.parts[0].placement.runs) == [((0, 1, 2), 0, 32), ((0, 2), 32, 1600)]
