"""Write ``\\d``, ``\\w`` and ``\\s`` out, so that everyone who reads a pattern means the same characters.

Python, the mask engine and ECMA 262 (which JSON schema follows) differ in what a digit, a word and a
space are: by version of Unicode, by marks and number signs, by ASCII or not.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

import numpy as np
import regex

__all__ = ["members", "translated", "without_properties"]

_CODES = 0x110000
_CASED = 0x20000  # only in the first two planes of Unicode are there letters with a case
_SURROGATES = slice(0xD800, 0xE000)
_EITHER_CASE = re.compile(r"\(\?[a-zA-Z]*i")
_OPENING = re.compile(r"\[\^?\]?")
_PARTS = re.compile(r"\\[pP]\{[^{}]*\}|\\.|.|\\\Z", re.DOTALL)
_ECMA = {
    "d": "[0-9]",
    "w": "[0-9A-Za-z_]",
    "s": r"[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]",
}


def translated(pattern: str, *, ecma: bool = False) -> str:
    """The same pattern with ``\\d \\w \\s \\D \\W \\S`` written out as classes.

    :param pattern: One that :func:`read_pattern` accepts.
    :param ecma: Leave only characters on which ECMA 262 and Python agree, so that a text satisfies both
        readings; else as Python reads them.
    """
    parts: list[str] = []
    at, in_class, negated = 0, False, False
    either_case = _EITHER_CASE.search(pattern) is not None
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            letter = pattern[at + 1]
            if letter in "dwsDWS":
                ranges = _inside(letter, ecma, in_class and negated, in_class and either_case)
                parts.append(ranges if in_class else f"(?-i:[{ranges}])" if either_case else f"[{ranges}]")
            else:
                parts.append(char + letter)
            at += 2
            continue
        if char == "[" and not in_class:
            in_class, negated = True, pattern.startswith("[^", at)
            opening = _OPENING.match(pattern, at)
            assert opening is not None
            parts.append(opening[0])
            at = opening.end()
            continue
        in_class = in_class and char != "]"
        parts.append(char)
        at += 1
    return "".join(parts)


def without_properties(pattern: str) -> str:
    """The same pattern with Unicode's properties (``\\p{Letter}``), which ECMA 262 knows and Python does not, written out.

    One of a name that nobody knows is left as it is.
    """
    parts: list[str] = []
    in_class = False
    for part in _PARTS.findall(pattern) if r"\p{" in pattern.lower() else [pattern]:
        spans = _of_property(part) if part[:3].lower() == r"\p{" else None
        if spans is not None:
            parts.append(spans if in_class else f"[{spans}]")
            continue
        in_class = part == "[" or (in_class and part != "]")
        parts.append(part)
    return "".join(parts)


@cache
def _of_property(wanted: str) -> str | None:
    """The characters of a property, as the inside of a class; None if there is no such property."""
    try:
        found = _found(wanted)
    except regex.error:
        return None
    found[_SURROGATES] = False
    return _spans(found)


@cache
def _inside(letter: str, ecma: bool, negated: bool, either_case: bool) -> str:
    """The characters that ``\\d`` (or w, s, D, W, S) stands for, as the inside of a class.

    :param negated: The class is a negated one: what only one reading excludes is excluded.
    :param either_case: Case may be ignored, by which an engine adds the other case of every character that is written
        out: leave out those whose other case is no member.
    """
    meant = members("\\" + letter.lower())
    if ecma:
        other = members(_ECMA[letter.lower()])
        meant = meant | other if letter.isupper() != negated else meant & other
    if letter.isupper():
        meant = ~meant
        meant[_SURROGATES] = False  # no text has them
        if either_case and not negated:
            meant = meant & ~_changes_sides(letter)
    elif either_case and not negated:
        meant = meant & ~_draws_in(letter)
    return _spans(meant)


def _spans(found: np.ndarray) -> str:
    """Code points, as the inside of a class."""
    edges = np.flatnonzero(np.diff(found, prepend=False, append=False)).reshape(-1, 2)
    spans = [(int(low), int(high) - 1) for low, high in edges]
    return "".join(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}" for low, high in spans)


@cache
def _changes_sides(letter: str) -> np.ndarray:
    """Characters that are no members of ``\\d`` (or w, s) while another case of them is, or may be in a newer Unicode."""
    inside = members("\\" + letter.lower())
    found = np.zeros(_CODES, np.bool_)
    for code in np.flatnonzero(~inside[:_CASED]).tolist():
        char = chr(code)
        cases = {char.lower(), char.upper()} - {char}
        found[code] = unicodedata.category(char) == "Cn" or any(len(one) == 1 and inside[ord(one)] for one in cases)
    return found


@cache
def _draws_in(letter: str) -> np.ndarray:
    """Members of ``\\d`` (or w, s) of which another case is none, as with iota: that of some marks is one."""
    inside = members("\\" + letter)
    drawn = _found(f"(?i)[{_spans(inside)}]") & ~inside
    drawn[_SURROGATES] = False
    return _found(f"(?i)[{_spans(drawn)}]") & inside if drawn.any() else drawn


@cache
def members(wanted: str) -> np.ndarray:
    """Which code points match for Python: ``[0x110000]`` bool."""
    return _matching(re.compile(f"{wanted}+"))


def _found(wanted: str) -> np.ndarray:
    """As ``members``, by the tables of a newer Unicode."""
    return _matching(regex.compile(f"{wanted}+"))


def _matching(runs: Any) -> np.ndarray:
    found = np.zeros(_CODES, np.bool_)
    for run in runs.finditer(_every_character()):
        found[run.start() : run.end()] = True
    return found


def _every_character() -> str:
    return np.arange(_CODES, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
