"""Every causal language family of the installed transformers, against ``generate()`` of each prompt alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from families.outcome import CANNOT_BE_BUILT, CI, REFUSED, STORED, TOLERANCE, outcome_of, why_not
from families.walk import generated, prompts

from decodeplug.errors import UnsupportedModel
from decodeplug.target import Target
from decodeplug.testing.families import families, family_model

ABLE = [family for family in families() if family not in CANNOT_BE_BUILT]


def _holds(family: str, cache: str) -> None:
    target = Target(family_model(family))
    refused = why_not(target, cache)
    keeps_its_own = target.path in ("recompute", "steps")
    lacks = {"paged": keeps_its_own, "stored-input": family not in STORED}
    assert (refused is not None) == lacks.get(cache, False)
    if refused is not None:
        assert ("keeps its own cache or none" if keeps_its_own else "no layer of it") in refused
        return
    outcome = outcome_of(family, cache)
    assert outcome.wrong_rows == 0
    assert outcome.worst < TOLERANCE.get(family, 1e-10)


@pytest.mark.parametrize("cache", ["dense", "paged", "stored-input", "none"])
@pytest.mark.parametrize("family", CI)
def test_ragged_lanes_with_rejected_drafts_give_the_logits_of_generate(family: str, cache: str) -> None:
    _holds(family, cache)


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in ABLE if family not in (*CI, *REFUSED)])
def test_every_other_family_does_so_too(family: str) -> None:
    _holds(family, "dense")
    _holds(family, "paged")
    _holds(family, "stored-input")
    _holds(family, "none")


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in REFUSED if family in ABLE])
def test_a_family_that_cannot_write_alone_is_refused_with_the_reason(family: str) -> None:
    with pytest.raises(UnsupportedModel, match=REFUSED[family]):
        Target(family_model(family))


@pytest.mark.slow
@pytest.mark.parametrize("family", CANNOT_BE_BUILT)
def test_a_family_that_cannot_be_built_here_says_why(family: str) -> None:
    error, match = CANNOT_BE_BUILT[family]
    with pytest.raises(error, match=match):
        family_model(family)


def test_the_page_of_families_has_a_line_for_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text()
    assert [family for family in families() if f"\n| {family} |" not in page and f"\n- {family}: " not in page] == []
    assert "**wrong**" not in page
    assert "**failed**" not in page


def _is_refused(family: str) -> bool:
    try:
        Target(family_model(family))
    except UnsupportedModel:
        return True
    return False


def _writes_alone(family: str) -> bool:
    try:
        generated(family_model(family), prompts()[0], 2)
    except Exception:  # whatever the model's own code says when it is given ids alone
        return False
    return True


def test_at_most_four_families_that_can_generate_are_refused() -> None:
    assert set(REFUSED) | set(CANNOT_BE_BUILT) <= set(families())
    refused = [family for family in ABLE if _is_refused(family)]
    assert refused == list(REFUSED)
    able_and_refused = [family for family in refused if _writes_alone(family)]
    assert len(able_and_refused) <= 4, able_and_refused
