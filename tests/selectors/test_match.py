"""``match`` gives the value and the margin of each choice, whichever way it computes them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from decodeplug.contracts import Proposal, Rows
from decodeplug.noise import perturb
from decodeplug.selectors import Match
from decodeplug.testing.device import chosen_device
from decodeplug.values import Draft, LaneView


def rows(count: int) -> Rows:
    return Rows([LaneView([1] * (lane + 1), 1, seed=(5, lane)) for lane in range(count)], [Draft()] * count)


def table(count: int, vocab: int) -> Tensor:
    random = torch.Generator().manual_seed(vocab)
    scores = torch.randn(count, vocab, generator=random)
    scores[torch.rand(count, vocab, generator=random) < 0.3] = -math.inf
    scores[:, vocab // 2] = 0.0
    return scores.to(chosen_device())


def plain(proposal: Proposal) -> list[list[Any]]:
    """Candidates, values and margins as lists, which they are already on the CPU."""
    return [torch.as_tensor(part).tolist() for part in proposal]


@pytest.mark.parametrize("vocab", [2, 3, 50, 5000])
@pytest.mark.parametrize("sample", [False, True])
def test_values_and_margins_are_those_of_the_best_and_the_second(vocab: int, sample: bool) -> None:
    scores, lanes = table(4, vocab), rows(4)
    keys = [(*lane.seed, len(lane.ids)) for lane in lanes.lanes]
    maximised = perturb(scores, keys) if sample else scores
    best = maximised.topk(2, -1)
    candidates, values, margins = plain(Match(sample).propose(scores, lanes))
    assert candidates == best.indices[:, :1].tolist()
    assert values == best.values[:, :1].tolist()
    assert margins == pytest.approx((best.values[:, 0] - best.values[:, 1]).tolist())


def test_the_only_token_that_is_left_is_ahead_of_nothing() -> None:
    scores = torch.full((1, 9), -math.inf, device=chosen_device())
    scores[0, 8] = 1.5
    assert plain(Match().propose(scores, rows(1))) == [[[8]], [[1.5]], [math.inf]]


def test_among_equals_the_lowest_id_wins_by_nothing() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 3.0]], device=chosen_device())
    candidates, _, margins = plain(Match().propose(scores, rows(1)))
    assert (candidates, margins) == ([[1]], [0.0])
