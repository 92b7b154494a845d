"""Two ways to mask, side by side along one text: what each costs at each token."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llguidance import LLMatcher
from measure import Clock

__all__ = ["ConstraintWalker", "EngineWalker", "Figures", "Walk", "Walker", "walk_both"]


class Walker(Protocol):
    """Somewhere in a text."""

    def mask(self) -> None:
        """Say which ids may follow."""
        ...

    def move(self, token: int) -> bool:
        """Go on with ``token``; False if it was refused."""
        ...


class ConstraintWalker:
    """A constraint of decodeplug, asked what the loop asks of it."""

    def __init__(self, constraint: Any) -> None:
        self._constraint, self._state = constraint, constraint.start()

    def mask(self) -> None:
        self._constraint.allowed(self._state)

    def move(self, token: int) -> bool:
        self._constraint.is_accepting(self._state)
        after = self._constraint.advance(self._state, token)
        if after is None:
            return False
        self._state = after
        return True


class EngineWalker:
    """The mask engine alone."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def mask(self) -> None:
        self._matcher.compute_bitmask()

    def move(self, token: int) -> bool:
        return self._matcher.consume_token(token)


@dataclass(frozen=True)
class Figures:
    """Microseconds of one side, of one kind: ``[rounds][tokens]``."""

    rounds: list[list[float]]

    @property
    def first(self) -> list[float]:
        """Of each token in the first round, where everything is new to the engine's lexer."""
        return self.rounds[0]

    @property
    def medians(self) -> list[float]:
        """Of each token, the median over the rounds after the first."""
        return [statistics.median(places) for places in zip(*self.rounds[1:], strict=True)]


@dataclass(frozen=True)
class Walk:
    """One text, both sides.

    :ivar masks: Ours and theirs. :ivar moves: Ours and theirs, at the same tokens.
    :ivar refused: Where a side refused a token, how many tokens were not walked.
    """

    masks: tuple[Figures, Figures]
    moves: tuple[Figures, Figures]
    refused: int = 0

    @property
    def added(self) -> list[float]:
        """Microseconds a token that our side takes more than the other, mask and move together: medians over rounds."""
        ours, theirs = (
            [[m + n for m, n in zip(a, b, strict=True)] for a, b in zip(masks.rounds, moves.rounds, strict=True)]
            for masks, moves in zip(self.masks, self.moves, strict=True)
        )
        more = [[m - n for m, n in zip(a, b, strict=True)] for a, b in zip(ours, theirs, strict=True)]
        return Figures(more).medians


def walk_both(
    ours: Callable[[], Walker], theirs: Callable[[], Walker], tokens: Sequence[int], clock: Clock, rounds: int = 8
) -> Walk:
    """Walk along a text, both sides token by token; who is first alternates.

    :param ours: A walker at the beginning, new for each round. :param clock: Says seconds.
    :param rounds: The first of them is told apart.
    """
    spent: list[list[tuple[float, float, float, float]]] = []
    count = len(tokens)
    for turn in range(rounds):
        sides = (ours(), theirs())
        spent.append([])
        for place, token in enumerate(tokens[:count]):
            order = (0, 1) if (turn + place) % 2 else (1, 0)
            taken = [0.0] * 4
            moved = True
            for side in order:
                began = clock()
                sides[side].mask()
                masked = clock()
                moved = sides[side].move(token) and moved
                taken[side], taken[2 + side] = masked - began, clock() - masked
            spent[-1].append((taken[0] * 1e6, taken[1] * 1e6, taken[2] * 1e6, taken[3] * 1e6))
            if not moved:
                count = place + 1
                break
    kinds = [Figures([[place[kind] for place in places[:count]] for places in spent]) for kind in range(4)]
    return Walk((kinds[0], kinds[1]), (kinds[2], kinds[3]), len(tokens) - count)
