"""``beam``: what is proposed, what ends, what goes on, and when the search may end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from decodeplug import BadOption
from decodeplug.contracts import Rows
from decodeplug.noise import perturb
from decodeplug.selectors import Beam
from decodeplug.testing import check_selector
from decodeplug.testing.device import chosen_device
from decodeplug.values import Draft, Extension, LaneView

END = 0


def lane(*new: int, number: int = 0, score: float = 0.0) -> LaneView:
    return LaneView([9, *new], 1, seed=(5, number), score=score)


def ends(index: int, tokens: tuple[int, ...]) -> bool:
    return tokens[-1] == END


def extended(
    selector: Beam,
    lanes: list[LaneView],
    table: list[list[float]],
    drafts: list[Draft] | None = None,
    finished: list[LaneView] | None = None,
    ends: Callable[[int, tuple[int, ...]], bool] = ends,
) -> list[Extension]:
    """Both halves for a table of log-probabilities."""
    rows = Rows(lanes, drafts or [Draft()] * len(lanes), ends, finished or [])
    candidates, values, _ = selector.propose(torch.tensor(table).to(chosen_device()), rows)
    return selector.extend(torch.as_tensor(candidates).tolist(), torch.as_tensor(values).tolist(), rows)


def said(extensions: list[Extension]) -> list[tuple[int, tuple[int, ...], float]]:
    return [(one.parent, one.tokens, round(one.score, 5)) for one in extensions]


@pytest.mark.parametrize(
    "selector",
    [
        Beam(),
        Beam(sample=True),
        Beam(num_beams=1),
        Beam(num_beams=2, early_stopping=True, end_ids=(END,)),
        Beam(num_beams=3, early_stopping="never", length_penalty=2.0, max_new_tokens=9),
        Beam(num_beams=3, length_penalty=0.3, sample=True, end_ids=(END, 3)),
    ],
)
def test_a_search_is_the_same_with_drafts_and_with_lanes_in_any_order(selector: Beam) -> None:
    check_selector(selector, rounds=6)


def test_the_best_of_all_lanes_go_on_and_those_among_them_that_end_are_finished() -> None:
    lanes = [lane(1, score=-1.0), lane(2, number=1, score=-1.5)]
    table = [[-0.1, -2.0, -5.0, -6.0], [-4.0, -0.2, -0.4, -7.0]]
    # END of the first lane is best of all; END of the second is behind the first two, so it is nothing.
    assert said(extended(Beam(num_beams=2), lanes, table)) == [
        (0, (END,), -1.1),
        (1, (1,), -1.7),
        (1, (2,), -1.9),
    ]


def test_a_continuation_that_ends_behind_the_best_is_dropped() -> None:
    table = [[-0.5, -0.1, -0.2, -3.0]]
    assert said(extended(Beam(num_beams=2), [lane(1)], table)) == [(0, (1,), -0.1), (0, (2,), -0.2)]


def test_equals_are_ordered_by_the_number_of_the_hypothesis_and_then_by_the_id() -> None:
    lanes = [lane(1, number=1), lane(2, number=0)]
    found = extended(Beam(num_beams=3), lanes, [[-9.0, -1.0, -1.0, -1.0]] * 2)
    assert said(found) == [(1, (1,), -1.0), (1, (2,), -1.0), (1, (3,), -1.0)]


def test_among_very_many_equals_the_lowest_ids_are_proposed() -> None:
    scores = torch.full((2, 5000), -8.5).to(chosen_device())
    scores[1, 4000] = -1.0
    rows = Rows([lane(1), lane(2)], [Draft()] * 2)
    candidates, _, _ = Beam(num_beams=2).propose(scores, rows)
    assert torch.as_tensor(candidates).tolist() == [[0, 1, 2, 3], [4000, 0, 1, 2]]


def test_what_is_forbidden_is_not_continued_however_few_are_left() -> None:
    found = extended(Beam(num_beams=4), [lane(1)], [[-math.inf, -math.inf, -0.5, -math.inf]])
    assert said(found) == [(0, (2,), -0.5)]


def test_a_draft_is_followed_as_long_as_every_hypothesis_was_drafted() -> None:
    forbidden = -math.inf
    drafts = [Draft((2, 3), ("forced",) * 2)]
    only_two, only_three = [forbidden, forbidden, -0.5, forbidden], [forbidden, forbidden, forbidden, -0.25]
    free = [-9.0, -1.0, -2.0, -9.0]
    found = extended(Beam(num_beams=2), [lane(1)], [only_two, only_three, free], drafts)
    assert said(found) == [(0, (2, 3, 1), -1.75), (0, (2, 3, 2), -2.75)]
    assert found[0].rows == range(3)
    found = extended(Beam(num_beams=2), [lane(1)], [free, only_three, free], [Draft((1, 3), ("forced",) * 2)])
    assert said(found) == [(0, (1,), -1.0), (0, (2,), -2.0)]


def test_no_step_is_taken_behind_the_end_of_the_search() -> None:
    only = [-math.inf, -math.inf, -0.5, -math.inf]
    settled = Beam(num_beams=1, early_stopping=True)
    drafts = [Draft((2,), ("forced",))]
    assert said(extended(settled, [lane(1)], [only] * 2, drafts, finished=[lane(3, score=-0.1)])) == [(0, (2,), -0.5)]
    assert said(extended(settled, [lane(1)], [only] * 2, drafts)) == [(0, (2, 2), -1.0)]


def test_the_margin_is_how_far_the_last_that_goes_on_is_ahead_of_the_next() -> None:
    found = extended(Beam(num_beams=2), [lane(1)], [[-9.0, -1.0, -1.5, -1.75]])
    assert [one.margin for one in found] == [0.25, 0.25]
    assert extended(Beam(num_beams=3), [lane(1)], [[-math.inf, -1.0, -1.5, -1.75]])[0].margin == math.inf


@pytest.mark.parametrize(
    ("options", "finished", "settled"),
    [
        ({"early_stopping": True}, [-1.0], False),
        ({"early_stopping": True}, [-1.0, -50.0], True),
        ({}, [-1.0, -50.0], False),
        ({}, [-1.0, -2.0], True),
        ({"early_stopping": "never"}, [-1.0, -2.0], True),
        ({"early_stopping": "never", "max_new_tokens": 100}, [-1.0, -2.0], False),
        ({"early_stopping": "never", "max_new_tokens": 100, "length_penalty": 0.0}, [-1.0, -2.0], True),
        ({"early_stopping": "never", "max_new_tokens": 100, "length_penalty": -1.0}, [-1.0, -2.0], True),
    ],
)
def test_the_search_may_end(options: dict[str, Any], finished: list[float], settled: bool) -> None:
    """Two go on, of 4 new tokens and -12; those that have ended have 2 tokens and these scores."""
    options = {"max_new_tokens": 4, **options}
    running = [lane(1, 1, 1, 1, score=-12.0), lane(1, 1, 1, 2, score=-13.0)]
    ended = [lane(1, END, score=score) for score in finished]
    assert Beam(num_beams=2, **options).is_settled(running, ended) is settled


def test_without_a_budget_it_never_becomes_certain() -> None:
    endless = Beam(num_beams=1, early_stopping="never")
    assert not endless.is_settled([lane(1, score=-99.0)], [lane(END, score=-0.1)])


def test_noise_is_that_of_what_a_hypothesis_says_not_of_its_place_or_its_draft() -> None:
    scores: Tensor = torch.randn(1, 400, generator=torch.Generator().manual_seed(1)).to(chosen_device())
    selector = Beam(sample=True, num_beams=3)

    def proposed(view: LaneView, *drafted: int) -> list[list[int]]:
        rows = Rows([view], [Draft(drafted, ("forced",) * len(drafted))])
        return torch.as_tensor(selector.propose(scores.expand(rows.count, -1), rows).candidates).tolist()

    expected = proposed(lane(4, 5, 6))[0]
    assert proposed(lane(4, 5, 6, number=2, score=-3.0))[0] == expected
    assert proposed(lane(4, 5), 6)[1] == proposed(lane(4), 5, 6)[2] == expected
    assert proposed(lane(4, 6, 5))[0] != expected
    assert proposed(LaneView([9, 4, 5, 6], 1, seed=(6, 0)))[0] != expected


def test_drawn_candidates_are_the_best_with_noise_and_their_values_are_without() -> None:
    scores = torch.randn(1, 50, generator=torch.Generator().manual_seed(2)).to(chosen_device())
    rows = Rows([lane(7)], [Draft()])
    candidates, values, _ = Beam(sample=True, num_beams=2).propose(scores, rows)
    ids = torch.as_tensor(candidates)
    assert torch.equal(torch.as_tensor(values), scores.gather(-1, ids))
    assert not torch.equal(ids, scores.topk(4).indices)
    assert not torch.equal(ids, perturb(scores, [(5, 0, 2)]).topk(4).indices)  # the number is no part of its key


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_beams": 0}, "num_beams=0"),
        ({"num_beams": 2.5}, "num_beams=2.5"),
        ({"length_penalty": math.nan}, "length_penalty=nan"),
        ({"length_penalty": 51}, "length_penalty=51"),
        ({"length_penalty": "long"}, "length_penalty='long'"),
        ({"early_stopping": "always"}, "early_stopping='always'"),
        ({"early_stopping": None}, "early_stopping=None"),
    ],
)
def test_it_names_the_option_it_refuses(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        Beam(**options)
