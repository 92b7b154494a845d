"""A matcher that changes, behind states that do not.

A state is a node of the tree of all texts walked so far: its parent and one token. Behind the
nodes stand a few *cursors*, each an engine matcher that is at some node. To answer a question
about a node, the nearest cursor is moved there: rolled back to the common ancestor, then
fed the tokens between. Along a text, a draft or its rejection that is one or a few cheap steps
(about 1 us each); lanes that are far apart get cursors of their own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable

import numpy as np
import torch
from llguidance import LLMatcher
from torch import Tensor

from decodeplug.constraints.states import State, adopt, child_of, distance, tokens_to
from decodeplug.errors import DecodeplugError, Unsatisfiable, UnsupportedGrammar

__all__ = ["MaskConstraint"]

_ENDED = ("NoExtension", "NoExtensionBias")  # the engine found out while filling a mask that nothing may follow
_CURSORS = 16  # lanes far apart that can be served without walking back and forth
_NEAR = 8  # tokens to feed beyond which a copy of a matcher (some us) is worth its memory
_RECENT = 256  # states kept alive so that walking a kept draft again finds them
_MASKS = 8  # unpacked masks kept, each one byte per id


class _Cursor:
    """An engine matcher, and the state it is at."""

    __slots__ = ("matcher", "state")

    def __init__(self, matcher: LLMatcher, state: State) -> None:
        self.matcher, self.state = matcher, state


class MaskConstraint:
    """A grammar compiled by the mask engine, for one request. Implements ``contracts.Constraint``.

    Calls from several threads wait for each other; none of them changes a state.

    :param kind: The constraint's name in errors.
    :param origin: What makes states of equal constraints equal.
    :param root: Gives a fresh copy of the matcher before the first token.
    :param size: Ids below which masks speak. :param never: Ids that are never allowed:
        end ids and special ones. :param never_index: The same, as an int64 index array.
    """

    def __init__(
        self,
        kind: str,
        *,
        origin: Hashable,
        root: Callable[[], LLMatcher],
        size: int,
        never: frozenset[int],
        never_index: np.ndarray,
    ) -> None:
        self.kind, self.size = kind, size
        self._root, self._never, self._never_index = root, never, never_index
        self._lock = threading.RLock()
        matcher = root()
        self._start = State(None, -1, origin, matcher.is_accepting(), matcher.is_stopped())
        self._cursors = [_Cursor(matcher, self._start)]  # the one used last stands last
        self._recent: deque[State] = deque(maxlen=_RECENT)
        self._masked: deque[State] = deque()

    def start(self) -> State:
        return self._start

    def is_accepting(self, state: State) -> bool:
        return state.accepting

    def advance(self, state: State, token: int) -> State | None:
        """The state after ``token``, or None; about 2 us along a text.

        :raises UnsupportedGrammar: The engine gave up (a limit of its lexer or parser).
        """
        known = child_of(state, token)
        if known is not None:
            return known
        if state.stopped or not 0 <= token < self.size or token in self._never:
            return None
        with self._lock:
            cursor = self._cursors[-1]
            if cursor.state is not state:
                cursor = self._move_to(state)
            matcher = cursor.matcher
            if not matcher.try_consume_tokens([token]):
                if matcher.is_error():
                    raise self._given_up(cursor, state)
                return None
            after = State(state, token, state.origin, matcher.is_accepting(), matcher.is_stopped())
            cursor.state = after
            adopt(state, after)
            self._recent.append(after)
            return after

    def allowed(self, state: State) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified; end and special ids False.

        :raises UnsupportedGrammar: The engine gave up (a limit of its lexer or parser).
        :raises Unsatisfiable: Nothing may follow and the text may not end: the vocabulary
            lacks the bytes that the constraint wants.
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
        if state.stopped:
            return torch.zeros(self.size, dtype=torch.bool)
        cursor = self._move_to(state)
        bits = np.frombuffer(cursor.matcher.compute_bitmask(), np.uint8)
        if cursor.matcher.is_error():
            if _reason(cursor) not in _ENDED:
                raise self._given_up(cursor, state)
            self._drop(cursor)
            bits = np.zeros_like(bits)
        allowed = np.unpackbits(bits, count=self.size, bitorder="little").view(np.bool_)
        allowed[self._never_index] = False
        if not state.accepting and not allowed.any():
            because = f"after {state.depth} tokens no id of this vocabulary may follow, and the text may not end"
            raise Unsatisfiable(self.kind, because=because)
        return torch.from_numpy(allowed)

    def forced(self, state: State) -> tuple[int, ...]:
        """Ids of the text that must follow; the model's own tokenizer may split it otherwise."""
        forced = state.forced
        if forced is None:
            with self._lock:
                tokens = [] if state.stopped else self._move_to(state).matcher.compute_ff_tokens()
            never, size = self._never, self.size
            cut = next((i for i, token in enumerate(tokens) if token in never or token >= size), len(tokens))
            forced = state.forced = tuple(tokens[:cut])
        return forced

    def is_complete(self, state: State) -> bool:
        """True if the text must end here. Needs the mask only where the text may end, but the engine goes on."""
        complete = state.complete
        if complete is None:
            complete = state.accepting and (state.stopped or not bool(self.allowed(state).any()))
            state.complete = complete
        return complete

    def _move_to(self, state: State) -> _Cursor:
        """A cursor at ``state``, which is the one used last from now on."""
        cursors = self._cursors
        cursor = cursors[-1]
        if cursor.state is state:
            return cursor
        best, back, ahead = self._nearest(state)
        if best is None:
            cursor = _Cursor(self._root(), self._start)
            back, ahead = 0, tokens_to(state, state.depth)
        elif len(ahead) > _NEAR:
            cursor = _Cursor(best.matcher.deep_copy(), best.state)
        else:
            cursor = best
            cursors.remove(cursor)
        del cursors[: max(0, len(cursors) + 1 - _CURSORS)]
        cursors.append(cursor)
        matcher = cursor.matcher
        if back and not matcher.rollback(back):
            raise self._given_up(cursor, state)
        if ahead and matcher.try_consume_tokens(ahead) != len(ahead):
            raise self._given_up(cursor, state)
        cursor.state = state
        return cursor

    def _nearest(self, state: State) -> tuple[_Cursor | None, int, list[int]]:
        """The cursor with the fewest tokens to take back and feed; how many to take back; which to feed."""
        best, best_back, best_ahead = None, 0, 0
        for cursor in reversed(self._cursors):
            limit = best_back + best_ahead if best is not None else None
            steps = distance(cursor.state, state, limit)
            if steps is not None and (limit is None or sum(steps) < limit):
                best, (best_back, best_ahead) = cursor, steps
                if best_back + best_ahead <= 1:
                    break
        return best, best_back, tokens_to(state, best_ahead)

    def _given_up(self, cursor: _Cursor, state: State) -> DecodeplugError:
        """The error for a matcher that broke; the cursor is dropped, the others are whole."""
        message = _reason(cursor) or "it did not say why"
        self._drop(cursor)
        return UnsupportedGrammar(self.kind, because=f"the mask engine gave up after {state.depth} tokens: {message}")

    def _drop(self, cursor: _Cursor) -> None:
        self._cursors.remove(cursor)
        if not self._cursors:
            self._cursors.append(_Cursor(self._root(), self._start))


def _reason(cursor: _Cursor) -> str:
    """The first line of what the engine said; dumps follow it."""
    return cursor.matcher.get_error().strip().partition("\n")[0]
