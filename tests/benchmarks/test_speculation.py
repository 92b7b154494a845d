"""What drafters are judged by: forty prompts of four kinds, and the formula of a true assistant."""

from __future__ import annotations

from collections import Counter

import pytest
from speculation_cases import CASES, KINDS
from speculation_formula import FormulaRow, farthest


def test_there_are_ten_different_prompts_of_each_kind() -> None:
    assert Counter(case.kind for case in CASES) == dict.fromkeys(KINDS, 10)
    assert len({str(case.prompt) for case in CASES}) == len({(case.kind, case.name) for case in CASES}) == 40
    assert all((case.schema is not None) == (case.kind == "json") for case in CASES)


@pytest.mark.parametrize(
    ("acceptance", "g", "expected"), [(0.5, 1, 1.5), (0.5, 3, 1.875), (0.0, 4, 1.0), (1.0, 4, 5.0)]
)
def test_the_expected_tokens_are_those_of_the_geometric_sum(acceptance: float, g: int, expected: float) -> None:
    assert FormulaRow(g, acceptance, 1.0, 0.0).expected == pytest.approx(expected)


def test_the_farthest_row_counts_whichever_side_it_is_on() -> None:
    rows = [FormulaRow(1, 0.5, 1.5, 0.0), FormulaRow(1, 0.5, 1.35, 0.0), FormulaRow(1, 0.5, 1.56, 0.0)]
    assert farthest(rows) == pytest.approx(0.1)
