"""What a wider forward costs, as learned from forwards."""

from __future__ import annotations

import pytest

from decodeplug.widths import WidthCosts


def test_forwards_of_several_lanes_say_nothing_of_the_cost_of_one() -> None:
    costs, fresh = WidthCosts(), WidthCosts()
    for _ in range(15):
        costs.record(1, 0.020, lanes=4)
        costs.record(5, 0.200, lanes=4)
    assert costs.relative(5) == fresh.relative(5)
    assert costs.relative(5, lanes=4) > 2 * fresh.relative(5)
    assert set(costs.measured()) == {(4, 1), (4, 8)}


def test_one_slow_forward_does_not_keep_its_width_from_being_tried_again() -> None:
    costs, fresh = WidthCosts(), WidthCosts()
    for _ in range(15):
        costs.record(1, 0.010)
    costs.record(2, 1.0)
    assert costs.relative(2) < 2 * fresh.relative(2)


def test_a_wide_forward_is_held_against_the_narrow_ones_around_it() -> None:
    costs = WidthCosts()
    for slower in (1.0, 5.0, 1.0):
        for _ in range(15):
            costs.record(1, 0.010 * slower)
        for _ in range(2):
            costs.record(2, 0.015 * slower)
    assert costs.relative(2) == pytest.approx(1.3 * (1.5 / 1.3) ** 0.5, rel=0.01)


def test_what_was_measured_long_ago_is_tried_again() -> None:
    costs, fresh = WidthCosts(), WidthCosts()
    for _ in range(15):
        costs.record(1, 0.010)
        costs.record(2, 0.100)
    before = costs.relative(2)
    for _ in range(40):
        for _ in range(60):
            costs.record(1, 0.010)
        costs.seconds()
    assert before > 3 * fresh.relative(2)
    assert costs.relative(2) == pytest.approx(fresh.relative(2), rel=0.05)


def test_what_was_measured_often_is_believed() -> None:
    costs = WidthCosts()
    for _ in range(15):
        costs.record(1, 0.010)
        costs.record(2, 0.016)
    assert costs.relative(2) == pytest.approx(1.6, rel=0.15)
    assert costs.relative(1) == 1.0


def test_what_is_expected_of_a_width_is_what_products_of_so_many_rows_take() -> None:
    costs = WidthCosts(lambda: [0.0, 2.0, 2.2, 2.0, 3.0, 3.0, 4.0, 4.0, 4.0])
    assert [costs.relative(width) for width in (1, 2, 3, 4, 8)] == pytest.approx([1.0, 1.0, 1.0, 1.5, 2.0])
    assert [costs.relative(width, lanes=2) for width in (1, 2, 4)] == pytest.approx([1.0, 1.5, 2.0])
    plain = WidthCosts()
    assert costs.relative(33) == pytest.approx(2 * plain.relative(33) / plain.relative(8))
    assert costs.relative(5, lanes=9) == plain.relative(5), "of nine rows nothing is known"


def test_what_was_measured_counts_more_than_what_was_expected() -> None:
    costs = WidthCosts(lambda: [0.0, 1.0, 1.0, 1.0, 1.0])
    for _ in range(15):
        costs.record(1, 0.010)
        costs.record(2, 0.016)
    assert costs.relative(2) == pytest.approx(1.4, abs=0.05)
