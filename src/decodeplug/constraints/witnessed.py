"""A constraint beside whose text the end of one is known, so that it can be finished: validly, and within the budget.

Beside each state stands a *witness*: the end of one text that begins like this, which the constraint allows, a judge
accepts, and the tokens that are left suffice for. A token after which none is found is refused. So a text can always
be finished, and what is finished is valid.
"""

from __future__ import annotations

import json
import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.constraints.completion import completions
from decodeplug.constraints.json_place import missing_bytes
from decodeplug.constraints.witness import FEW, MANY, TRIES, Search
from decodeplug.contracts import Constraint
from decodeplug.errors import BudgetTooSmall

__all__ = ["Witnessed", "WitnessedState"]

_CHILDREN = 64  # answers kept at a state
_RECENT = 64  # states that are kept though nobody else holds them: each has the whole text so far
_CUTS = 6  # places of the old witness that a new one may go on from
_COMPLETING = bytes(range(0x80, 0xC0))  # all bytes of a character but its first
_AGAIN = 8  # where no witness is known, one is looked for after so many tokens


class WitnessedState:
    """The inner state, the bytes so far, how a text may end, and in how many tokens it must. A value.

    :ivar tail: The bytes of that end; None if it is not known. :ivar left: Tokens that may still follow;
        ``inf`` without a budget.
    """

    __slots__ = ("__weakref__", "children", "ending", "inner", "left", "tail", "text", "valid")

    def __init__(
        self, inner: Any, text: bytes, tail: bytes | None, left: float, ending: tuple[int, ...] | None
    ) -> None:
        self.inner, self.text, self.tail, self.left = inner, text, tail, left
        self.ending = ending  # the ids of the tail, once somebody asked
        self.children: dict[int, weakref.ref[WitnessedState] | None] = {}  # None: refused
        self.valid: bool | None = None

    def _key(self) -> tuple[Any, bytes | None, float]:
        return self.inner, self.tail, self.left

    def __hash__(self) -> int:
        return hash((self.inner, self.left))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WitnessedState) and self._key() == other._key()


class Witnessed:
    """Implements ``contracts.Constraint``; its masks may allow a token that ``advance`` refuses.

    Whether a token is refused is a function of the tokens before it, so a draft changes nothing.

    Where a judge has to be asked, a token without a known witness is always refused. Where it is only for the budget,
    one is let through while there is room, and the text can then be cut by the budget.

    :param inner: The constraint: it allows every valid text, and perhaps more.
    :param search: Finds ends of texts, and asks the judge. :param witness: The ids of a valid text.
    :param token_bytes: What an id stands for. :param budget: Tokens of a text at most; None for no limit.
    :param text: The bytes of the witness, where somebody knows them.
    :raises BudgetTooSmall: The witness has more tokens.
    """

    refuses_late = True

    def __init__(
        self,
        inner: Constraint,
        search: Search,
        witness: tuple[int, ...],
        token_bytes: Callable[[int], bytes],
        budget: int | None = None,
        text: bytes | None = None,
    ) -> None:
        if budget is not None and len(witness) > budget:
            raise BudgetTooSmall(budget, len(witness))
        self.guarded = inner
        self.spoken_ids = getattr(inner, "spoken_ids", frozenset[int]())
        self.name = getattr(inner, "name", type(inner).__name__)
        self.kind = getattr(inner, "kind", self.name)
        self._inner, self._search, self.witness, self._bytes = inner, search, witness, token_bytes
        self._longest = 4 * len(witness) + 256  # moves of a walk to another end
        self._tight = 2 * len(witness) + 32  # tokens left below which every token needs a witness
        self._first = b"".join(map(token_bytes, witness)) if text is None else text
        left = math.inf if budget is None else budget
        # Where a mask is too wide, a token without a witness may lead to where none stands.
        self._is_strict = search.is_judged or getattr(inner, "needs_witness", False)
        self._start = WitnessedState(inner.start(), b"", self._first, left, witness)
        self._recent: deque[WitnessedState | None] = deque(maxlen=_RECENT)

    def within(self, budget: int) -> Witnessed:
        """The same, with a budget.

        :raises BudgetTooSmall: The witness has more tokens.
        """
        return Witnessed(self._inner, self._search, self.witness, self._bytes, budget, self._first)

    def start(self) -> WitnessedState:
        return self._start

    def towards(self, text: bytes) -> WitnessedState:
        """A start for a text that is known: it needs no other witness than itself."""
        return WitnessedState(self._inner.start(), b"", text, math.inf, None)

    def allowed(self, state: WitnessedState) -> Tensor:
        """Which ids may follow; ``advance`` may refuse some of them. Where no token is to spare, the witness's alone."""
        mask = self._inner.allowed(state.inner)
        if not self._is_tight(state):
            return mask
        only = torch.zeros_like(mask)
        only[list(self.surely(state))] = True
        return only

    def forced(self, state: WitnessedState) -> tuple[int, ...]:
        return self._ending(state) if self._is_tight(state) else tuple(self._inner.forced(state.inner))

    def surely(self, state: WitnessedState) -> tuple[int, ...]:
        """The id that the witness goes on with; empty where it ends here, or is not known."""
        return self._ending(state)[:1]

    def is_accepting(self, state: WitnessedState) -> bool:
        if state.valid is None:
            state.valid = self._inner.is_accepting(state.inner) and self._search.judge(state.text)
        return state.valid

    def is_complete(self, state: WitnessedState) -> bool:
        return self.is_accepting(state) and self._inner.is_complete(state.inner)

    def advance(self, state: WitnessedState, token: int) -> WitnessedState | None:
        if token in state.children:
            known = state.children[token]
            after = None if known is None else known()
            if known is None or after is not None:
                return after
        after = self._advanced(state, token)
        if len(state.children) >= _CHILDREN:
            state.children.clear()
        state.children[token] = None if after is None else weakref.ref(after)
        self._recent.append(after)
        return after

    def _advanced(self, state: WitnessedState, token: int) -> WitnessedState | None:
        inner = self._inner.advance(state.inner, token)
        if inner is None:
            return None
        piece, left = self._bytes(token), state.left - 1
        text = state.text + piece
        for tail in self._guesses(state, piece, text):
            keeps = state.tail == piece + tail
            rest = state.ending[1:] if keeps and state.ending and state.ending[0] == token else None
            after = WitnessedState(inner, text, tail, left, rest)
            if self._has_room(after) and (keeps or self._search.fits(inner, text, tail)):
                return after
        is_wanted = state.tail is not None or left % _AGAIN == 0
        patience = MANY if left <= 2 * self._tight else FEW
        ending = self._search.ending(inner, text, TRIES, left, self._longest, patience) if is_wanted else None
        if ending is not None and len(ending) <= left:
            return WitnessedState(inner, text, b"".join(map(self._bytes, ending)), left, ending)
        is_free = not self._is_strict and (state.tail is None or (ending is None and left > self._tight))
        return WitnessedState(inner, text, None, left, None) if is_free else None

    def _guesses(self, state: WitnessedState, piece: bytes, text: bytes) -> Iterator[bytes]:
        """Ends that cost less than to search for one; first of all the old one, where the text keeps to it."""
        tail = self._first if state.tail is None else state.tail
        if tail.startswith(piece):
            yield tail[len(piece) :]
        rest = missing_bytes(text)
        # What completed a character that was begun does not go on from another one.
        for guess in _patched(tail.lstrip(_COMPLETING), piece):
            yield rest + guess
        if self._search.is_judged and state.tail is not None:
            for guess in _completed(text, state.text + state.tail, self._search.hints):
                yield rest + guess

    def _ending(self, state: WitnessedState) -> tuple[int, ...]:
        if state.ending is None:
            state.ending = () if state.tail is None else tuple(self._search.spell(state.tail))
        return state.ending

    def _has_room(self, state: WitnessedState) -> bool:
        assert state.tail is not None
        return len(state.tail) <= state.left or len(self._ending(state)) <= state.left

    def _is_tight(self, state: WitnessedState) -> bool:
        """Is there no token to spare beside the witness's? No id stands for less than a byte, so often this is plain."""
        if state.tail is None or len(state.tail) < state.left:
            return False
        return len(self._ending(state)) >= state.left


def _completed(text: bytes, whole: bytes, hints: Sequence[bytes]) -> Iterator[bytes]:
    """Ends with what another text has, if it is JSON."""
    try:
        pattern = json.loads(whole)
    except (ValueError, RecursionError):
        return
    yield from completions(text, pattern, hints)


def _patched(tail: bytes, piece: bytes) -> Iterator[bytes]:
    """Ends that go on where the old one does: after what was put before it, or instead of a part of it."""
    tried = set()
    for overlap in range(min(len(piece), len(tail)), -1, -1):
        if piece.endswith(tail[:overlap]):
            tried.add(overlap)
            yield tail[overlap:]
    if 0 < len(piece) < len(tail):
        tried.add(len(piece))
        yield tail[len(piece) :]  # instead of as much of it
    likely = [index for index, byte in enumerate(tail) if byte in b'",]}'][:_CUTS]
    others = [index for index, byte in enumerate(tail) if not chr(byte).isalnum() and index not in likely][:_CUTS]
    behind = [index + 1 for index in likely if tail[index] == 0x22]  # a piece may have begun a string as well
    for cut in (*likely, *behind, *others):
        if cut not in tried:
            tried.add(cut)
            yield tail[cut:]
