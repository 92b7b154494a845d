"""Find an end for a text that was begun: one that the constraint allows and the judge accepts.

The masks know the grammar and a judge knows what is beyond it, so the search walks the
masks towards the end of the text, by the shortest way first and then by chance, and asks the judge there.
"""

from __future__ import annotations

import math
import random
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from decodeplug.constraints.completion import completions
from decodeplug.constraints.following import ends_after, followed
from decodeplug.constraints.json_place import JsonPlace
from decodeplug.contracts import Constraint

__all__ = ["FEW", "MANY", "TRIES", "Search"]

TRIES = 4  # walks while a text is written
TRIES_AT_FIRST = 400  # walks before a schema counts as one without any text
_SPELT = 256  # texts whose ids are kept
_LOST = 20  # walks that may come to no end before no more are made
_MENDED = 3  # walks whose first text that the judge refuses is mended,
_MENDS = 64  # and ends that are tried for that
_LONGEST = 256  # moves of one walk,
_LONGEST_AT_FIRST = 4096  # and of the first one: a schema of hundreds of properties has no shorter text
_EXPANDED = 256  # texts that are gone on from in looking for the shortest one,
_TRIED = 4096  # and ids that are tried there in all
FEW, MANY = 1000, 2500  # single bytes that are tried where there is room, and where there is little
_PATIENCE = 20000  # single bytes that are tried before a constraint counts as one without any text
_ALIKE = 2  # places where the same ids may follow that are gone on from
_KINDS = 12  # single bytes that are tried at one of those
_SIGNS = 40  # of more, those that are no letters, the printable ones first
_SAMPLE = b"01aA"
_OUTSIDE = b'}])",.;>01tfn-[{: \n'  # what ends something first
_IN_LINES = b'}])"\n,.;>01tfn-[{: '  # where lines are broken, a number or a list may end with the line
_INSIDE = b'"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-:.@/_ '


class Search:
    """Looks for ends of texts under one constraint.

    :param inner: The constraint. :param token_bytes: What an id stands for.
    :param spell: Ids of a text, which may begin in the middle of a character. :param singles: The ids of single bytes.
    :param judge: Is this whole text valid? None: the constraint alone knows.
    :param hints: Pieces of JSON worth trying where a value or a string begins. :param mend: Values that come closer to
        what the judge wants than a text which it refuses.
    """

    def __init__(
        self,
        inner: Constraint,
        token_bytes: Callable[[int], bytes],
        spell: Callable[[bytes], Sequence[int]],
        singles: Mapping[int, int],
        judge: Callable[[bytes], bool] | None = None,
        hints: Sequence[bytes] = (),
        mend: Callable[[bytes], Iterator[Any]] | None = None,
    ) -> None:
        self._inner, self._bytes, self._judge, self._mend, self.hints = inner, token_bytes, judge, mend, hints
        # While a string is written, the text after it stays the same from token to token.
        self.spell: Callable[[bytes], tuple[int, ...]] = lru_cache(_SPELT)(lambda text: tuple(spell(text)))
        self._singles = singles

    @property
    def is_judged(self) -> bool:
        return self._judge is not None

    def judge(self, text: bytes) -> bool:
        """Is this whole text valid, as far as the constraint does not know itself?"""
        return self._judge is None or self._judge(text)

    def fits(self, state: Any, text: bytes, tail: bytes) -> bool:
        """Is ``text + tail`` valid, where the constraint is at ``state`` after ``text``?"""
        return ends_after(self._inner, state, self.spell(tail)) and self.judge(text + tail)

    def _follow(self, state: Any, ids: Sequence[int]) -> Any | None:
        return followed(self._inner, state, ids)

    def first(self, state: Any) -> tuple[int, ...] | None:
        """Ids of a text, or None if none was found: the fewest ids, where few texts can be written."""
        found = self._shortest(state)
        if found is None:  # no more than what the judge asks for
            found = self._mended(state, b"", b"null")
        if found is None:
            found = self.ending(state, b"", TRIES_AT_FIRST, longest=_LONGEST_AT_FIRST)
        if found is None and not self.is_judged:
            found = self._explored(state, _PATIENCE, all_bytes=True)
        return None if found is None else self._shorter(state, b"", found)

    def ending(
        self,
        state: Any,
        text: bytes,
        tries: int = TRIES,
        most: float = math.inf,
        longest: int = _LONGEST,
        patience: int = FEW,
    ) -> tuple[int, ...] | None:
        """Ids of an end for ``text``, or None if none was found; the same answer for the same text.

        :param tries: How many walks are made before the text counts as one without an end.
        :param most: How many ids it should have: the first end that has no more, else the shortest that was found.
        :param longest: How many moves the first walk may take. :param patience: Single bytes that are tried to explore.
        """
        shortest: tuple[int, ...] | None = None
        for ids in self._endings(state, text, tries, longest, patience):
            if len(ids) <= most:
                return ids
            shortest = ids if shortest is None or len(ids) < len(shortest) else shortest
        return shortest

    def _endings(self, state: Any, text: bytes, tries: int, longest: int, patience: int) -> Iterator[tuple[int, ...]]:
        known = getattr(self._inner, "ending", None)
        ids = None if known is None else known(state)
        if ids is not None:
            yield tuple(ids)
        chance = random.Random(zlib.crc32(text))
        lost = 0
        for attempt in range(tries if self.is_judged else 1):
            if lost > _LOST:
                break
            mends = attempt < _MENDED
            ids, is_lost = self._walk(state, text, chance if attempt else None, _LONGEST if attempt else longest, mends)
            lost += is_lost
            if ids is not None:
                yield self._shorter(state, text, ids)
        ids = None if self.is_judged else self._explored(state, patience)
        if ids is not None:
            yield self._shorter(state, text, ids)

    def _shorter(self, state: Any, text: bytes, ids: tuple[int, ...]) -> tuple[int, ...]:
        tail = b"".join(map(self._bytes, ids))
        spelt = self.spell(tail)
        return tuple(spelt) if len(spelt) < len(ids) and self.fits(state, text, tail) else ids

    def _walk(
        self, start: Any, text: bytes, chance: random.Random | None, longest: int, mends: bool
    ) -> tuple[tuple[int, ...] | None, bool]:
        """Walk towards an end, by the shortest way or by chance; its ids, if there are some, and whether it came to no end.

        :param mends: Mend the first whole text that the judge refuses.
        """
        inner, state, out, ids, place = self._inner, start, bytearray(), [], JsonPlace.after(text)
        for _ in range(longest):
            if inner.is_accepting(state) and (chance is None or chance.random() < 0.7 or inner.is_complete(state)):
                whole = text + bytes(out)
                if self.judge(whole):
                    return tuple(ids), False
                mended = self._mended(start, text, whole) if mends else None
                if mended is not None or inner.is_complete(state):
                    return mended, False
                mends = False
            step = self._step(state, place, chance)
            if step is None:
                return None, False
            state, moved = step
            ids += moved
            piece = b"".join(map(self._bytes, moved))
            out += piece
            place = place.then(piece)
        return None, True

    def _mended(self, state: Any, text: bytes, refused: bytes) -> tuple[int, ...] | None:
        """An end with what the judge missed in a whole text that begins with ``text``."""
        waiting, tried = deque([refused]), {refused}
        while waiting and self._mend is not None:
            for value in self._mend(waiting.popleft()):
                better: bytes | None = None  # the first one, if none fits the masks: it may be mended as well
                for tail in completions(text, value, self.hints):
                    whole, ids = text + tail, self.spell(tail)
                    if whole in tried:
                        continue
                    if len(tried) > _MENDS:
                        return None
                    tried.add(whole)
                    better = better or whole
                    if ends_after(self._inner, state, ids):
                        if self.judge(whole):
                            return ids
                        better = whole
                        break
                if better is not None:
                    waiting.append(better)
        return None

    def _step(self, state: Any, place: JsonPlace, chance: random.Random | None) -> tuple[Any, Sequence[int]] | None:
        forced = self._inner.forced(state)
        for moves in ([forced] if forced else [], self._moves(state, place, chance)):
            for ids in moves:
                after = self._follow(state, ids)
                if after is not None:
                    return after, ids
        return None

    def _moves(self, state: Any, place: JsonPlace, chance: random.Random | None) -> Iterator[Sequence[int]]:
        """Ids to try next, the most promising first."""
        quoted = place.quoted
        if chance is not None and self.hints and chance.random() < 0.6:
            for hint in chance.sample(self.hints, min(4, len(self.hints))):
                if not quoted:
                    yield self.spell(hint)
                elif hint.startswith(b'"'):
                    yield self.spell(hint[1:])
        likely = _INSIDE if quoted else _IN_LINES if place.in_lines and chance is None else _OUTSIDE
        singles = [self._singles[byte] for byte in likely if byte in self._singles]
        if chance is None:  # to ask for one after the other costs less than a mask
            yield from ([token] for token in singles)
        allowed = self._inner.allowed(state)
        open_ = [token for token, is_open in zip(singles, allowed[singles].tolist(), strict=True) if is_open]
        if chance is not None and open_ and chance.random() < 0.7:
            chance.shuffle(open_)
        yield from ([token] for token in open_)
        others = np.flatnonzero(allowed.numpy()).tolist()
        if chance is not None and len(others) > 8:
            others = chance.sample(others, 8)
        yield from ([token] for token in others[:8])

    def _shortest(self, start: Any) -> tuple[int, ...] | None:
        """The text with the fewest ids, by breadth; None where many ids may follow somewhere, or there are many texts."""
        level: dict[bytes, tuple[Any, tuple[int, ...]]] = {b"": (start, ())}
        expanded = tried = 0
        while level:
            for text, (state, ids) in level.items():
                if self._inner.is_accepting(state) and self.judge(text):
                    return ids
            expanded += len(level)
            if expanded > _EXPANDED:
                return None
            moves: list[list[int]] = []
            for state, _ in level.values():
                tokens = np.flatnonzero(self._inner.allowed(state).numpy())  # torch's own takes five times as long
                tried += len(tokens)
                if tried > _TRIED:
                    return None
                moves.append(tokens.tolist())
            following: dict[bytes, tuple[Any, tuple[int, ...]]] = {}
            for (text, (state, ids)), tokens in zip(level.items(), moves, strict=True):
                for token in tokens:
                    longer = text + self._bytes(token)
                    after = None if longer in following else self._inner.advance(state, token)
                    if after is not None:
                        following[longer] = (after, (*ids, token))
            level = following
        return None

    def _explored(self, start: Any, patience: int, *, all_bytes: bool = False) -> tuple[int, ...] | None:
        """An end, by breadth over kinds of places: where the same ids may follow equally far away, a few stand for all.

        :param patience: How many single bytes may be tried: some of those that may follow, or ``all_bytes``.
        """
        if self._inner.is_accepting(start):
            return ()
        first = self._kind(start)
        waiting: deque[tuple[Any, tuple[int, ...], Any]] = deque([(start, (), first)])
        # Pairs of neighbours, each by how far away: [a-z]+([.][a-z]{2})+ comes through the same ones again and again.
        seen: Counter[Any] = Counter()
        tried = 0
        while waiting and tried < patience:
            state, ids, kind = waiting.popleft()
            forced = tuple(self._inner.forced(state))
            moves = [forced] if forced else self._bytes_that_may_follow(state, all_bytes)
            tried += len(moves)
            for moved in moves:
                after = self._follow(state, moved)
                if after is None:
                    continue
                if self._inner.is_accepting(after):
                    return (*ids, *moved)
                pair = (len(ids) + len(moved), kind, self._kind(after))
                if seen[pair] < _ALIKE:
                    seen[pair] += 1
                    waiting.append((after, (*ids, *moved), pair[2]))
        return None

    def _kind(self, state: Any) -> bytes:
        return self._inner.allowed(state).numpy().tobytes()

    def _bytes_that_may_follow(self, state: Any, all_of_them: bool) -> list[tuple[int, ...]]:
        """Single bytes, of letters and digits only some where many may follow, unless all are wanted."""
        allowed = self._inner.allowed(state).numpy()
        found = [byte for byte, token in self._singles.items() if allowed[token]]
        if len(found) > _KINDS and not all_of_them:
            some = [byte for byte in found if byte in _SAMPLE or not (chr(byte).isalnum() or byte >= 0x80)]
            found = sorted(some, key=lambda byte: byte < 0x20)[:_SIGNS] or found[:_KINDS]
        return [(self._singles[byte],) for byte in found]
