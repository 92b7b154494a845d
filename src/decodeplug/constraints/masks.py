"""A mutable matcher behind states that do not change.

A state is a node of the tree of all texts walked so far. To answer a question about it, a matcher is moved
there; what was found out is kept in the state.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from decodeplug.constraints.cursors import Cursors, EngineGaveUpError
from decodeplug.constraints.matcher import Matcher, Source
from decodeplug.constraints.states import State, adopt, child_of
from decodeplug.errors import Unsatisfiable, UnsupportedGrammar

__all__ = ["MaskConstraint"]

T = TypeVar("T")

_ENDED = ("NoExtension", "NoExtensionBias")  # the engine found out while filling a mask that nothing may follow
_RECENT = 256  # states kept alive so that walking a kept draft again finds them
_MASKS = 8  # unpacked masks kept, each one byte per id


class MaskConstraint:
    """A grammar compiled by a mask engine, for one request. Implements ``contracts.Constraint``.

    Where the text is forced, ``allowed`` leaves only the tokenizer's own way to split it (and ``forced``
    proposes the same), so forced drafts are always kept. ``advance`` takes any spelling of an
    allowed text, so that ``accepts`` does not depend on how a text is split. With ``any_spelling``
    ``allowed`` leaves every way to split it.

    Calls from several threads wait for each other; none of them changes a state.

    :param kind: The constraint's name in errors.
    :param origin: What makes states of equal constraints equal.
    :param source: Gives matchers before the first token, of llguidance or of another engine.
    :param size: Ids below which masks speak. :param engine_size: Ids of the engine's tokenizer. :param never: Ids that are never allowed:
        end ids and special ones. :param never_index: The same, as an int64 index array.
    :param end: The id that ends a text for the engine. :param spell: Ids that spell a text, none of them special.
    :param any_spelling: The engine does not force the tokenizer's own spelling, or the grammar was told not to.
    """

    is_exact: ClassVar[bool] = True
    """What it says is forced is certain; compiled for any spelling, its masks lack no token that ``advance`` takes."""

    def __init__(
        self,
        kind: str,
        *,
        origin: Hashable,
        source: Source,
        size: int,
        engine_size: int,
        never: frozenset[int],
        never_index: np.ndarray,
        end: int,
        spell: Callable[[str], list[int]],
        any_spelling: bool = False,
    ) -> None:
        self.kind, self.size = kind, size
        self._never, self._never_index, self._end, self._spell = never, never_index, end, spell
        self._any_spelling = any_spelling
        self._bits = np.zeros(-(-engine_size // 32), np.uint32)  # where the engine writes; one mask at a time
        self._lock = threading.RLock()
        matcher, build = source.copy()
        self._start = State(None, -1, origin, matcher.is_accepting(), matcher.is_stopped())
        self._cursors = Cursors(source, self._start, matcher, build)
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
            cursor = self._cursors.latest
            if cursor.state is not state or not cursor.matcher.try_consume_tokens([token]):
                is_refused = cursor.state is state and not cursor.matcher.is_error() and not self._cursors.are_stale
                if is_refused or not self._move_and_consume(state, token):
                    return None
                cursor = self._cursors.latest
            matcher = cursor.matcher
            after = State(state, token, state.origin, matcher.is_accepting(), matcher.is_stopped())
            cursor.state = after
            adopt(state, after)
            self._recent.append(after)
            return after

    def ends_after(self, state: State, ids: Sequence[int]) -> bool:
        """May the text go on with these ids, and end there? No state is made for what lies between.

        :raises UnsupportedGrammar: The engine gave up (a limit of its lexer or parser).
        """
        if not ids:
            return state.accepting
        if state.stopped or not self._are_text(ids):
            return False
        whole = [*ids, self._end]  # to look ahead costs a twentieth of moving to the end and back
        with self._lock:
            return self._ask(state, lambda matcher: matcher.validate_tokens(whole)) == len(whole)

    def _move_and_consume(self, state: State, token: int) -> int | None:
        return self._ask(state, lambda matcher: matcher.try_consume_tokens([token]))

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
        is_filled = not state.stopped and self._ask(state, self._fill_bits) is not None
        raw = self._bits.view(np.uint8) if is_filled else np.zeros(1, np.uint8)
        allowed = np.unpackbits(raw, count=self.size, bitorder="little").view(np.bool_)
        allowed[self._never_index] = False
        if not state.accepting and not allowed.any():
            spelled = self._ask(state, self._spelled) if is_filled else None
            if not spelled:
                because = f"after {state.depth} tokens no id of this vocabulary may follow, and the text may not end"
                raise Unsatisfiable(self.kind, because=because)
            allowed[spelled[0]] = True
        return torch.from_numpy(allowed)

    def _fill_bits(self, matcher: Matcher) -> bool:
        """Into memory of ours: bytes of the engine's own would be made and thrown away for each mask."""
        matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        return True

    def forced(self, state: State) -> tuple[int, ...]:
        """Ids of the text that must follow; the model's own tokenizer may split it otherwise."""
        forced = state.forced
        if forced is None:
            with self._lock:
                tokens = [] if state.stopped else self._ask(state, self._forced)
            forced = state.forced = tuple(tokens or ())
        return forced

    def _forced(self, matcher: Matcher) -> list[int]:
        if self._any_spelling:  # the engine names no tokens then
            return self._spelled(matcher)
        tokens = matcher.compute_ff_tokens()
        return tokens if self._are_text(tokens) else self._spelled(matcher)

    def _are_text(self, tokens: Sequence[int]) -> bool:
        never, size = self._never, self.size
        return not any(token in never or token >= size for token in tokens)

    def _spelled(self, matcher: Matcher) -> list[int]:
        """Ids for the text that must follow, none of them special; empty if there are none.

        Where a constant has the name of a special token in it, the engine takes the token itself for
        the only way to write it, which a text must not have.
        """
        raw = matcher.compute_ff_bytes()
        text = raw.decode("utf-8", "ignore")
        tokens = self._spell(text) if text and raw.startswith(text.encode()) else []
        return tokens if self._are_text(tokens) and matcher.validate_tokens(tokens) == len(tokens) else []

    def is_complete(self, state: State) -> bool:
        """True if the text must end here. Needs the mask only where the text may end, but the engine goes on."""
        complete = state.complete
        if complete is None:
            complete = state.accepting and (state.stopped or not bool(self.allowed(state).any()))
            state.complete = complete
        return complete

    def _ask(self, state: State, question: Callable[[Matcher], T]) -> T | None:
        """The answer of a matcher at ``state``; None if the engine finds out that nothing may follow.

        If the engine gives up, it is asked once more with a lexer of its own: copies share one, and what
        other texts left in it may be the reason.
        """
        if self._cursors.are_stale:
            self._cursors.renew()
        try:
            return self._answer(state, question)
        except EngineGaveUpError:
            self._cursors.renew()
        try:
            return self._answer(state, question)
        except EngineGaveUpError as error:
            self._cursors.renew()
            because = f"the mask engine gave up after {state.depth} tokens: {error}"
            raise UnsupportedGrammar(self.kind, because=because) from None

    def _answer(self, state: State, question: Callable[[Matcher], T]) -> T | None:
        cursor = self._cursors.at(state)
        answer = question(cursor.matcher)
        if not cursor.matcher.is_error():
            return answer
        reason = cursor.reason()
        if reason not in _ENDED:
            raise EngineGaveUpError(reason)
        self._cursors.drop(cursor)
        return None
