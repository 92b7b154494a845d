"""Find an end for a text that was begun: one that the constraint allows and the judge accepts.

The masks know the grammar and a judge knows what is beyond it, so the search walks the
masks towards the end of the text, by the shortest way first and then by chance, and asks the judge there.
"""

from __future__ import annotations

import json
import math
import random
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from decodeplug.constraints.schema_tree import subschemas
from decodeplug.contracts import Constraint

__all__ = ["Search", "hints_of", "is_quoted", "missing_bytes"]

TRIES = 12  # walks while a text is written
TRIES_AT_FIRST = 400  # walks before a schema counts as one without any text
_LONGEST = 256  # moves of one walk
_EXPANDED = 256  # texts that are gone on from in looking for the shortest one,
_TRIED = 4096  # and ids that are tried there in all
_CLASSES = 96  # and kinds of places in looking for any
_PATIENCE = 6000  # single bytes that are tried before a constraint counts as one without any text
_ALIKE = 2  # places where the same ids may follow that are gone on from
_KINDS = 12  # single bytes that are tried at one of those
_SIGNS = 40  # of more, those that are no letters, the printable ones first
_SECOND = {0xE0: 0xA0, 0xF0: 0x90}  # lead bytes whose second byte may not be 0x80
_OUTSIDE = b'}])",.;>01tfn-[{: \n'  # what ends something first
_SAMPLE = b"01aA"
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

    :param inner: The constraint. :param token_bytes: What an id stands for.
    :param spell: Ids of a text, which may begin in the middle of a character.
    :param judge: Is this whole text valid? None: the constraint alone knows.
    :param hints: Pieces of JSON worth trying where a value or a string begins.
    """

    def __init__(
        self,
        inner: Constraint,
        token_bytes: Callable[[int], bytes],
        spell: Callable[[bytes], list[int]],
        judge: Callable[[bytes], bool] | None = None,
        hints: Sequence[bytes] = (),
    ) -> None:
        self._inner, self._bytes, self.spell, self._judge, self._hints = inner, token_bytes, spell, judge, hints
        self._singles = {byte: ids[0] for byte in range(256) if len(ids := spell(bytes([byte]))) == 1}

    @property
    def is_judged(self) -> bool:
        return self._judge is not None

    def judge(self, text: bytes) -> bool:
        """Is this whole text valid, as far as the constraint does not know itself?"""
        return self._judge is None or self._judge(text)

    def fits(self, state: Any, text: bytes, tail: bytes) -> bool:
        """Is ``text + tail`` valid, where the constraint is at ``state`` after ``text``?"""
        after = self._follow(state, self.spell(tail))
        return after is not None and self._inner.is_accepting(after) and self.judge(text + tail)

    def _follow(self, state: Any, ids: Sequence[int]) -> Any | None:
        after = state
        for token in ids:
            after = self._inner.advance(after, token)
            if after is None:
                return None
        return after

    def first(self, state: Any) -> tuple[int, ...] | None:
        """Ids of a text, or None if none was found: the fewest ids, where few texts can be written."""
        found = self._shortest(state)
        if found is None:
            found = self.ending(state, b"", TRIES_AT_FIRST)
        if found is None and not self.is_judged:
            found = self._explored(state, _PATIENCE)
        return None if found is None else self._shorter(state, b"", found)

    def ending(self, state: Any, text: bytes, tries: int = TRIES, most: float = math.inf) -> tuple[int, ...] | None:
        """Ids of an end for ``text``, or None if none was found; the same answer for the same text.

        :param tries: How many walks are made before the text counts as one without an end.
        :param most: How many ids it should have: the first end that has no more, else the shortest that was found.
        """
        shortest: tuple[int, ...] | None = None
        for ids in self._endings(state, text, tries):
            if len(ids) <= most:
                return ids
            shortest = ids if shortest is None or len(ids) < len(shortest) else shortest
        return shortest

    def _endings(self, state: Any, text: bytes, tries: int) -> Iterator[tuple[int, ...]]:
        known = getattr(self._inner, "ending", None)
        ids = None if known is None else known(state)
        if ids is not None:
            yield tuple(ids)
        chance = random.Random(zlib.crc32(text))
        for attempt in range(tries if self.is_judged else 1):
            ids = self._walk(state, text, chance if attempt else None)
            if ids is not None:
                yield self._shorter(state, text, ids)
        ids = None if self.is_judged else self._explored(state)
        if ids is not None:
            yield self._shorter(state, text, ids)

    def _shorter(self, state: Any, text: bytes, ids: tuple[int, ...]) -> tuple[int, ...]:
        tail = b"".join(map(self._bytes, ids))
        spelt = self.spell(tail)
        return tuple(spelt) if len(spelt) < len(ids) and self.fits(state, text, tail) else ids

    def _walk(self, state: Any, text: bytes, chance: random.Random | None) -> tuple[int, ...] | None:
        """Walk towards an end: by the shortest way, or by chance."""
        inner, out, ids, quoted = self._inner, bytearray(), [], is_quoted(text)
        for _ in range(_LONGEST):
            if inner.is_accepting(state) and (chance is None or chance.random() < 0.7 or inner.is_complete(state)):
                if self.judge(text + out):
                    return tuple(ids)
                if inner.is_complete(state):
                    return None
            step = self._step(state, quoted, chance)
            if step is None:
                return None
            state, moved = step
            ids += moved
            out += b"".join(map(self._bytes, moved))
            quoted = is_quoted(text + out)
        return None

    def _step(self, state: Any, quoted: bool, chance: random.Random | None) -> tuple[Any, Sequence[int]] | None:
        forced = self._inner.forced(state)
        for moves in ([forced] if forced else [], self._moves(state, quoted, chance)):
            for ids in moves:
                after = self._follow(state, ids)
                if after is not None:
                    return after, ids
        return None

    def _moves(self, state: Any, quoted: bool, chance: random.Random | None) -> Iterator[Sequence[int]]:
        """Ids to try next, the most promising first."""
        if chance is not None and self._hints and chance.random() < 0.6:
            for hint in chance.sample(self._hints, min(4, len(self._hints))):
                if not quoted:
                    yield self.spell(hint)
                elif hint.startswith(b'"'):
                    yield self.spell(hint[1:])
        allowed = self._inner.allowed(state).numpy()  # reading single entries of a tensor is slow
        singles = [self._singles[byte] for byte in (_INSIDE if quoted else _OUTSIDE) if byte in self._singles]
        open_ = [token for token in singles if allowed[token]]
        open_ = open_ if quoted else self._line_ends_first(state, open_)
        if chance is not None and open_ and chance.random() < 0.7:
            chance.shuffle(open_)
        yield from ([token] for token in open_)
        others = allowed.nonzero()[0].tolist()
        if chance is not None and len(others) > 8:
            others = chance.sample(others, 8)
        yield from ([token] for token in others[:8])

    def _line_ends_first(self, state: Any, open_: list[int]) -> list[int]:
        """With a new line in front, where it leads to a closing bracket: after it no comma may follow."""
        comma, line = self._singles.get(0x2C), self._singles.get(0x0A)
        if comma not in open_ or line not in open_:
            return open_
        after = self._inner.advance(state, line)
        if after is None or self._inner.allowed(after)[comma]:
            return open_
        return [line, *(token for token in open_ if token != line)]

    def _shortest(self, start: Any) -> tuple[int, ...] | None:
        """The text with the fewest ids, by breadth; None where many ids may follow somewhere, or there are many texts."""
        level: dict[bytes, tuple[Any, tuple[int, ...]]] = {b"": (start, ())}
        expanded = tried = 0
        while level:
            for text, (state, ids) in level.items():
                if self._inner.is_accepting(state) and self.judge(text):
                    return ids
            following: dict[bytes, tuple[Any, tuple[int, ...]]] = {}
            for text, (state, ids) in level.items():
                tokens = self._inner.allowed(state).nonzero().flatten().tolist()
                expanded, tried = expanded + 1, tried + len(tokens)
                if expanded > _EXPANDED or tried > _TRIED:
                    return None
                for token in tokens:
                    longer = text + self._bytes(token)
                    after = None if longer in following else self._inner.advance(state, token)
                    if after is not None:
                        following[longer] = (after, (*ids, token))
            level = following
        return None

    def _explored(self, start: Any, patience: int = 0) -> tuple[int, ...] | None:
        """An end, by breadth over kinds of places: where the same ids may follow equally far away, a few stand for all.

        :param patience: How many single bytes may be tried; 0: some of those that may follow, at a few places.
        """
        first = self._kind(start)
        waiting: deque[tuple[Any, tuple[int, ...], Any]] = deque([(start, (), first)])
        # Pairs of neighbours, each by how far away: [a-z]+([.][a-z]{2})+ comes through the same ones again and again.
        seen = Counter([(0, None, first)])
        tried = 0
        while waiting and (tried < patience if patience else len(seen) <= _CLASSES):
            state, ids, kind = waiting.popleft()
            if self._inner.is_accepting(state):
                return ids
            forced = tuple(self._inner.forced(state))
            moves = [forced] if forced else self._bytes_that_may_follow(state, all_of_them=patience > 0)
            tried += len(moves)
            for moved in moves:
                after = self._follow(state, moved)
                pair = None if after is None else (len(ids) + len(moved), kind, self._kind(after))
                if pair is not None and seen[pair] < _ALIKE:
                    seen[pair] += 1
                    waiting.append((after, (*ids, *moved), pair[2]))
        return None

    def _kind(self, state: Any) -> tuple[bool, bytes]:
        return self._inner.is_accepting(state), self._inner.allowed(state).numpy().tobytes()

    def _bytes_that_may_follow(self, state: Any, *, all_of_them: bool) -> list[tuple[int, ...]]:
        """Single bytes, of letters and digits only some where many may follow, unless all are wanted."""
        allowed = self._inner.allowed(state).numpy()
        found = [byte for byte, token in self._singles.items() if allowed[token]]
        if len(found) > _KINDS and not all_of_them:
            found = [byte for byte in found if byte in _SAMPLE or not (chr(byte).isalnum() or byte >= 0x80)]
            found = sorted(found, key=lambda byte: byte < 0x20)[:_SIGNS]
        return [(self._singles[byte],) for byte in found]


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
