"""XGrammar's matchers behind states that do not change."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import ClassVar

import numpy as np
import torch
from decodeplug.constraints.states import State, adopt, child_of
from decodeplug.plugin import BadOption, Unsatisfiable
from torch import Tensor
from xgrammar import GrammarMatcher

from decodeplug_xgrammar.matchers import Cursor, Cursors

__all__ = ["MatcherConstraint"]

_RECENT = 256  # states kept alive so that walking a kept draft again finds them
_MASKS = 8  # unpacked masks kept, each one byte per id


class MatcherConstraint:
    """A grammar compiled by XGrammar, for one request. Implements ``contracts.Constraint``.

    Masks allow every spelling of an allowed text. Calls from several threads wait for each other; none of them
    changes a state.

    :param kind: The constraint's name in errors. :param origin: What makes states of equal constraints equal.
    :param fresh: Makes a matcher before the first token, with ``size`` as its only stop token.
    :param size: Ids below which masks speak. :param never: Ids that are never allowed. :param never_index: Those below
        ``size``, as an int64 index array.
    :param encode: Ids that spell a text, none of them in ``never``; ``BadOption`` if there are none.
    """

    is_exact: ClassVar[bool] = True
    """What it says is forced is certain, and its masks lack no token that ``advance`` takes."""

    def __init__(
        self,
        kind: str,
        *,
        origin: Hashable,
        fresh: Callable[[], GrammarMatcher],
        size: int,
        never: frozenset[int],
        never_index: np.ndarray,
        encode: Callable[[str], list[int]],
    ) -> None:
        self.kind, self.size = kind, size
        self._never, self._never_index, self._encode = never, never_index, encode
        self._bits = torch.empty((1, (size + 32) // 32), dtype=torch.int32)  # one bit more than size: the stop token
        self._lock = threading.RLock()
        first = fresh()
        self._start = State(None, -1, origin, first.is_completed(), False)
        self._cursors = Cursors(fresh, self._start)
        self._recent: deque[State] = deque(maxlen=_RECENT)
        self._masked: deque[State] = deque()

    def start(self) -> State:
        return self._start

    def is_accepting(self, state: State) -> bool:
        return state.accepting

    def advance(self, state: State, token: int) -> State | None:
        """The state after ``token``, or None if it may not follow."""
        known = child_of(state, token)
        if known is not None:
            return known
        if not 0 <= token < self.size or token in self._never:
            return None
        with self._lock:
            cursor = self._cursors.at(state)
            if not cursor.matcher.accept_token(token):
                return None
            after = State(state, token, state.origin, cursor.matcher.is_completed(), False)
            cursor.state = after
            adopt(state, after)
            self._recent.append(after)
            return after

    def allowed(self, state: State) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified; end and special ids False.

        :raises Unsatisfiable: Nothing may follow and the text may not end: the vocabulary lacks the bytes
            that the constraint wants.
        """
        mask = state.mask
        if mask is not None:
            return mask
        with self._lock:
            mask = state.mask = self._filled(state)
            self._masked.append(state)
            if len(self._masked) > _MASKS:
                self._masked.popleft().mask = None
        return mask

    def _filled(self, state: State) -> Tensor:
        self._bits.fill_(-1)  # what XGrammar leaves alone if everything may follow
        self._cursors.at(state).matcher.fill_next_token_bitmask(self._bits)
        raw = self._bits.numpy().view(np.uint8)
        allowed = np.unpackbits(raw, count=self.size, bitorder="little").view(np.bool_)
        allowed[self._never_index] = False
        if not state.accepting and not allowed.any():
            because = f"after {state.depth} tokens no id of this vocabulary may follow, and the text may not end"
            raise Unsatisfiable(self.kind, because=because)
        return torch.from_numpy(allowed)

    def forced(self, state: State) -> tuple[int, ...]:
        """Ids of the text that must follow, as the tokenizer splits it; empty if there is none."""
        forced = state.forced
        if forced is None:
            with self._lock:
                forced = state.forced = self._spelled(self._cursors.at(state))
        return forced

    def _spelled(self, cursor: Cursor) -> tuple[int, ...]:
        if cursor.matcher.is_completed():
            return ()
        try:
            return tuple(self._encode(cursor.matcher.find_jump_forward_string()))
        except (UnicodeDecodeError, BadOption):  # it ends inside a character, or begins inside one
            return ()

    def is_complete(self, state: State) -> bool:
        """True if the text must end here. Needs the mask only where the text may end."""
        complete = state.complete
        if complete is None:
            complete = state.complete = state.accepting and not bool(self.allowed(state).any())
        return complete
