"""When a lane ends: end tokens, a complete constraint, stop strings, the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from decodeplug.failure import PartFailure
from decodeplug.text import Decode, TextState, extend_text, find_stop

if TYPE_CHECKING:
    from decodeplug.lane import Lane

__all__ = ["Clipped", "Rules"]


class Clipped(NamedTuple):
    """What is left of an extension, and why it ends there (None: it goes on)."""

    tokens: tuple[int, ...]
    state: Any
    text: TextState | None
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The clip rules of one request.

    :param budget: New tokens at most. :param end_ids: Ids that end a text; kept.
    :param stops: Strings that end it; the token that completes one is kept, the text
        ends before it. :param decode: From ids to text; None on a host without tokenizer.
    :param criteria: ``f(ids [1, tokens], None)``: true where the text shall end.
    :param follows_text: Keep the lane's text up to date (stop strings, streaming).
    """

    budget: int
    end_ids: frozenset[int] = frozenset()
    stops: tuple[str, ...] = ()
    decode: Decode | None = None
    criteria: tuple[Any, ...] = ()
    follows_text: bool = False

    def room(self, lane: Lane) -> int:
        """Drafted tokens that could be kept: one token is always the selector's own."""
        return self.budget - (len(lane.ids) - lane.job.prompt_length) - 1

    def clip(self, lane: Lane, tokens: tuple[int, ...]) -> Clipped:
        """Cut an extension at the first token that ends the lane.

        The rules apply token by token, so a draft cannot carry the text past its end.
        """
        state, text, constraint = lane.state, lane.text, lane.job.constraint
        new_ids = lane.new_ids if self.follows_text else []
        used = len(lane.ids) - lane.job.prompt_length
        for count, token in enumerate(tokens, start=1):
            reason = "stop" if token in self.end_ids else None
            if constraint is not None and reason is None:
                state = constraint.advance(state, token)
                assert state is not None, "the mask allowed a token that the constraint does not"
                reason = "stop" if constraint.is_complete(state) else None
            if self.follows_text:
                assert text is not None
                assert self.decode is not None
                new_ids.append(token)
                longer = extend_text(self.decode, text, new_ids)
                if find_stop(longer.text, len(text.text), self.stops) is not None:
                    reason = "stop"
                text = longer
            if reason is None:
                if self.criteria and self._criterion_met([*lane.ids, *tokens[:count]]):
                    reason = "stop"
                elif used + count >= self.budget:
                    reason = "length"
            if reason is not None:
                return Clipped(tokens[:count], state, text, reason)
        return Clipped(tokens, state, text, None)

    def _criterion_met(self, ids: Sequence[int]) -> bool:
        table = torch.tensor([ids])
        for criterion in self.criteria:
            try:
                if bool(torch.as_tensor(criterion(table, None)).any()):
                    return True
            except Exception as error:
                raise PartFailure(criterion, error) from error
        return False
