"""Lanes that go on side by side: their blocks lie at equal distances, and are read in one call."""

from __future__ import annotations

import pytest
from caches.paged_texts import prompt

from decodeplug.caches import Paged
from decodeplug.caches.paged.space import Space
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout, tiny_model

WIDTHS = [[1] * 5, [3] * 5, [1, 3, 1, 2, 3]]
"""Of lanes that go on side by side: steps, drafts as long as each other, and others."""


@pytest.mark.parametrize("ids", [30, 32])  # within a block, and at the end of one
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("kind", ["llama", "deepseek"])
def test_texts_that_go_on_side_by_side_are_read_side_by_side(kind: str, widths: list[int], ids: int) -> None:
    target, spec = Target(tiny_model(kind)), Paged(4)
    session, oracle = target.session(spec), target.session("none")
    texts = [prompt(ids) for _ in widths]
    with Float64Throughout():
        session.keep([-1], [0])
        session.forward([texts[0]], [1])
        session.keep([0] * 5, [ids] * 5)
        oracle.keep([-1] * 5, [0] * 5)
        for step in range(12):
            news = [[60 + 7 * lane + step + row for row in range(width)] for lane, width in enumerate(widths)]
            texts = [text + new for text, new in zip(texts, news, strict=True)]
            given, expected = session.forward(news, widths), oracle.forward(texts, widths)
            assert (given - expected).abs().max() < 1e-10
            runs = session.cache.parts[0].placement.runs
            assert [lane for run in runs for lane in run.lanes if not run.slot] == [*range(5)], "one prefix"
            if len(set(widths)) == 1:
                others = 4 if ids % 4 else 5  # all but the one that has the last block of the prompt
                assert max(len(run.lanes) for run in runs if run.slot) == others
            session.keep(range(5), list(map(len, texts)))
            oracle.keep(range(5), [0] * 5)


def test_what_is_taken_beside_others_is_spread_over_what_is_free() -> None:
    space = Space()
    space.add(0, 64)
    assert space.take(10) == (0, 10)
    space.spread(5)  # and whoever has the first ten has as much room behind them
    assert [space.take(1, beside=True) for _ in range(5)] == [(19, 1), (28, 1), (37, 1), (46, 1), (55, 1)]
    assert space.free == 49
    space.spread(3)
    assert space.take_behind(19, 1) == 1
    space.spread(0)
    assert space.take(1, beside=True) == (14, 1), "the middle of what is longest"
    space.spread(100)
    assert space.take(1, beside=True)[1] == 1, "there is no room for so many"


def test_what_is_wider_than_a_place_or_beside_nothing_gets_none() -> None:
    space = Space()
    space.add(0, 100)
    assert space.take(10) == (0, 10)
    space.spread(2)
    assert space.take(30, beside=True) == (40, 30)
    assert space.take(4) == (23, 4), "the middle of what is longest"
    assert space.take(31, beside=True) == (70, 30), "as much as lies in a row"
    assert space.take(5, beside=True) == (14, 5), "the second place is taken"
    assert space.free_behind(23) == 0
    assert space.free_behind(18) == 4
    assert space.take_behind(18, 9) == 4
