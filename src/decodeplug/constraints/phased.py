"""Free text up to a marker, then another constraint: compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decodeplug.constraints.token_texts import token_texts
from decodeplug.contracts import Constraint, Vocabulary

__all__ = ["Bound", "Free", "Phased"]


@dataclass(frozen=True, slots=True)
class Free:
    """Before the end of the marker.

    :ivar matched: How many bytes of the marker the text ends with. :ivar spent: Tokens so far, where they are counted.
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

    :param kind: Its name in errors. :param budget: Free tokens after which the marker is forced.
    :param may_end: The text may end before the marker too. :param answer: Ids of a text that ``then`` allows.
    """

    def __init__(
        self,
        kind: str,
        marker: bytes,
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
        self._borders = _borders(marker)
        self._entered: dict[bytes, Any | None] = {}
        self._masks: dict[tuple[int, bool], Tensor] = {}

    def start(self) -> Free:
        return Free()

    def advance(self, state: Free | Bound, token: int) -> Free | Bound | None:
        if isinstance(state, Bound):
            after = self._then.advance(state.state, token)
            return None if after is None else Bound(after)
        text = self._tokens.texts[token] if 0 <= token < self.size else b""
        if not text or (self._must_end(state) and not self._goes_on_with_marker(state.matched, text)):
            return None
        matched = self._marker[: state.matched] + text
        found = matched.find(self._marker)
        if found >= 0:
            entered = self._enter(matched[found + len(self._marker) :])
            return None if entered is None else Bound(entered)
        spent = state.spent if self._budget is None or self._must_end(state) else state.spent + 1
        return Free(self._matched_after(state.matched, text), spent)

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
        return tuple(self._tokens.spell(self._marker[state.matched :]) or ()) if self._must_end(state) else ()

    def ending(self, state: Free | Bound) -> tuple[int, ...] | None:
        """Before the end of the marker: its rest, and a text of ``then``. None where that is not known."""
        if isinstance(state, Bound) or self._answer is None:
            return None
        return (*(self._tokens.spell(self._marker[state.matched :]) or ()), *self._answer)

    def is_accepting(self, state: Free | Bound) -> bool:
        return self._then.is_accepting(state.state) if isinstance(state, Bound) else self._may_end

    def is_complete(self, state: Free | Bound) -> bool:
        return isinstance(state, Bound) and self._then.is_complete(state.state)

    def _must_end(self, state: Free) -> bool:
        return self._budget is not None and state.spent >= self._budget

    def _goes_on_with_marker(self, matched: int, text: bytes) -> bool:
        rest = self._marker[matched:]
        return rest.startswith(text) or text.startswith(rest)

    def _free_mask(self, matched: int, must_end: bool) -> Tensor:
        """The mask before the end of the marker: all tokens with text, less those that end it and go on wrongly."""
        rest, tokens = self._marker[matched:], self._tokens
        if must_end:
            mask = torch.zeros(self.size, dtype=torch.bool)
            mask[tokens.along(rest)] = True
        else:
            mask = tokens.has_text.clone()
        for token, behind in tokens.crossing(self._marker, matched):
            wanted = not must_end or tokens.texts[token].startswith(rest)
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

    def _matched_after(self, matched: int, text: bytes) -> int:
        """How many bytes of the marker the text ends with, if it ended with ``matched`` of them before ``text``.

        Source: the prefix function of Knuth, Morris and Pratt 1977, "Fast pattern matching in strings", section 2.
        """
        for byte in text:
            while matched and self._marker[matched] != byte:
                matched = self._borders[matched - 1]
            if self._marker[matched] == byte:
                matched += 1
        return matched


def _borders(marker: bytes) -> list[int]:
    """For each beginning of the marker: the longest shorter one that it ends with."""
    borders = [0] * len(marker)
    length = 0
    for end in range(1, len(marker)):
        while length and marker[length] != marker[end]:
            length = borders[length - 1]
        if marker[length] == marker[end]:
            length += 1
        borders[end] = length
    return borders
