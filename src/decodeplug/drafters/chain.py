"""Several drafters one after the other, and how long a draft is worth its cost."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from operator import mul
from typing import ClassVar, NamedTuple

from decodeplug.contracts import Ask, Drafter
from decodeplug.errors import BadOption
from decodeplug.failure import PartFailure
from decodeplug.opened import answer_of, check_price, is_drafter, opened
from decodeplug.values import NO_DRAFT, Draft, LaneView, Opening, Record

__all__ = ["Chain"]


_FIRST_STAKE = 1.0  # forwards of width 1 that a lane may lose on drafts
_STAKE_PER_TOKEN = 0.015  # and how many more for each new token
_CLEAR = 1.3  # a draft that promises so many tokens per cost is tried until as much again was lost
_NO_RECORD = Record()
_AS_GOOD = 0.93  # a longer draft that promises so much of the most tokens per cost is taken: it saves forwards
_PATIENCE = 8  # trials that a prior counts as where a drafter is not asked yet


@dataclass(frozen=True, slots=True)
class Chain:
    """Let each drafter go on where the one before it stopped; cut where it does not pay.

    The first drafter that has something to say speaks, unless a later one promises more: then both are asked, and
    the one of whose tokens more will be kept, as far as is known. The constraint is walked along what
    it said, and they are asked again from there. Then the draft is cut to the length
    with the most expected tokens per cost of the forward, or a longer one that is as good but for 7 %, and no worse than none:
    the expectation comes from how each drafter did in this lane, the cost from measured forwards. Where drafts do not
    help, their length goes to 0, and they are tried again now and then: where the gain is in doubt, the expected loss is at most
    what drafts have saved this lane before, one forward, and 15 in 1,000 tokens; where it is clear, one forward more, but for
    a drafter whose tokens have a price and that was not asked yet. What was lost is held against all drafters. Tokens of one
    that ``insists``, and those that were drawn, are never cut off.

    :param drafters: Drafters, in the order in which they are asked. A chain is made of the
        parts themselves: where they are named, a host makes the chain of them.
    :param max_tokens: Longest draft of the whole chain.
    :raises BadOption: What was given is no drafter, or there is no room for a token.
    Source: the expected gain is that of Leviathan et al. 2022, arXiv:2211.17192, section 3.3,
        with an acceptance rate for each drafter.
    """

    drafters: Sequence[Drafter]
    max_tokens: int = 32
    needs_hidden: bool = field(init=False, default=False)
    _priors: Mapping[str, float] = field(init=False, repr=False, compare=False, default_factory=dict[str, float])
    name: ClassVar[str] = "chain"
    prior: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        if not (isinstance(self.drafters, Iterable) and all(map(is_drafter, self.drafters))):
            wanted = 'drafters; name the drafters themselves: drafters=["forced", "lookup"]'
            raise BadOption("chain", drafters=self.drafters, wanted=wanted)
        object.__setattr__(self, "drafters", tuple(self.drafters))
        object.__setattr__(self, "needs_hidden", any(getattr(part, "needs_hidden", False) for part in self.drafters))
        object.__setattr__(
            self, "_priors", {drafter.name: getattr(drafter, "prior", self.prior) for drafter in self.drafters}
        )
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
        asking = self.asks(lane, room)
        try:
            ask = next(asking)
            while True:
                ask = asking.send(answer_of(ask))
        except StopIteration as end:
            return end.value

    def asks(self, lane: LaneView, room: int) -> Generator[Ask, Draft, Draft]:
        """The same, question by question, so that one drafter can answer the chains of several lanes at once.

        :returns: A generator: it yields whom to ask, takes the answer, and returns the draft.
        :raises PartFailure: The constraint failed, or a drafter did to say its price.
        """
        room = min(room, self.max_tokens)
        draft, view, goes_on = NO_DRAFT, lane, True
        asked: set[str] = set()  # those whose tokens have a price: once a turn
        while goes_on and len(draft) < room:
            goes_on, best, hope = False, _Piece(NO_DRAFT, view.state, goes_on=False), 0.0
            for drafter in self.drafters:
                settled = best.draft and self._rates(lane, best.draft.first(1))[0] >= self._hope(lane, drafter.name)
                if settled or drafter.name in asked:  # who promises no more than what is there is not asked
                    continue
                most = self._worth_asking(lane, draft, drafter, room - len(draft))
                if most <= 0:
                    continue
                answer = (yield Ask(drafter, view, most)).first(most)
                if (price := _price(drafter, lane)) is not None:  # paid for, whatever becomes of the answer
                    asked.add(drafter.name)
                    draft = replace(draft, paid=(*draft.paid, (drafter.name, price * len(answer))))
                piece = _allowed(view, replace(answer, paid=()))
                kept = sum(accumulate(self._rates(lane, piece.draft), mul))
                if kept > hope or piece.draft.drawn:
                    best, hope = piece, kept
                if piece.draft.drawn:  # what was drawn is judged, whatever it is
                    break
            if best.draft:
                draft, goes_on = draft + best.draft, best.goes_on
                view = view.behind(best.draft.tokens, best.state)
        return draft.first(max(self._best_length(lane, draft), draft.drawn))

    def _worth_asking(self, lane: LaneView, draft: Draft, drafter: Drafter, room: int) -> int:
        """For how many tokens a drafter is worth asking; all there is room for, of one that costs nothing."""
        price = _price(drafter, lane)
        if price is None or getattr(drafter, "insists", False):
            return room
        return self._best_length(lane, draft, [drafter.name] * room, price) - len(draft)

    def _rate(self, lane: LaneView, name: str, confidence: float | None = None) -> float:
        """How probable it is that a token of a drafter is kept where those before it are."""
        return lane.records.get(name, _NO_RECORD).rate(self._priors.get(name, self.prior), confidence)

    def _hope(self, lane: LaneView, name: str) -> float:
        """The same, before the drafter was asked: a few failures do not speak against asking again how sure it is."""
        record, prior = lane.records.get(name, _NO_RECORD), self._priors.get(name, self.prior)
        return (record.hits + _PATIENCE * prior) / (record.trials + _PATIENCE)

    def _stake(self, lane: LaneView) -> float:
        """What may be lost on drafts, in forwards of width 1: all drafters draw on one account."""
        saved = sum(record.saved for record in lane.records.values())
        return saved + _FIRST_STAKE + _STAKE_PER_TOKEN * (len(lane.ids) - lane.prompt_length)

    def _rates(self, lane: LaneView, draft: Draft) -> list[float]:
        return [self._rate(lane, name, draft.confidence_of(index)) for index, name in enumerate(draft.sources)]

    def _best_length(self, lane: LaneView, draft: Draft, hoped: Sequence[str] = (), price: float = 0.0) -> int:
        """How many tokens of a draft are worth the width.

        :param hoped: Who would go on with it, token by token; each of these costs ``price`` as well.
        """
        sources = (*draft.sources, *hoped)
        rates = [*self._rates(lane, draft), *(self._hope(lane, name) for name in hoped)]
        insisting = {drafter.name for drafter in self.drafters if getattr(drafter, "insists", False)}
        firm = max((index for index, name in enumerate(sources, start=1) if name in insisting), default=0)
        promises, reached, expected = [1.0], 1.0, 1.0  # tokens per cost, by length
        stake = self._stake(lane)
        if hoped and price > stake:  # it may be for nothing
            return len(draft)
        for length, rate in enumerate(rates, start=1):
            reached *= rate
            expected += reached
            cost = lane.cost(length + 1) + price * max(0, length - len(draft))
            risked = (1 - rates[0]) * (cost - 1)  # the expected loss where nothing is kept; a longer one may cost less
            clear = expected >= _CLEAR * cost and stake > -_FIRST_STAKE
            promises.append(expected / cost if clear or risked <= stake else 0.0)
        enough = max(_AS_GOOD * max(promises), 1.0)  # and no less than without a draft
        return max(firm, *(length for length, promise in enumerate(promises) if promise >= enough))


def _price(drafter: object, lane: LaneView) -> float | None:
    """What a token of a drafter costs; None if next to nothing.

    :raises PartFailure: It failed to say.
    """
    price = getattr(drafter, "price", None)
    if price is None:
        return None
    try:
        costs = float(price(lane))
        check_price(costs)
    except Exception as error:
        raise PartFailure(drafter, error) from error
    return costs


class _Piece(NamedTuple):
    """What the constraint allows of an answer, the state behind it, and whether a draft may go on there."""

    draft: Draft
    state: object
    goes_on: bool


def _allowed(view: LaneView, draft: Draft) -> _Piece:
    """A token that was drawn is kept though it is forbidden, and ends the draft: see ``walk.cut_draft``."""
    if view.constraint is None:
        return _Piece(draft, None, goes_on=True)
    state = view.state
    for index, token in enumerate(draft.tokens):
        try:
            after = view.constraint.advance(state, token)
        except Exception as error:
            raise PartFailure(view.constraint, error) from error
        if after is None:
            drawn = draft.was_drawn(index)
            return _Piece(draft.first(index + drawn), state, goes_on=not drawn)
        state = after
    return _Piece(draft, state, goes_on=True)
