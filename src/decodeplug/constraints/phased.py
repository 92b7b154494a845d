"""Free text up to a marker, then another constraint: compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decodeplug.constraints.any_spelling import allows_any_spelling
from decodeplug.constraints.markers import MISSED, Marker
from decodeplug.constraints.token_texts import token_texts
from decodeplug.contracts import Constraint, Vocabulary

__all__ = ["Bound", "Free", "Phased"]


@dataclass(frozen=True, slots=True)
class Free:
    """Before the end of the marker.

    :ivar matched: How much of the marker is there. :ivar spent: Tokens so far, where they are counted.
    """

    matched: int = 0
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """Behind the marker: the state of the constraint that holds there."""

    state: Any


class Phased:
    """Free text up to the first ``marker``, then ``then``. Implements ``contracts.Constraint``.

    A token that has the end of the marker in it is allowed exactly if ``then`` takes its other bytes, however
    they are spelt (other bytes that no ids spell are not allowed). The masks of the free phase depend on
    how much of the marker is written, and are made once for each such length.

    A special token that is named as the marker is the only one that the mask leaves where a marker is forced of
    which nothing is written; ``advance`` takes any spelling.

    :param kind: Its name in errors. :param budget: Free tokens after which the marker is forced.
    :param may_end: The text may end before the marker too. :param answer: Ids of a text that ``then`` allows.
    :ivar spoken_ids: Special ids that it allows, as the text of their names.
    """

    def __init__(
        self,
        kind: str,
        marker: Marker,
        then: Constraint,
        budget: int | None,
        vocabulary: Vocabulary,
        *,
        may_end: bool = False,
        answer: Sequence[int] | None = None,
    ) -> None:
        self.kind, self.name, self.size = kind, kind, vocabulary.size
        self.is_exact = getattr(then, "is_exact", False)
        self.refuses_late = getattr(then, "refuses_late", False)
        self._marker, self._then, self._budget, self._may_end = marker, then, budget, may_end
        self._answer = answer
        self._tokens = token_texts(vocabulary)
        # The only id where the whole marker is forced, so that no model has to spell what has a token.
        self._preferred = None if allows_any_spelling(vocabulary) else marker.own
        own = () if marker.own is None else (marker.own,)
        self.spoken_ids = frozenset(own).union(getattr(then, "spoken_ids", ()))
        self._entered: dict[bytes, Any | None] = {}
        self._masks: dict[tuple[int, bool], Tensor] = {}

    def start(self) -> Free:
        return Free()

    def advance(self, state: Free | Bound, token: int) -> Free | Bound | None:
        if isinstance(state, Bound):
            after = self._then.advance(state.state, token)
            return None if after is None else Bound(after)
        text = self._text(token)
        if not text or (self._must_end(state) and not self._goes_on_with_marker(state.matched, text)):
            return None
        behind = self._marker.behind(state.matched, text)
        if behind is not None:
            entered = self._enter(behind)
            return None if entered is None else Bound(entered)
        spent = state.spent if self._budget is None or self._must_end(state) else state.spent + 1
        return Free(self._marker.matched_after(state.matched, text), spent)

    def allowed(self, state: Free | Bound) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified."""
        if isinstance(state, Bound):
            return self._then.allowed(state.state)
        must_end = self._must_end(state)
        mask = self._masks.get((state.matched, must_end))
        if mask is None:
            mask = self._masks[state.matched, must_end] = self._free_mask(state.matched, must_end)
        return mask

    def forced(self, state: Free | Bound) -> tuple[int, ...]:
        """The rest of the marker when the budget is spent; behind it what ``then`` forces."""
        if isinstance(state, Bound):
            return tuple(self._then.forced(state.state))
        return self._rest_of_marker(state) if self._must_end(state) else ()

    def _rest_of_marker(self, state: Free) -> tuple[int, ...]:
        if self._preferred is not None and state.matched == 0:
            return (self._preferred,)
        return tuple(self._tokens.spell(self._marker.text[state.matched :]) or ())

    def ending(self, state: Free | Bound) -> tuple[int, ...] | None:
        """Before the end of the marker: its rest, and a text of ``then``. None where that is not known."""
        if isinstance(state, Bound):
            return None
        if self._may_end:
            return ()
        return None if self._answer is None else (*self._rest_of_marker(state), *self._answer)

    def is_accepting(self, state: Free | Bound) -> bool:
        return self._then.is_accepting(state.state) if isinstance(state, Bound) else self._may_end

    def is_complete(self, state: Free | Bound) -> bool:
        return isinstance(state, Bound) and self._then.is_complete(state.state)

    def _text(self, token: int) -> bytes:
        if token == self._marker.own:
            return self._marker.text
        return self._tokens.texts[token] if 0 <= token < self.size else b""

    def _must_end(self, state: Free) -> bool:
        return self._budget is not None and state.spent >= self._budget

    def _goes_on_with_marker(self, matched: int, text: bytes) -> bool:
        rest = self._marker.text[matched:]
        return rest.startswith(text) or text.startswith(rest)

    def _free_mask(self, matched: int, must_end: bool) -> Tensor:
        """The mask before the end of the marker: all tokens with text, less those that end it and go on wrongly."""
        tokens, marker = self._tokens, self._marker
        if matched == MISSED:
            return tokens.has_text
        if must_end:
            mask = torch.zeros(self.size, dtype=torch.bool)
            if self._preferred is not None and matched == 0:
                mask[self._preferred] = True
                return mask
            mask[tokens.along(marker.text[matched:])] = True
        else:
            mask = tokens.has_text.clone()
        if marker.own is not None:
            mask[marker.own] = not must_end or matched == 0
        for token, _ in tokens.crossing(marker.text, matched):
            behind = marker.behind(matched, tokens.texts[token])
            if behind is not None:
                wanted = not must_end or self._goes_on_with_marker(matched, tokens.texts[token])
                mask[token] = wanted and self._enter(behind) is not None
        return mask

    def _enter(self, rest: bytes) -> Any | None:
        """The state of ``then`` after the bytes that a token has behind the marker; None if it does not take them."""
        if rest not in self._entered:
            state: Any = self._then.start()
            tokens = self._tokens.spell(rest)
            for token in () if tokens is None else tokens:
                state = None if state is None else self._then.advance(state, token)
            self._entered[rest] = None if tokens is None else state
        return self._entered[rest]
