from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from families.precision import StaysInFloat64
from families.walk import walk
from target.random_walk import compare

from decodeplug.positions import columns_wanted
from decodeplug.taps import HiddenTap, Taps
from decodeplug.target import Target
from decodeplug.target.rows import RowCosts
from decodeplug.testing.families import family_model

SLOW_BETWEEN = [0.0, 0.0, 1.7, 2.0, 1.5, 1.4, 1.45, 1.8, 1.5]
"""Products of 0, 1, 2 ... rows, as measured on one machine."""


class AlwaysWider(RowCosts):
    """Three rows more than were asked for, and every width up to eight is a multiple of four."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def widened(self, lanes: int, width: int, longest: int) -> int:
        self.asked.append((lanes, width))
        return width if width == 1 or width > 8 else 4 * ((width + 6) // 4)


def _costs(seconds: Sequence[float], window: int | None = None) -> RowCosts:
    return RowCosts(lambda: seconds, window)


def test_a_forward_has_the_width_that_takes_the_least_time() -> None:
    costs = _costs(SLOW_BETWEEN)
    assert [costs.widened(1, width, 50) for width in range(1, 12)] == [1, 5, 5, 4, 5, 6, 8, 8, 9, 10, 11]
    assert [costs.widened(2, width, 50) for width in range(1, 6)] == [2, 2, 3, 4, 5]
    assert [costs.widened(3, width, 50) for width in range(1, 4)] == [2, 2, 3]
    assert [costs.widened(lanes, 1, 50) for lanes in (4, 7, 8, 9)] == [1, 1, 1, 1]


def test_far_into_a_text_attention_costs_more_than_padding_wins() -> None:
    costs = _costs(SLOW_BETWEEN)
    assert [costs.widened(3, 1, longest) for longest in (2048, 2049, 9999)] == [2, 1, 1]
    assert costs.widened(1, 2, 9999) == 5, "a draft is padded anyway: its attention has several rows as it is"


def test_padding_ends_where_the_model_has_no_positions_any_more() -> None:
    costs = _costs(SLOW_BETWEEN, window=32)
    assert [costs.widened(1, 2, longest) for longest in (27, 28, 29, 30, 31, 40)] == [5, 4, 2, 2, 2, 2]
    assert costs.widened(3, 1, 31) == 1


def test_where_more_rows_take_longer_no_row_is_added() -> None:
    costs = _costs([0.0, 0.0, *(1 + 0.01 * row for row in range(7))])
    assert [costs.widened(1, width, 0) for width in range(1, 10)] == list(range(1, 10))


def test_where_products_are_not_known_every_number_of_rows_is_taken_as_it_is() -> None:
    costs = _costs([])
    assert [costs.widened(lanes, width, 0) for lanes in (1, 3) for width in (1, 2, 7)] == [1, 2, 7] * 2
    assert [costs.spare(lanes, 1) for lanes in range(1, 10)] == [0] * 9


FAMILIES = ["llama", "bloom", "gemma3_text", "gpt2", "opt", "qwen3_moe", "bert", "deepseek_v3", "glm", "phi3"]


def _wider(model: Any) -> tuple[Target, AlwaysWider]:
    target = Target(model)
    target.rows = wider = AlwaysWider()
    return target, wider


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_no_logit_and_no_lane(family: str) -> None:
    target, wider = _wider(family_model(family))
    with StaysInFloat64():
        assert compare(target, seed=0) < 1e-9
        outcome = walk(target.module, target=target)
    assert outcome.wrong_rows == 0
    assert outcome.worst < 1e-9
    assert any(width > 1 for _, width in wider.asked)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2", "bert"])
def test_a_padded_draft_of_one_lane_gives_the_logits_of_its_own_width(family: str) -> None:
    targets = _wider(family_model(family))[0], Target(family_model(family))
    wide, narrow = (target.session() for target in targets)
    feeds = [list(range(5, 17)), [20, 21], [22], [23, 24, 25], [26, 27]]
    for session, target in zip((wide, narrow), targets, strict=True):
        taps = Taps()
        taps.add(HiddenTap(target.module))
        session.watch(taps)
        session.keep([-1], [0])
    held = 0
    for feed in feeds:
        want = min(len(feed), 2)
        torch.testing.assert_close(wide.forward([feed], [want]), narrow.forward([feed], [want]), rtol=0, atol=1e-9)
        torch.testing.assert_close(wide.watched[0], narrow.watched[0], rtol=0, atol=1e-9)
        assert wide.watched[0].shape[0] == len(feed)
        held += len(feed)
        assert wide.keep([0], [held]) == narrow.keep([0], [held]) == [held]


@pytest.mark.parametrize(("family", "context"), [("gpt2", "n_positions"), ("mpt", "max_seq_len")])
def test_padding_at_the_end_of_the_context_stays_within_the_models_tables(family: str, context: str) -> None:
    target = Target(family_model(family, **{context: 16}))
    target.rows = _costs(SLOW_BETWEEN, target.context_window)
    session = target.session()
    session.keep([-1], [0])
    session.forward([list(range(3, 17))], [1])
    session.keep([0], [14])
    assert session.forward([[5, 6]], [2]).isfinite().all()


@pytest.mark.parametrize("family", ["qwen3_next", "mamba", "llama4_text"])
def test_models_whose_lanes_are_grouped_get_no_padding_rows(family: str) -> None:
    target, wider = _wider(family_model(family))
    with StaysInFloat64():
        assert compare(target, seed=1) < 1e-9
    assert not wider.asked


def test_a_padded_forward_projects_all_columns_from_the_first_wanted_one() -> None:
    assert columns_wanted([2], [2], 5, whole=True) == (5, [0, 0], [0, 1])
    assert columns_wanted([3], [1], 5, whole=True) == (3, [0], [0])
    assert columns_wanted([3, 1], [2, 1], 4, whole=True) == (4, [0, 0, 1], [1, 2, 0])


def test_more_than_eight_rows_are_not_looked_at() -> None:
    costs = _costs([*SLOW_BETWEEN, *[0.1] * 8])
    assert [costs.widened(1, width, 50) for width in range(1, 8)] == [1, 5, 5, 4, 5, 6, 8]
    assert [costs.spare(lanes, 1) for lanes in range(1, 10)] == [0, 3, 2, 0, 0, 0, 1, 0, 0]


def test_a_lane_more_is_shown_where_that_takes_less_time() -> None:
    costs = _costs(SLOW_BETWEEN)
    assert [costs.spare(lanes, 1) for lanes in range(1, 10)] == [0, 3, 2, 0, 0, 0, 1, 0, 0]
    assert [costs.spare(lanes, 2) for lanes in range(1, 6)] == [2, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("family", "most", "known"), [("llama", True, True), ("llama", False, False), ("xlnet", True, False)]
)
def test_products_say_what_a_forward_costs_where_they_are_most_of_it(family: str, most: bool, known: bool) -> None:
    target: Any = Target(family_model(family))
    target.products = SimpleNamespace(are_most=most, seconds=lambda: SLOW_BETWEEN)
    assert target.costs() == (SLOW_BETWEEN if known else ())
