"""``check_selector`` lets sound selectors pass and names what is wrong with broken ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from decodeplug.contracts import Proposal, Rows
from decodeplug.selectors import Beam, Match
from decodeplug.testing import check_selector
from decodeplug.values import Extension


def chosen(candidates: Tensor, scores: Tensor) -> Proposal:
    """These candidates, by margins that no rounding could close."""
    values = scores.gather(-1, candidates) if candidates.dim() == 2 else scores
    return Proposal(candidates, values, torch.ones(len(scores)))


class Greedy:
    """Keeps a draft as long as it is the best."""

    name: Any = "greedy"
    takes_drafts: Any = True

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return chosen(scores.argmax(-1, keepdim=True), scores)

    def extend(self, candidates: Any, values: Any, rows: Rows) -> list[Extension]:
        return [self.one(candidates, rows, lane) for lane in range(len(rows.lanes))]

    def one(self, candidates: Sequence[Sequence[int]], rows: Rows, lane: int) -> Extension:
        first, tokens = rows.first[lane], list[int]()
        for offset, drafted in enumerate([*rows.drafts[lane].tokens, None]):
            tokens.append(candidates[first + offset][0])
            if tokens[-1] != drafted:
                break
        return self.made(lane, tokens, range(first, first + len(tokens)))

    def made(self, lane: int, tokens: Sequence[int], rows: Sequence[int]) -> Extension:
        return Extension(lane, tuple(tokens), tuple(rows))


class Nameless(Greedy):
    name = ""


class SaysNothingOfDrafts(Greedy):
    takes_drafts = None


class NoDraftsPlease(Greedy):
    """Sound, if it gets no draft."""

    takes_drafts = False

    def extend(self, candidates: Any, values: Any, rows: Rows) -> list[Extension]:
        assert not any(len(draft) for draft in rows.drafts)
        return super().extend(candidates, values, rows)


class ModifiesScores(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return chosen(scores.add_(1.0).argmax(-1, keepdim=True), scores)


class ProposesFlat(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return chosen(scores.argmax(-1), scores)


class GivesNoValues(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        best = scores.argmax(-1, keepdim=True)
        return Proposal(best, best[:0].float(), torch.ones(len(scores)))


class HidesThatNothingIsLeft(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return super().propose(scores.nan_to_num(neginf=-1e9), rows)


class RollsDice(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return chosen(torch.multinomial(scores.nan_to_num(0.0, neginf=-1e9).softmax(-1), 1), scores)


class TakesTheWorst(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return chosen(scores.argmin(-1, keepdim=True), scores)


class BelievesDrafts(Greedy):
    """Keeps the whole draft, right or wrong."""

    def one(self, candidates: Sequence[Sequence[int]], rows: Rows, lane: int) -> Extension:
        first, draft = rows.first[lane], rows.drafts[lane].tokens
        tokens = [*draft, candidates[first + len(draft)][0]]
        return self.made(lane, tokens, range(first, first + len(tokens)))


class KeepsNoDraft(Greedy):
    """The text is right, but drafts that are right are not kept."""

    def one(self, candidates: Sequence[Sequence[int]], rows: Rows, lane: int) -> Extension:
        first = rows.first[lane]
        return self.made(lane, [candidates[first][0]], [first])


class GoesOnAfterAWrongToken(Greedy):
    def one(self, candidates: Sequence[Sequence[int]], rows: Rows, lane: int) -> Extension:
        first = rows.first[lane]
        chosen = range(first, first + len(rows.drafts[lane]) + 1)
        return self.made(lane, [candidates[row][0] for row in chosen], chosen)


class CountsRowsFromZero(Greedy):
    def made(self, lane: int, tokens: Sequence[int], rows: Sequence[int]) -> Extension:
        return super().made(lane, tokens, range(len(tokens)))


class SaysNothing(Greedy):
    def made(self, lane: int, tokens: Sequence[int], rows: Sequence[int]) -> Extension:
        return super().made(lane, [], [])


class ExtendsAStranger(Greedy):
    def made(self, lane: int, tokens: Sequence[int], rows: Sequence[int]) -> Extension:
        return super().made(lane + 1, tokens, rows)


class EmptiesCandidates(Greedy):
    def extend(self, candidates: Any, values: Any, rows: Rows) -> list[Extension]:
        extensions = super().extend(candidates, values, rows)
        candidates.append([0])
        return extensions


class LooksAtTheWholeTable(Greedy):
    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        finite = scores > -torch.inf
        skewed = torch.where(finite, scores + scores.argmax(0) * 5.0, scores)
        return chosen(skewed.argmax(-1, keepdim=True), scores)


class ForgetsThePosition(Match):
    """Samples with noise that is keyed by the lane alone, row by row of the table."""

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        noise = torch.Generator().manual_seed(rows.lanes[0].seed[0])
        uniform = torch.rand(scores.shape, generator=noise).to(scores.device)
        return chosen((scores - (-uniform.log()).log()).argmax(-1, keepdim=True), scores)


@pytest.mark.parametrize("sound", [Greedy(), NoDraftsPlease(), Match(), Match(sample=True), Beam(), Beam(sample=True)])
def test_a_sound_selector_passes(sound: Any) -> None:
    check_selector(sound)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Nameless(), "does not declare its name"),
        (SaysNothingOfDrafts(), "does not declare takes_drafts"),
        (ModifiesScores(), "modified the scores"),
        (ProposesFlat(), r"not torch.int64 \[rows, candidates\]"),
        (GivesNoValues(), r"gives values \[0, 1\] for candidates"),
        (HidesThatNothingIsLeft(), "hides that nothing can be chosen from a row of -inf"),
        (RollsDice(), "is not pure"),
        (TakesTheWorst(), "is chosen, which is forbidden"),
        (BelievesDrafts(), "is chosen, which is forbidden|changes the text"),
        (KeepsNoDraft(), "changes the text from"),
        (GoesOnAfterAWrongToken(), "goes on after a token that was not drafted"),
        (CountsRowsFromZero(), "but its rows begin at"),
        (SaysNothing(), "0 tokens from a draft"),
        (ExtendsAStranger(), r"extends lane \d of \d|but its rows begin at"),
        (EmptiesCandidates(), "modified the candidates"),
        (LooksAtTheWholeTable(), "alone, but .* among others|changes the text"),
        (ForgetsThePosition(sample=True), "alone, but .* among others|changes the text"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_selector_is_named(broken: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_selector(broken)


def test_a_selector_that_keeps_only_the_distribution_may_say_so() -> None:
    check_selector(KeepsNoDraft(), exact=False)
