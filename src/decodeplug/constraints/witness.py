"""Find an end for a text that was begun: one that the mask engine follows and the judge accepts.

The engine's masks know the grammar and a judge knows what is beyond it, so the search walks the
masks towards the end of the text, by the shortest way first and then by chance, and asks the judge there.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.schema_tree import subschemas
from decodeplug.constraints.states import State

__all__ = ["TRIES_AT_FIRST", "Search", "hints_of", "is_quoted", "missing_bytes"]

TRIES = 12  # walks while a text is written
TRIES_AT_FIRST = 400  # walks before a schema counts as one without any text
_LONGEST = 128  # moves of one walk
_SECOND = {0xE0: 0xA0, 0xF0: 0x90}  # lead bytes whose second byte may not be 0x80
_OUTSIDE = b'}]"01tfn-[{,: \n'
_INSIDE = b'"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-:.@/_ '


def hints_of(schema: Any) -> tuple[bytes, ...]:
    """Pieces of JSON that a schema speaks of: constants, enums, examples, names of properties."""
    found: dict[bytes, None] = {}
    for _, part in subschemas(schema):
        if not isinstance(part, dict):
            continue
        for keyword in ("const", "default"):
            if keyword in part:
                found[_dumps(part[keyword])] = None
        for keyword in ("enum", "examples", "required"):
            if isinstance(part.get(keyword), list):
                found.update(dict.fromkeys(map(_dumps, part[keyword])))
        for keyword in ("properties", "dependentRequired", "dependentSchemas", "dependencies"):
            if isinstance(part.get(keyword), dict):
                found.update(dict.fromkeys(map(_dumps, part[keyword])))
        for names in (
            part.get("dependentRequired", {}).values() if isinstance(part.get("dependentRequired"), dict) else ()
        ):
            found.update(dict.fromkeys(map(_dumps, names)))
    return tuple(found)[:200]


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")


class Search:
    """Looks for ends of texts under one constraint.

    :param mask: The engine's constraint. :param judge: Is this whole text valid?
    :param token_bytes: What an id stands for. :param spell: Ids of a text, which may begin in the middle of a character.
    :param hints: Pieces of JSON worth trying where a value or a string begins.
    """

    def __init__(
        self,
        mask: MaskConstraint,
        judge: Callable[[bytes], bool],
        token_bytes: Callable[[int], bytes],
        spell: Callable[[bytes], list[int]],
        hints: Sequence[bytes] = (),
    ) -> None:
        self._mask, self._judge, self._bytes, self._spell, self._hints = mask, judge, token_bytes, spell, hints
        self._singles = {byte: ids[0] for byte in {*_OUTSIDE, *_INSIDE} if len(ids := spell(bytes([byte]))) == 1}

    def fits(self, state: State, text: bytes, tail: bytes) -> bool:
        """Is ``text + tail`` valid, where the engine is at ``state`` after ``text``?"""
        after = self.follow(state, tail)
        return after is not None and after.accepting and self._judge(text + tail)

    def follow(self, state: State, piece: bytes) -> State | None:
        """The engine's state behind a piece of text, or None if it does not allow it."""
        ids = self._spell(piece)
        after: State | None = state
        for token in ids:
            after = self._mask.advance(after, token) if after is not None else None
        return after

    def tail(self, state: State, text: bytes, tries: int = TRIES) -> bytes | None:
        """An end for ``text``, or None if none was found; the same answer for the same text.

        :param tries: How many walks are made before the text counts as one without an end.
        """
        chance = random.Random(zlib.crc32(text))
        for attempt in range(tries):
            tail = self._walk(state, text, chance if attempt else None)
            if tail is not None:
                return tail
        return None

    def _walk(self, state: State, text: bytes, chance: random.Random | None) -> bytes | None:
        """Walk towards an end: by the shortest way, or by chance."""
        out, quoted = bytearray(), is_quoted(text)
        for _ in range(_LONGEST):
            if state.accepting and (chance is None or chance.random() < 0.7 or self._mask.is_complete(state)):
                if self._judge(text + out):
                    return bytes(out)
                if self._mask.is_complete(state):
                    return None
            step = self._step(state, quoted, chance)
            if step is None:
                return None
            state, piece = step
            out += piece
            quoted = is_quoted(text + out)
        return None

    def _step(self, state: State, quoted: bool, chance: random.Random | None) -> tuple[State, bytes] | None:
        forced = self._mask.forced(state)
        for moves in ([forced] if forced else [], self._moves(state, quoted, chance)):
            for ids in moves:
                after: State | None = state
                for token in ids:
                    after = self._mask.advance(after, token) if after is not None else None
                if after is not None:
                    return after, b"".join(map(self._bytes, ids))
        return None

    def _moves(self, state: State, quoted: bool, chance: random.Random | None) -> Iterator[Sequence[int]]:
        """Ids to try next, the most promising first."""
        if chance is not None and self._hints and chance.random() < 0.6:
            for hint in chance.sample(self._hints, min(4, len(self._hints))):
                if not quoted:
                    yield self._spell(hint)
                elif hint.startswith(b'"'):
                    yield self._spell(hint[1:])
        allowed = self._mask.allowed(state)
        singles = [self._singles[byte] for byte in (_INSIDE if quoted else _OUTSIDE) if byte in self._singles]
        open_ = [token for token in singles if allowed[token]]
        if chance is not None and open_ and chance.random() < 0.7:
            chance.shuffle(open_)
        yield from ([token] for token in open_)
        others = allowed.nonzero().flatten().tolist()
        if chance is not None and len(others) > 8:
            others = chance.sample(others, 8)
        yield from ([token] for token in others[:8])


def missing_bytes(text: bytes) -> bytes:
    """The bytes that complete the character that a text ends in the middle of: one that any string may have."""
    for back in range(1, min(4, len(text)) + 1):
        lead = text[-back]
        if lead >= 0xC0:
            rest = bytes([_SECOND.get(lead, 0x80)]) + b"\x80\x80"
            return rest[back - 1 : (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4) - 1]
        if lead < 0x80:
            break
    return b""


def is_quoted(text: bytes | bytearray) -> bool:
    """Does a JSON text end inside a string?"""
    quoted = escaped = False
    for byte in text:
        if escaped:
            escaped = False
        elif quoted and byte == 0x5C:
            escaped = True
        elif byte == 0x22:
            quoted = not quoted
    return quoted
