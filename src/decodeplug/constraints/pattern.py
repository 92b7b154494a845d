"""Regular expressions: what both Python and the mask engine read alike, and how large they get.

The dialect is what ``re`` and Rust's ``regex-syntax`` share: literals, classes, ``.``, groups,
alternation, greedy and lazy repetition, ``\\d \\s \\w``, flags such as ``(?i)``. Anchors may stand
at the ends only. Look-around, back-references, word boundaries, atomic groups and possessive
repetition are refused, and so is what only one of the two can read.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import regex as timed_re

from decodeplug.errors import UnsupportedGrammar

__all__ = ["Shape", "fits", "found_in", "read_pattern"]

_LARGEST = 200_000  # literals after all counted repetitions are written out
_CHECK_S = 1.0
_COUNTS = re.compile(r"\{(\d+)(,(\d*))?\}")
_REFUSED_GROUPS = {
    "(?=": "look-ahead is not regular",
    "(?!": "look-ahead is not regular",
    "(?<=": "look-behind is not regular",
    "(?<!": "look-behind is not regular",
    "(?>": "atomic groups are not regular",
    "(?P=": "a back-reference is not regular",
    "(?(": "a conditional group is not regular",
}
_GROUP_HEAD = re.compile(r"\?(?:P?<\w+>|[a-zA-Z-]*:|[a-zA-Z-]+\))")


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a pattern is.

    :ivar size: Literals and classes, each counted as often as its repetitions demand.
    :ivar varies: It has a part whose length is not fixed. :ivar may_explode: A counted
        repetition of such a part: most are harmless, but those that explode are among them.
    """

    size: int
    varies: bool = False
    may_explode: bool = False


def read_pattern(pattern: str, kind: str = "regex") -> Shape:
    """Check that a pattern is in the dialect and not too large.

    :raises UnsupportedGrammar: It is not; with line and column where they are known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set": Python and Rust read it differently
            re.compile(pattern)
    except re.error as error:
        reader = _Reader(pattern, kind)
        reader.read()  # a construct that is refused anyway has the better message
        raise reader.refusal(f"Python cannot read it: {error.msg}", error.pos) from None
    except Warning as warning:
        raise UnsupportedGrammar(kind, because=f"Python and the mask engine read it differently: {warning}") from None
    except (OverflowError, RecursionError, MemoryError) as error:
        raise UnsupportedGrammar(kind, because=f"it is too large: {error}") from None
    shape = _Reader(pattern, kind).read()
    if shape.size > _LARGEST:
        because = f"written out, its repetitions are {shape.size:,} characters long; {_LARGEST:,} is the limit"
        raise UnsupportedGrammar(kind, because=because)
    return shape


def found_in(pattern: str, text: str) -> bool | None:
    """Whether some part of ``text`` matches, or None as for :func:`fits`."""
    try:
        return timed_re.search(pattern, text, timeout=_CHECK_S) is not None
    except TimeoutError:
        return None


def fits(pattern: str, text: str) -> bool | None:
    """Whether all of ``text`` matches, or None if that could not be told within a second.

    Some patterns take a backtracking matcher for ever; then nobody may wait for it.
    """
    try:
        return timed_re.fullmatch(pattern, text, timeout=_CHECK_S) is not None
    except TimeoutError:
        return None


class _Reader:
    """Reads a pattern that Python accepts, or the part of it before what Python does not accept."""

    def __init__(self, pattern: str, kind: str) -> None:
        self._pattern, self._kind, self._at = pattern, kind, 0

    def refusal(self, because: str, at: int | None) -> UnsupportedGrammar:
        if at is None:
            return UnsupportedGrammar(self._kind, because=because)
        line = self._pattern.count("\n", 0, at) + 1
        column = at - (self._pattern.rfind("\n", 0, at) + 1) + 1
        return UnsupportedGrammar(self._kind, because=because, line=line, column=column)

    def read(self) -> Shape:
        shape = self._alternatives()
        while self._at < len(self._pattern):  # an unbalanced ")" that Python will name
            self._at += 1
            shape = _joined(shape, self._alternatives())
        return shape

    def _alternatives(self) -> Shape:
        shape = self._sequence()
        while self._pattern.startswith("|", self._at):
            self._at += 1
            other = self._sequence()
            shape = Shape(shape.size + other.size, True, shape.may_explode or other.may_explode)
        return shape

    def _sequence(self) -> Shape:
        shape = Shape(0)
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            shape = _joined(shape, self._repeated(self._atom()))
        return shape

    def _atom(self) -> Shape:
        char = self._pattern[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            self._at = self._end_of_class()
        elif char == "\\":
            self._escape()
        else:
            self._at += 1
            if char in "^$":
                return Shape(0)
        return Shape(1)

    def _group(self) -> Shape:
        begin = self._at
        for opening, because in _REFUSED_GROUPS.items():
            if self._pattern.startswith(opening, begin):
                raise self.refusal(because, begin)
        self._at += 1
        if self._pattern.startswith("?#", self._at):
            raise self.refusal("the mask engine does not read comments", begin)
        head = _GROUP_HEAD.match(self._pattern, self._at)
        if head is not None:
            if "x" in head[0].partition("-")[0] and "<" not in head[0]:
                raise self.refusal("verbose patterns are read differently by Python and the mask engine", begin)
            self._at = head.end()
            if head[0].endswith(")"):  # flags alone, such as (?i)
                return Shape(0)
        shape = self._alternatives()
        self._at += 1
        return shape

    def _end_of_class(self) -> int:
        at = self._at + 1
        if self._pattern.startswith("^", at):
            at += 1
        if self._pattern.startswith("]", at):
            at += 1
        while at < len(self._pattern) and self._pattern[at] != "]":
            at += 2 if self._pattern[at] == "\\" else 1
        return at + 1

    def _escape(self) -> None:
        escaped = self._pattern[self._at + 1 : self._at + 2]
        if escaped and escaped in "123456789":
            raise self.refusal("a back-reference is not regular", self._at)
        if escaped and escaped in "bB":
            raise self.refusal("word boundaries look around", self._at)
        self._at += 2

    def _repeated(self, shape: Shape) -> Shape:
        counts = _COUNTS.match(self._pattern, self._at)
        if counts is not None:
            low, high = int(counts[1]), counts[3] if counts[2] else counts[1]
            self._at = counts.end()
        elif self._pattern[self._at : self._at + 1] and self._pattern[self._at] in "*+?":
            low, high = (1, "") if self._pattern[self._at] == "+" else (0, "")
            high = "1" if self._pattern[self._at] == "?" else high
            self._at += 1
        else:
            return shape
        if self._pattern.startswith("+", self._at):
            raise self.refusal("possessive repetition is not regular", self._at)
        if self._pattern.startswith("?", self._at):  # lazy: the same texts
            self._at += 1
        most = int(high) if high else max(low, 1)
        explodes = shape.may_explode or (shape.varies and most > 1 and counts is not None)
        return Shape(shape.size * max(most, 1), shape.varies or str(low) != high, explodes)


def _joined(first: Shape, second: Shape) -> Shape:
    return Shape(first.size + second.size, first.varies or second.varies, first.may_explode or second.may_explode)
