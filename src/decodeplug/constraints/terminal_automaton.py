"""An automaton for a terminal that knows which way to match Python prefers.

The mask engine knows the set of matching texts only; Python tries the ways to match in an order and takes the first
that works. So the states here are *ordered* lists of positions (the simulation of Pike's; R. Cox, "Regular
Expression Matching: the Virtual Machine Approach", 2009): what comes after a finished way is never taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from decodeplug.constraints.character_sets import Spans
from decodeplug.constraints.terminal_syntax import Either, Node, Repeat, Sequence

__all__ = ["MATCH", "Alphabet", "Automaton", "TooLargeError"]

MATCH = -1
_POSITIONS = 5_000


class TooLargeError(Exception):
    """The automaton has more positions or states than are worth following."""


class Alphabet:
    """Character sets by number, and the kinds of characters that they tell apart."""

    def __init__(self) -> None:
        self._numbers: dict[Spans, int] = {}

    def number(self, spans: Spans) -> int:
        return self._numbers.setdefault(spans, len(self._numbers))

    def letters(self) -> list[tuple[str, frozenset[int]]]:
        """A character of each kind, a printable one if there is one, and the sets that it is in (at least one)."""
        edges = sorted({edge for spans in self._numbers for low, high in spans for edge in (low, high + 1)})
        lows = np.array(edges[:-1], np.int64)
        inside = (
            np.stack([_inside(spans, lows) for spans in self._numbers]) if len(lows) else np.zeros((0, 0), np.bool_)
        )
        examples: dict[bytes, str] = {}
        members: dict[bytes, frozenset[int]] = {}
        for index, (low, above) in enumerate(pairwise(edges)):
            kind = inside[:, index].tobytes()
            if kind not in members:
                members[kind] = frozenset(np.flatnonzero(inside[:, index]).tolist())
            if members[kind] and not examples.get(kind, "\0").isprintable():
                printable = (chr(code) for code in range(low, min(above, low + 64)) if chr(code).isprintable())
                examples[kind] = next(printable, chr(low))
        return [(example, members[kind]) for kind, example in examples.items()]


def _inside(spans: Spans, codes: np.ndarray) -> np.ndarray:
    lows, highs = np.array(spans, np.int64).T
    at = np.searchsorted(lows, codes, "right") - 1
    return (at >= 0) & (codes <= highs[at])


class Automaton:
    """Positions of an expression: each either reads one character or leads on to others, the preferred one first.

    :raises TooLargeError: Counted repetitions make it too large.
    """

    def __init__(self, node: Node, alphabet: Alphabet) -> None:
        self._alphabet = alphabet
        self._reads: list[int | None] = []
        self._then: list[tuple[int, ...]] = []
        self._start = self._add(node, MATCH)

    def start(self, *, cut: bool) -> tuple[int, ...]:
        """The positions before the first character. See :meth:`after`."""
        return self._reached((self._start,), cut)

    def after(self, positions: Iterable[int], kind: frozenset[int], *, cut: bool) -> tuple[int, ...]:
        """The positions that read (or match) after a character, in order of preference.

        :param cut: Leave out what comes after a match.
        """
        return self._reached([self._then[at][0] for at in positions if at >= 0 and self._reads[at] in kind], cut)

    def _new(self, reads: Spans | None, *then: int) -> int:
        if len(self._reads) >= _POSITIONS:
            raise TooLargeError
        self._reads.append(None if reads is None else self._alphabet.number(reads))
        self._then.append(then)
        return len(self._reads) - 1

    def _add(self, node: Node, after: int) -> int:
        """Where ``node``, and then ``after``, begins."""
        if isinstance(node, Sequence):
            for item in reversed(node.items):
                after = self._add(item, after)
            return after
        if isinstance(node, Either):
            return self._new(None, *(self._add(option, after) for option in node.options))
        if isinstance(node, Repeat):
            return self._add_repeat(node, after)
        return self._new(node, after)

    def _add_repeat(self, node: Repeat, after: int) -> int:
        begin = after
        if node.high is not None and node.high > 1 and _matches_empty(node.item):
            raise TooLargeError  # when Python stops counting rounds that match nothing is a story of its own
        if node.high is None:
            begin = self._new(None)
            # Python leaves the loop after a round that matched nothing; then ``begin`` was passed already.
            again = self._add(node.item, self._new(None, begin, after))
            self._then[begin] = (after, again) if node.lazy else (again, after)
        else:
            for _ in range(node.high - node.low):
                again = self._add(node.item, begin)
                begin = self._new(None, *((after, again) if node.lazy else (again, after)))
        for _ in range(node.low):
            begin = self._add(node.item, begin)
        return begin

    def _reached(self, positions: Iterable[int], cut: bool) -> tuple[int, ...]:
        found: list[int] = []
        seen: set[int] = set()
        stack = list(positions)[::-1]
        while stack:
            position = stack.pop()
            if position in seen:
                continue
            seen.add(position)
            if position == MATCH or self._reads[position] is not None:
                found.append(position)
                if position == MATCH and cut:
                    break
            else:
                stack.extend(reversed(self._then[position]))
        return tuple(found)


def _matches_empty(node: Node) -> bool:
    if isinstance(node, Sequence):
        return all(map(_matches_empty, node.items))
    if isinstance(node, Either):
        return any(map(_matches_empty, node.options))
    return isinstance(node, Repeat) and (node.low == 0 or _matches_empty(node.item))
