"""Several drafters one after the other, and how long a draft is worth its cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from decodeplug.contracts import Drafter
from decodeplug.errors import BadOption
from decodeplug.failure import PartFailure
from decodeplug.opened import is_drafter, opened
from decodeplug.values import NO_DRAFT, Draft, LaneView, Opening, Record

__all__ = ["Chain"]


_FIRST_STAKE = 1.0  # forwards of width 1 that a lane may lose on drafts
_STAKE_PER_TOKEN = 0.005  # and how many more for each new token


@dataclass(frozen=True, slots=True)
class Chain:
    """Let each drafter go on where the one before it stopped; cut where it does not pay.

    The first drafter that has something to say speaks, the constraint is walked along what
    it said, and they are asked again from there. Then the draft is cut to the length
    with the most expected tokens per cost of the forward: the expectation comes from how
    each drafter did in this lane, the cost from measured forwards. Where drafts do not
    help, their length goes to 0, and they are tried again now and then: what is risked is
    at most what drafts have saved this lane before, one forward, and one in 200 tokens.

    :param drafters: Drafters, in the order in which they are asked. A chain is made of the
        parts themselves: where they are named, a host makes the chain of them.
    :param max_tokens: Longest draft of the whole chain.
    :raises BadOption: What was given is no drafter, or there is no room for a token.
    Source: the expected gain is that of Leviathan et al. 2022, arXiv:2211.17192, section 3.3,
        with an acceptance rate for each drafter.
    """

    drafters: Sequence[Drafter]
    max_tokens: int = 32
    name: ClassVar[str] = "chain"
    prior: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        if not (isinstance(self.drafters, Iterable) and all(map(is_drafter, self.drafters))):
            wanted = 'drafters; name the drafters themselves: drafters=["forced", "lookup"]'
            raise BadOption("chain", drafters=self.drafters, wanted=wanted)
        object.__setattr__(self, "drafters", tuple(self.drafters))
        if self.max_tokens < 1:
            raise BadOption("chain", max_tokens=self.max_tokens, wanted="at least 1")

    @property
    def reads_references(self) -> bool:
        """Does one of its drafters?"""
        return any(getattr(drafter, "reads_references", False) for drafter in self.drafters)

    def open(self, request: Opening) -> Chain:
        """The chain of what its drafters give the request.

        :raises PartFailure: One of them failed to; names it.
        """
        return replace(self, drafters=[opened(drafter, request) for drafter in self.drafters])

    def draft(self, lane: LaneView, room: int) -> Draft:
        """At most ``room`` tokens, each with the drafter that proposed it.

        :raises PartFailure: A drafter of the chain, or the constraint, failed; names it.
        """
        room = min(room, self.max_tokens)
        draft, view = NO_DRAFT, lane
        while len(draft) < room:
            piece, state = self._piece(view, room - len(draft))
            if not piece:
                break
            draft += piece
            view = replace(view, ids=[*view.ids, *piece.tokens], state=state)
        return draft.first(self._best_length(lane, draft))

    def _piece(self, view: LaneView, room: int) -> tuple[Draft, object]:
        for drafter in self.drafters:
            piece, state = _allowed(view, _asked(drafter, view, room))
            if piece:
                return piece, state
        return NO_DRAFT, view.state

    def _best_length(self, lane: LaneView, draft: Draft) -> int:
        priors = {drafter.name: drafter.prior for drafter in self.drafters}
        rates = [lane.records.get(name, Record()).rate(priors.get(name, self.prior)) for name in draft.sources]
        best, best_length, reached, expected = 1.0, 0, 1.0, 1.0
        stake = lane.saved + _FIRST_STAKE + _STAKE_PER_TOKEN * (len(lane.ids) - lane.prompt_length)
        for length, rate in enumerate(rates, start=1):
            reached *= rate
            expected += reached
            cost = lane.cost(length + 1)
            if (1 - rates[0]) * (cost - 1) > stake:  # what is lost if nothing is kept
                break
            if expected / cost > best:
                best, best_length = expected / cost, length
        return best_length


def _asked(drafter: Drafter, view: LaneView, room: int) -> Draft:
    """What a drafter proposes, at most ``room`` tokens.

    :raises PartFailure: It raised, or gave back something else than a draft.
    """
    try:
        draft = drafter.draft(view, room)
        _check(draft)
    except PartFailure:
        raise  # of a drafter of a chain within this one
    except Exception as error:
        raise PartFailure(drafter, error) from error
    return draft.first(room)


def _check(draft: object) -> None:
    if not isinstance(draft, Draft):
        raise TypeError(f"returned {type(draft).__name__} where a Draft was wanted")
    if len(draft.sources) != len(draft.tokens):
        raise TypeError(f"named {len(draft.sources)} sources for {len(draft.tokens)} tokens")
    for token in draft.tokens:
        if type(token) is not int or token < 0:
            raise TypeError(f"{token!r} is no token id")


def _allowed(view: LaneView, draft: Draft) -> tuple[Draft, object]:
    """The part of a draft that the constraint allows, and the state after it."""
    if view.constraint is None:
        return draft, None
    state = view.state
    for index, token in enumerate(draft.tokens):
        try:
            after = view.constraint.advance(state, token)
        except Exception as error:
            raise PartFailure(view.constraint, error) from error
        if after is None:
            return draft.first(index), state
        state = after
    return draft, state
