"""What was found out about an automaton over bytes: a table from state and byte to state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["DEAD", "Transitions"]

DEAD = 0
_UNKNOWN = -1
_MANY = 1 << 14  # states, at 1 kB each, beyond which all is forgotten


class Transitions:
    """States by number, and which follows which. Each pair of state and byte is asked for once.

    :param step: The automaton's: state and byte to the next state, or None.
    """

    def __init__(self, step: Callable[[Any, int], Any | None]) -> None:
        self._step = step
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._states: list[Any] = [None]
        self._table = np.full((64, 256), _UNKNOWN, np.int32)  # [states, bytes]
        self._table[DEAD] = DEAD

    def forget_if_many(self) -> None:
        """Begin anew where an automaton has more states than are worth keeping. Numbers change meaning."""
        if len(self._states) > _MANY:
            self._forget()

    def number(self, state: Any) -> int:
        """The number of a state, above DEAD."""
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            if number >= len(self._table):
                self._table = np.concatenate([self._table, np.full_like(self._table, _UNKNOWN)])
        return number

    def after(self, numbers: np.ndarray, bytes_: np.ndarray) -> np.ndarray:
        """The numbers of the states after a byte each.

        :param numbers: ``[n]`` int32. :param bytes_: ``[n]`` int32.
        :returns: ``[n]`` int32.
        """
        pairs = (numbers << 8) + bytes_
        following = self._table.reshape(-1)[pairs]
        missing = pairs[following < 0]
        if len(missing) == 0:
            return following
        for pair in np.unique(missing).tolist():
            self._ask(pair >> 8, pair & 255)
        return self._table.reshape(-1)[pairs]

    def _ask(self, number: int, byte: int) -> int:
        following = self._step(self._states[number], byte)
        after = DEAD if following is None else self.number(following)
        self._table[number, byte] = after
        return after

    def only_byte(self, state: Any) -> tuple[int, Any] | None:
        """The one byte that may follow and the state behind it; None if there are several or none."""
        number, only = self.number(state), None
        for byte in range(256):
            after = int(self._table[number, byte])
            if after == _UNKNOWN:
                after = self._ask(number, byte)
            if after != DEAD:
                if only is not None:
                    return None
                only = (byte, self._states[after])
        return only
