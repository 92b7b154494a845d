"""Several drafters one after the other, and how long a draft is worth its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from decodeplug.contracts import Drafter
from decodeplug.errors import BadOption
from decodeplug.values import NO_DRAFT, Draft, LaneView, Record

__all__ = ["Chain"]


@dataclass(frozen=True, slots=True)
class Chain:
    """Let each drafter go on where the one before it stopped; cut where it does not pay.

    The first drafter that has something to say speaks, the constraint is walked along what
    it said, and they are asked again from there. Then the draft is cut to the length
    with the most expected tokens per cost of the forward: the expectation comes from how
    each drafter did in this lane, the cost from measured forwards. Where drafts do not
    help, their length goes to 0; they are tried again now and then.

    :param drafters: The order in which they are asked.
    :param max_tokens: Longest draft of the whole chain.
    Source: the expected gain is that of Leviathan et al. 2022, arXiv:2211.17192, section 3.3,
        with an acceptance rate for each drafter.
    """

    drafters: Sequence[Drafter]
    max_tokens: int = 32
    name: ClassVar[str] = "chain"
    prior: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise BadOption("chain", max_tokens=self.max_tokens, wanted="at least 1")

    def draft(self, lane: LaneView, room: int) -> Draft:
        """At most ``room`` tokens, each with the drafter that proposed it."""
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
            piece, state = _allowed(view, drafter.draft(view, room))
            if piece:
                return piece, state
        return NO_DRAFT, view.state

    def _best_length(self, lane: LaneView, draft: Draft) -> int:
        priors = {drafter.name: drafter.prior for drafter in self.drafters}
        best, best_length, reached, expected = 1.0, 0, 1.0, 1.0
        for length, source in enumerate(draft.sources, start=1):
            reached *= lane.records.get(source, Record()).rate(priors.get(source, self.prior))
            expected += reached
            gain = expected / lane.cost(length + 1)
            if gain > best:
                best, best_length = gain, length
        return best_length


def _allowed(view: LaneView, draft: Draft) -> tuple[Draft, object]:
    """The part of a draft that the constraint allows, and the state after it."""
    if view.constraint is None:
        return draft, None
    state = view.state
    for index, token in enumerate(draft.tokens):
        after = view.constraint.advance(state, token)
        if after is None:
            return draft.first(index), state
        state = after
    return draft, state
