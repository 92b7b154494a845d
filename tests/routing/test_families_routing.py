"""Routing of every mixture-of-experts family, against a recomputation from its router's definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from routing.family_routing import outcome_of
from routing.moe_families import CANNOT, CI, build, moe_families

PAGE = Path(__file__).parents[2] / "docs" / "moe_families.md"


def _holds(family: str) -> None:
    model = build(family)
    outcome = outcome_of(model)
    assert outcome.choices > 100
    assert len(outcome.sets) >= 3 * outcome.layers, "tokens hardly differ in their experts, so this shows little"
    assert outcome.wrong == 0
    assert outcome.worst < (1e-4 if model.dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("family", CI)
def test_what_is_reported_is_what_the_definition_gives(family: str) -> None:
    _holds(family)


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in moe_families() if family not in (*CI, *CANNOT)])
def test_of_every_other_family_too(family: str) -> None:
    _holds(family)


def test_the_page_has_a_line_for_each_family() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [one for one in moe_families() if f"\n| {one} |" not in page and f"\n- {one}: " not in page] == []
    assert "**wrong**" not in page
    assert page.count("\n| ") - 1 >= 65
