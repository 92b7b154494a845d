"""From ids to text, piece by piece: what can be shown now will never be taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

__all__ = ["Decode", "TextState", "decoder", "extend_text", "find_stop", "safe_length"]

Decode = Callable[[Sequence[int]], str]
"""From ids to text."""


@dataclass(frozen=True, slots=True)
class TextState:
    """The text of a lane so far, as a value.

    :ivar text: What the ids before ``read`` say. :ivar prefix: Start of the window that is
        decoded again with every new id, for what a tokenizer does across tokens.
    :ivar read: Ids from here on are not in ``text`` yet (an incomplete character).
    """

    text: str = ""
    prefix: int = 0
    read: int = 0


def decoder(tokenizer: Any) -> Decode:
    """The tokenizer's own way from ids to text, special tokens left out."""
    return partial(tokenizer.decode, skip_special_tokens=True)


def extend_text(decode: Decode, state: TextState, ids: Sequence[int]) -> TextState:
    """The text after ``ids``, of which ``state`` knew a prefix.

    Characters that are not complete yet (several tokens may share one) are held back.

    :param ids: All new ids of the lane, without its prompt.
    """
    known = decode(ids[state.prefix : state.read])
    longer = decode(ids[state.prefix :])
    if len(longer) <= len(known) or longer.endswith("�"):
        return state
    return TextState(state.text + longer[len(known) :], state.read, len(ids))


def find_stop(text: str, known: int, stops: Sequence[str]) -> int | None:
    """Where the first stop string begins, or None.

    :param known: Length of the part of ``text`` that was searched before.
    """
    places = [text.find(stop, max(0, known - len(stop) + 1)) for stop in stops]
    return min((place for place in places if place >= 0), default=None)


def safe_length(text: str, stops: Sequence[str]) -> int:
    """How much of ``text`` can be shown: its end may be the beginning of a stop string."""
    longest = max((len(stop) for stop in stops), default=0)
    for start in range(max(0, len(text) - longest + 1), len(text)):
        if any(stop.startswith(text[start:]) for stop in stops):
            return start
    return len(text)
