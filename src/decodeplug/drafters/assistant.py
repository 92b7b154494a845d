"""Propose what a smaller model would write."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from decodeplug.drafters.measured import MeasuredPrice
from decodeplug.drafters.prefixes import Prefixes
from decodeplug.drawn import Choice, Drawn, Draws
from decodeplug.failure import PartFailure
from decodeplug.values import NO_DRAFT, Draft, LaneView
from decodeplug.whole import whole_number

__all__ = ["Assistant", "Guide"]


_LONGEST = 4  # times as many tokens as the other's that a text is taken to have in its own words: names of special tokens are long


class Guide(Protocol):
    """A model that drafts for another one."""

    same_ids: bool
    """Does it have the other's vocabulary?"""
    context_window: int | None
    relative_size: float
    """Its parameters by those of the other: what a step costs before any was measured."""

    def session(self) -> Any:
        """A new session over it, see ``contracts.Session``."""
        ...

    def knows(self, ids: Sequence[int]) -> bool:
        """Has it an embedding for each of these ids of its own?"""
        ...

    def fitted(self, logits: Tensor) -> Tensor:
        """``[rows, vocab]``: its logits, as wide as the other's."""
        ...

    def translated(self, ids: Sequence[int]) -> list[int]:
        """The other's ids as its own."""
        ...

    def back(self, ids: Sequence[int], drafted: Sequence[int]) -> list[int]:
        """Its own ids ``drafted`` behind the other's ``ids``, as the other would write them."""
        ...


class Assistant:
    """Draft with a smaller model, its choices made as the lane makes its own.

    The assistant's logits go through the lane's constraint, processors and noise. So it proposes what the lane
    will choose wherever the two distributions agree, also at temperature 1. It has a cache of its own, which
    follows the texts by their longest common prefix; one forward drafts for all lanes of a batch.

    An assistant with another tokenizer drafts its likeliest text, which is tokenised again.

    :param model: The smaller model. In a request: ``assistant=``, a model or a ``Host``.
    :param num_tokens: Tokens to draft whatever they cost. None: as many as measured acceptance and costs make worth it.
    :raises BadOption: ``num_tokens`` is below 1.
    Source: Leviathan et al. 2022, arXiv:2211.17192, section 2.1 and 3.3 (how many tokens); with shared noise,
        arXiv:2408.07978; another tokenizer: Timor et al. 2025, arXiv:2502.05202, section 3.1.
    """

    name: ClassVar[str] = "assistant"
    prior: ClassVar[float] = 0.7

    def __init__(self, model: Guide, num_tokens: int | None = None) -> None:
        whole_number("assistant", "num_tokens", num_tokens, 1, or_none=True)
        self.guide, self.num_tokens = model, num_tokens
        self.insists = num_tokens is not None
        self._lock = threading.Lock()
        self._prefixes: Prefixes | None = None
        self._price = MeasuredPrice(model.relative_size)

    def price(self, lane: LaneView) -> float:
        """What one drafted token costs, in forwards of width 1 of the model that it drafts for."""
        return self._price.of(lane)

    def draft(self, lane: LaneView, room: int) -> Draft:
        """At most ``room`` tokens behind ``lane.ids``."""
        return self.draft_all([(lane, room)])[0]

    def draft_all(self, asks: Sequence[tuple[LaneView, int]]) -> list[Draft]:
        """The same for several lanes: each gets as many tokens as it has room for."""
        with self._lock:
            return self._drafts(asks)

    def close(self) -> None:
        """Let go of the cache."""
        with self._lock:
            self._prefixes = None

    def _drafts(self, asks: Sequence[tuple[LaneView, int]]) -> list[Draft]:
        guide, began, read = self.guide, time.perf_counter(), 0
        if self._prefixes is None:
            self._prefixes = Prefixes(guide.session())
        texts = [list(lane.ids) if guide.same_ids else guide.translated(lane.ids) for lane, _ in asks]
        writings = [
            _Writing(lane, self._room(lane, text, room), lane.draw if guide.same_ids else None)
            for (lane, room), text in zip(asks, texts, strict=True)
        ]
        wanted = [text if writing.room > 0 else [] for writing, text in zip(writings, texts, strict=True)]
        self._prefixes.aim(wanted)
        while going := [index for index, writing in enumerate(writings) if writing.goes_on]:
            logits = self._prefixes.forward({index: writings[index].ids for index in going})
            rows = guide.fitted(logits) if guide.same_ids else logits
            made = [(writings[index], writings[index].choice(row)) for index, row in zip(going, rows, strict=True)]
            _write([(writing, choice) for writing, choice in made if choice is not None])
            read = max(read, self._prefixes.fed)
        drafts = [self._draft_of(writing, room) for writing, (_, room) in zip(writings, asks, strict=True)]
        if read:
            # Of a token of ours; with what it takes to say the texts in the words of another tokenizer, and the drafts in our own.
            self._price.note(time.perf_counter() - began, sum(map(len, drafts)), read)
        return drafts

    def _most(self, room: int) -> int:
        return room if self.num_tokens is None else min(room, self.num_tokens)

    def _room(self, lane: LaneView, text: Sequence[int], room: int) -> int:
        """In tokens of its own, of which the text may have more or fewer."""
        if not self.guide.knows(text):
            return 0
        longer = min(len(text), _LONGEST * len(lane.ids))
        window, wanted = self.guide.context_window, -(-self._most(room) * longer // len(lane.ids))
        return wanted if window is None else min(wanted, window - len(text))

    def _draft_of(self, writing: _Writing, room: int) -> Draft:
        tokens: Sequence[int] = writing.ids
        if not tokens:
            return NO_DRAFT
        if not self.guide.same_ids:
            tokens = self.guide.back(writing.lane.ids, tokens)[: self._most(room)]
        laws = tuple(writing.laws) if writing.lane.wants_probabilities and self.guide.same_ids else ()
        return Draft(tuple(tokens), (self.name,) * len(tokens), laws)


class _Writing:
    """What is drafted for one lane so far.

    :param draw: How the lane chooses, where the logits are over its own vocabulary; None: the likeliest token.
    """

    def __init__(self, lane: LaneView, room: int, draw: Draws | None) -> None:
        self.lane, self.room = lane, room
        self.ids: list[int] = []
        self.laws: list[Tensor | None] = []
        self._draw, self._state, self._ended = draw, lane.state, False

    @property
    def goes_on(self) -> bool:
        return not self._ended and len(self.ids) < self.room

    def choice(self, logits: Tensor) -> Choice | None:
        """One token more; None, and no more of them, where a part of the lane fails. :param logits: ``[vocab]``."""
        if self._draw is None:
            return Choice(logits.argmax(-1, keepdim=True))
        try:
            return self._draw.choice(logits, self.ids, self._state)
        except PartFailure:  # of this lane's own request: it fails again, and is named, where the lane is scored
            self._ended = True
            return None

    def write(self, choice: Choice, token: int) -> None:
        """Take it in. :param token: What was read of the choice."""
        try:
            drawn = Drawn(token) if self._draw is None else self._draw.drawn(choice, token, self._state)
        except PartFailure:  # likewise
            self._ended = True
            return
        self._state, self._ended = drawn.state, drawn.ends
        if drawn.token is not None:
            self.ids.append(drawn.token)
            self.laws.append(drawn.probabilities)


def _write(made: Sequence[tuple[_Writing, Choice]]) -> None:
    """Read the tokens of all lanes in one transfer, and take each in."""
    tokens = torch.cat([choice.token for _, choice in made]).tolist() if made else []
    for (writing, choice), token in zip(made, tokens, strict=True):
        writing.write(choice, token)
