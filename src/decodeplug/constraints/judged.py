"""A mask that is too wide, and a judge of whole texts that closes the gap while the text is written.

Beside each state stands a *witness*: the end of one text that begins like this and that the judge accepts. A token
after which none is found is refused. So a text can always be finished, and what is finished is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.states import State
from decodeplug.constraints.witness import Search, is_quoted, missing_bytes

__all__ = ["JudgedConstraint", "JudgedState"]

_CHILDREN = 64  # answers kept at a state
_CUTS = 6  # places of the old witness that a new one may go on from


class JudgedState:
    """The engine's state, the bytes so far, and the end of a valid text. A value: equal if the same tokens led there."""

    __slots__ = ("children", "engine", "tail", "text", "valid")

    def __init__(self, engine: State, text: bytes, tail: bytes) -> None:
        self.engine, self.text, self.tail = engine, text, tail
        self.children: dict[int, JudgedState | None] = {}
        self.valid: bool | None = None

    def __hash__(self) -> int:
        return hash(self.engine)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JudgedState) and self.engine == other.engine


class JudgedConstraint:
    """Implements ``contracts.Constraint``; its masks may allow a token that ``advance`` refuses.

    Whether a token is refused is a function of the tokens before it, so a draft changes nothing.

    :param mask: The engine's constraint: it allows every valid text, and more.
    :param judge: Is this whole text valid? :param search: Finds ends of texts.
    :param token_bytes: What an id stands for. :param witness: A valid text.
    """

    refuses_late = True

    def __init__(
        self,
        mask: MaskConstraint,
        judge: Callable[[bytes], bool],
        search: Search,
        token_bytes: Callable[[int], bytes],
        witness: bytes,
    ) -> None:
        self.kind, self.size = mask.kind, mask.size
        self._mask, self._judge, self._search, self._bytes = mask, judge, search, token_bytes
        self._start = JudgedState(mask.start(), b"", witness)

    def start(self) -> JudgedState:
        return self._start

    def towards(self, text: bytes) -> JudgedState:
        """A start for a text that is known: it needs no other witness than itself."""
        return JudgedState(self._mask.start(), b"", text)

    def allowed(self, state: JudgedState) -> Tensor:
        """Which ids the engine allows; ``advance`` may refuse some of them."""
        return self._mask.allowed(state.engine)

    def advance(self, state: JudgedState, token: int) -> JudgedState | None:
        if token in state.children:
            return state.children[token]
        after = self._advanced(state, token)
        if len(state.children) >= _CHILDREN:
            state.children.clear()
        state.children[token] = after
        return after

    def _advanced(self, state: JudgedState, token: int) -> JudgedState | None:
        engine = self._mask.advance(state.engine, token)
        if engine is None:
            return None
        piece = self._bytes(token)
        if state.tail.startswith(piece):
            return JudgedState(engine, state.text + piece, state.tail[len(piece) :])
        text = state.text + piece
        rest = missing_bytes(text)
        for tail in (*_patched(state.tail, piece), *self._grafted(text)):
            if self._search.fits(engine, text, rest + tail):
                return JudgedState(engine, text, rest + tail)
        tail = self._search.tail(engine, text)
        return None if tail is None else JudgedState(engine, text, tail)

    def _grafted(self, text: bytes) -> Iterator[bytes]:
        """Ends with a part of the witness of the empty text: where it may have been left, it may be joined again."""
        first = self._start.tail
        close = b'"' if is_quoted(text) else b""
        starts = [
            index + 1 for index, byte in enumerate(first) if byte in b"[{" or first[index - 1 : index + 1] == b", "
        ]
        for start in starts[:_CUTS]:
            for between in (b"", b", ", b","):
                yield close + between + first[start:]

    def forced(self, state: JudgedState) -> tuple[int, ...]:
        return self._mask.forced(state.engine)

    def is_accepting(self, state: JudgedState) -> bool:
        if state.valid is None:
            state.valid = state.engine.accepting and self._judge(state.text)
        return state.valid

    def is_complete(self, state: JudgedState) -> bool:
        return self.is_accepting(state) and self._mask.is_complete(state.engine)


def _patched(tail: bytes, piece: bytes) -> Iterator[bytes]:
    """Ends that go on where the old one does: after what was put before it, or instead of a part of it."""
    tried = set()
    for overlap in range(min(len(piece), len(tail)), -1, -1):
        if piece.endswith(tail[:overlap]):
            tried.add(overlap)
            yield tail[overlap:]
    cuts = (index for index, byte in enumerate(tail) if byte in b'",]}')
    for cut, _ in zip(cuts, range(_CUTS), strict=False):
        if cut not in tried:
            yield tail[cut:]
