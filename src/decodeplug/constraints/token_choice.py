"""A constraint to one of several sequences of ids."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption

__all__ = ["TokenChoice", "TokenChoices"]

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """Exactly one of these sequences of ids, whatever they spell. Made by :func:`decodeplug.choice`.

    :raises BadOption: A sequence is empty, or has something else in it than ids.
    """

    options: tuple[Ids, ...]
    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        for option in self.options:
            if not option or not all(type(token) is int and token >= 0 for token in option):
                raise BadOption("choice", options=option, wanted="strings, or sequences of at least one id")

    def key(self) -> Hashable:
        return self.options

    def compile(self, vocabulary: Vocabulary) -> TokenChoices:
        """Compile for a vocabulary.

        :raises BadOption: An id is not in the vocabulary, or one that ends a text.
        """
        for option in self.options:
            if wrong := [token for token in option if token >= vocabulary.size or token in vocabulary.end_ids]:
                raise BadOption("choice", options=wrong, wanted=f"ids below {vocabulary.size} that end no text")
        return TokenChoices(self.options, vocabulary)

    def value(self, text: str) -> str:
        """The text. Which ids were chosen, ``r.token_ids`` has."""
        return text


class TokenChoices:
    """The options as a tree of ids. Implements ``contracts.Constraint``; a state is what was chosen so far."""

    kind = name = "choice"

    def __init__(self, options: tuple[Ids, ...], vocabulary: Vocabulary) -> None:
        self._options, self._size = frozenset(options), vocabulary.size
        self._following: dict[Ids, list[int]] = {}
        for option in options:
            for length, token in enumerate(option):
                following = self._following.setdefault(option[:length], [])
                if token not in following:
                    following.append(token)

    def start(self) -> Ids:
        return ()

    def allowed(self, state: Ids) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU."""
        mask = torch.zeros(self._size, dtype=torch.bool)
        mask[self._following.get(state, [])] = True
        return mask

    def advance(self, state: Ids, token: int) -> Ids | None:
        return (*state, token) if token in self._following.get(state, ()) else None

    def forced(self, state: Ids) -> Ids:
        """The ids that must follow, as far as there is no choice."""
        written = state
        while written not in self._options and len(following := self._following[written]) == 1:
            written = (*written, following[0])
        return written[len(state) :]

    def ending(self, state: Ids) -> Ids:
        """The fewest ids that complete an option."""
        return min((option[len(state) :] for option in self._options if option[: len(state)] == state), key=len)

    def is_accepting(self, state: Ids) -> bool:
        return state in self._options

    def is_complete(self, state: Ids) -> bool:
        return state in self._options and state not in self._following
