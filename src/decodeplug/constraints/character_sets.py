"""Sets of characters as sorted spans of code points, without the surrogates, which no text has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache

import numpy as np

from decodeplug.constraints.character_classes import members

__all__ = ["Spans", "complement", "in_either_case", "member_spans", "normal"]

Spans = tuple[tuple[int, int], ...]
"""First and last code point of each run, in order, with a gap between any two."""

_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


def normal(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sorted, joined where they touch, without surrogates."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    first, last = _SURROGATES
    kept: list[tuple[int, int]] = []
    for low, high in joined:
        kept += [(low, min(high, first - 1))] if low < first else []
        kept += [(max(low, last + 1), high)] if high > last else []
    return tuple(kept)


def complement(spans: Spans) -> Spans:
    """All characters that are not in ``spans``."""
    gaps: list[tuple[int, int]] = []
    begin = 0
    for low, high in spans:
        if low > begin:
            gaps.append((begin, low - 1))
        begin = high + 1
    if begin <= _LAST:
        gaps.append((begin, _LAST))
    return normal(gaps)


@lru_cache(1024)
def member_spans(pattern: str, ascii_only: int) -> Spans:
    """The characters that a pattern for one character matches, as Python says; about 50 ms the first time."""
    meant = members(f"(?a:{pattern})" if ascii_only else pattern)
    edges = np.flatnonzero(np.diff(meant, prepend=False, append=False)).reshape(-1, 2)
    return normal((int(low), int(high) - 1) for low, high in edges)


@lru_cache(1024)
def in_either_case(code: int, ascii_only: bool) -> Spans:
    """The characters that Python matches with this one if case is ignored."""
    letter = f"\\U{code:08x}"
    if code >= 128:
        return member_spans(f"(?i:{letter})", ascii_only)
    # By far the most common: a keyword. Asking all of Unicode for each letter would take a second.
    matches = re.compile(letter, re.IGNORECASE | (re.ASCII if ascii_only else re.UNICODE)).match
    others = range(128) if ascii_only else [*range(128), *_beyond_ascii()]
    return normal((other, other) for other in others if matches(chr(other)))


@cache
def _beyond_ascii() -> tuple[int, ...]:
    """Characters beyond ASCII that are an ASCII letter in another case, such as the sign for kelvin."""
    codes = (code for low, high in member_spans("(?i:[a-z])", 0) for code in range(low, high + 1))
    return tuple(code for code in codes if code >= 128)
