"""Parts that the meter is proven with: broken on purpose, and the right ones that they are taken for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from decodeplug import hookimpl
from decodeplug.noise import gumbel
from decodeplug.plugin import Proposal, Registry, Rows, Seen, Stage
from decodeplug.selectors import Match
from decodeplug.values import Draft, Extension, LaneView

LETTERS = "wxyz"
SHARES = (0.5, 0.05, 0.3, 0.15)
"""What the sampling drafter takes every next letter for, whatever came before."""

_DRAFT, _ACCEPT, _REST = 1, 2, 3  # noise of their own: hypotheses that no request here has


class AcceptsAll(Match):
    """Keeps every drafted token, unless it is impossible."""

    name: ClassVar[str] = "accepts-all"

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        candidates, values, margins = super().propose(scores, rows)
        candidates, values = torch.as_tensor(candidates), torch.as_tensor(values)
        for first, draft in zip(rows.first, rows.drafts, strict=True):
            for offset, token in enumerate(draft.tokens):
                candidates[first + offset, 0], values[first + offset, 0] = token, 0.0
        return Proposal(candidates, values, margins)


class Warm(Match):
    """Samples at temperature 0.97 where nothing was said of temperature."""

    name: ClassVar[str] = "warm"

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        return super().propose(scores / 0.97, rows)


class OtherNoise(Match):
    """Right, and not ``match``: the law is kept, the ids of a seed are not."""

    name: ClassVar[str] = "other-noise"

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        keys = [
            (lane.seed[0], 9, len(lane.ids) + offset)
            for lane, draft in zip(rows.lanes, rows.drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]
        noisy = scores + gumbel(keys, torch.arange(scores.shape[1], device=scores.device))
        return Match(sample=False).propose(noisy, rows)


def _guess(width: int, lane: LaneView, state: Any, *, minds: bool) -> Tensor:
    """``[width]`` float64: the law of the sampling drafter; if it minds the constraint, of what that allows."""
    law = torch.zeros(width, dtype=torch.float64)
    law[[ord(letter) for letter in LETTERS]] = torch.tensor(SHARES, dtype=torch.float64)
    if minds and lane.constraint is not None:
        kept = law * lane.constraint.allowed(state)[:width]
        law = kept if kept.sum() > 0 else law
    return law / law.sum()


@dataclass(frozen=True, slots=True)
class Letters:
    """Draws one letter from its own law.

    :param minds: Asks the constraint first. Otherwise the loop cuts the draft where the letter is forbidden.
    """

    minds: bool
    name: ClassVar[str] = "letters"
    prior: ClassVar[float] = 0.99

    def draft(self, lane: LaneView, room: int) -> Draft:
        if not room:
            return Draft()
        law = _guess(259, lane, lane.state, minds=self.minds)
        noise = gumbel([(lane.seed[0], _DRAFT, len(lane.ids))], torch.arange(259))[0]
        return Draft((int((law.log() + noise).argmax()),), (self.name,))


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rejection rule (arXiv:2211.17192) for drafts of ``Letters``.

    :param minds: Whether its drafter does. If not, a letter at which the draft was cut counts as never drawn, which is
        the trap: the rule should have rejected it, and the next one be drawn from what that leaves.
    """

    sample: bool
    minds: bool
    name: ClassVar[str] = "rejects"
    takes_drafts: ClassVar[bool] = True

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        laws = torch.softmax(scores.cpu().double(), -1)
        chosen: list[list[int]] = []
        for lane, draft in zip(rows.lanes, rows.drafts, strict=True):
            state = lane.state
            for offset, token in enumerate(draft.tokens):
                guess = _guess(laws.shape[1], lane, state, minds=self.minds)
                chosen.append([self._judged(lane, len(lane.ids) + offset, token, laws[len(chosen)], guess)])
                state = None if lane.constraint is None else lane.constraint.advance(state, token)
            chosen.append([self._drawn(lane, len(lane.ids) + len(draft), laws[len(chosen)])])
        candidates = torch.tensor(chosen).to(scores.device)
        values = torch.zeros_like(candidates, dtype=scores.dtype)
        return Proposal(candidates, values, values[:, 0] + math.inf)

    def _judged(self, lane: LaneView, position: int, token: int, law: Tensor, guess: Tensor) -> int:
        noise = gumbel([(lane.seed[0], _ACCEPT, position)], torch.zeros(1, dtype=torch.int64))
        uniform = math.exp(-math.exp(-float(noise)))  # the distribution function of Gumbel's law
        if uniform < float(law[token] / guess[token]):
            return token
        rest = (law - guess).clamp_min(0)
        return self._drawn(lane, position, rest / rest.sum())

    def _drawn(self, lane: LaneView, position: int, law: Tensor) -> int:
        return int((law.log() + gumbel([(lane.seed[0], _REST, position)], torch.arange(len(law)))[0]).argmax())

    def extend(
        self, candidates: Sequence[Sequence[int]], values: Sequence[Sequence[float]], rows: Rows
    ) -> list[Extension]:
        return Match(sample=self.sample).extend(candidates, values, rows)


class Remembers:
    """A repetition penalty that forgets to forget: what any row has ever seen is less likely."""

    name: ClassVar[str] = "remembers"
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __init__(self) -> None:
        self.ever: set[int] = set()

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        out = scores.clone()
        for row, ids in enumerate(seen.ids):
            self.ever.update(ids[-1:])
            out[row, sorted(self.ever)] -= 0.5
        return out


SELECTORS: dict[str, Any] = {
    "accepts-all": AcceptsAll,
    "warm": Warm,
    "other-noise": OtherNoise,
    "rejects": lambda sample=False: Rejects(sample, minds=True),
    "rejects-late": lambda sample=False: Rejects(sample, minds=False),
}


@dataclass(frozen=True, slots=True)
class Samples:
    """A strategy that samples with one of the selectors."""

    selector: str
    name: ClassVar[str] = "samples"
    samples: ClassVar[bool | None] = True
    drafters: ClassVar[tuple[str, ...]] = ()


class Plugin:
    @hookimpl
    def decodeplug_register(self, registry: Registry) -> None:
        for name, factory in SELECTORS.items():
            registry.selector(name, factory)
