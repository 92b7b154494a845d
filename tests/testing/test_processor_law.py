"""``check_processor`` lets sound processors pass and names what is wrong with broken ones."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from decodeplug.testing import check_processor
from decodeplug.values import Seen, Stage


class Sound:
    """Keeps the tokens within two of the best: pure, batched, keeps the best."""

    stage: Any = Stage.TRUNCATE
    keeps_argmax: Any = True

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores.masked_fill(scores < scores.amax(-1, keepdim=True) - 2, -math.inf)


class NoStage(Sound):
    stage = "truncate"


class NoArgmaxClaim(Sound):
    keeps_argmax = None


class Revives(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores.clamp_min(-50.0)


class ModifiesScores(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores.mul_(0.5)


class ModifiesPrefixes(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        seen.ids[0].append(0)
        return super().__call__(scores, seen)


class CountsCalls(Sound):
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        self.calls += 1
        return scores + self.calls * 0.01


class RemembersTheLastCall(Sound):
    """Equal when called twice in a row: only a call in between shows it."""

    def __init__(self) -> None:
        self.last = self.shift = 0.0

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        now = scores[0, 0].item()
        if now != self.last:
            self.last, self.shift = now, self.last / 7 if math.isfinite(self.last) else 0.0
        return scores + self.shift


class LooksAtOtherRows(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores - scores.amax()


class CountsRows(Sound):
    """Every row alone is a first row, so being alone among others goes unnoticed: the order tells."""

    stage = Stage.PENALTY

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores + torch.arange(len(scores), device=scores.device)[:, None]


class EmptiesARow(Sound):
    keeps_argmax = False

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores.masked_fill(scores < 0.0, -math.inf)


class MovesTheBest(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return -scores.nan_to_num(neginf=math.inf)


class MakesNan(Sound):
    stage = Stage.TEMPERATURE

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores * 0.0


class Overflows(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores / 1e-44


class ChangesDtype(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        return scores.double()


class ReturnsNothing(Sound):
    def __call__(self, scores: Tensor, seen: Seen) -> Any:
        return None


class PenaltyThatForbids(Sound):
    stage = Stage.PENALTY


class OnlyWithoutEnd(Sound):
    """Forbids end tokens for good, in a stage that may not empty a row."""

    keeps_argmax = False

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        out = scores.clone()
        out[:, 63] = -math.inf
        return out


def test_a_sound_processor_passes() -> None:
    check_processor(Sound())
    check_processor(Sound(), vocab=300, rows=5, end_ids=(7, 9), seed=3)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (NoStage, "does not declare its stage"),
        (NoArgmaxClaim, "does not declare keeps_argmax"),
        (Revives, "revived a forbidden token"),
        (ModifiesScores, "modified the scores"),
        (ModifiesPrefixes, "modified the prefixes"),
        (CountsCalls, "is not pure"),
        (RemembersTheLastCall, "is not pure"),
        (LooksAtOtherRows, "mixes rows: row .* alone"),
        (CountsRows, "mixes rows|depends on the order"),
        (EmptiesARow, "left no token at all in row"),
        (MovesTheBest, "claims keeps_argmax"),
        (MakesNan, "made NaN in row"),
        (Overflows, r"made \+inf in row"),
        (ChangesDtype, "returned torch.float64"),
        (ReturnsNothing, "returned NoneType, not a tensor"),
        (PenaltyThatForbids, "declare Stage.HARD"),
    ],
)
def test_a_broken_processor_is_named(broken: type[Sound], says: str) -> None:
    with pytest.raises(AssertionError, match=f"^{broken.__name__} .*{says}|^{broken.__name__} {says}"):
        check_processor(broken())


def test_a_row_with_nothing_but_end_tokens_is_tried_where_they_are_given() -> None:
    with pytest.raises(AssertionError, match="left no token at all"):
        check_processor(OnlyWithoutEnd(), vocab=64, end_ids=[63])
