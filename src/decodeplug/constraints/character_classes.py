"""Write ``\\d``, ``\\w`` and ``\\s`` out, so that everyone who reads a pattern means the same characters.

Python, the mask engine and ECMA 262 (which JSON schema follows) differ in what a digit, a word and a
space are: by version of Unicode, by marks and number signs, by ASCII or not.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

__all__ = ["translated"]

Spans = tuple[tuple[int, int], ...]

_OPENING = re.compile(r"\[\^?\]?")
_ECMA = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff",
}


def translated(pattern: str, *, ecma: bool = False) -> str:
    """The same pattern with ``\\d \\w \\s \\D \\W \\S`` written out as classes.

    :param pattern: One that :func:`read_pattern` accepts.
    :param ecma: Read them as ECMA 262 does (ASCII digits and letters), else as Python does.
    """
    parts: list[str] = []
    at, in_class = 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            letter = pattern[at + 1]
            if letter in "dwsDWS":
                ranges = _inside(letter, ecma)
                parts.append(ranges if in_class else f"[{ranges}]")
            else:
                parts.append(char + letter)
            at += 2
            continue
        if char == "[" and not in_class:
            in_class = True
            opening = _OPENING.match(pattern, at)
            assert opening is not None
            parts.append(opening[0])
            at = opening.end()
            continue
        in_class = in_class and char != "]"
        parts.append(char)
        at += 1
    return "".join(parts)


@cache
def _inside(letter: str, ecma: bool) -> str:
    """The characters that ``\\d`` (or w, s, D, W, S) stands for, as the inside of a class."""
    if ecma and letter.islower():
        return _ECMA[letter]
    spans = _python_spans()[letter.lower()] if not ecma else _spans(f"[{_ECMA[letter.lower()]}]", _every_character())
    if letter.isupper():
        spans = _others(spans)
    return "".join(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}" for low, high in spans)


@cache
def _python_spans() -> dict[str, Spans]:
    text = _every_character()
    return {letter: _spans("\\" + letter, text) for letter in "dws"}


def _every_character() -> str:
    """All of Unicode, in order; nothing that matters here is a surrogate, but no other code point may shift."""
    return np.arange(0x110000, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _spans(wanted: str, text: str) -> Spans:
    return tuple((run.start(), run.end() - 1) for run in re.finditer(f"{wanted}+", text))


def _others(spans: Spans) -> Spans:
    """All other characters; surrogates are none, for no text has them."""
    lows = [0, *(high + 1 for _, high in spans)]
    highs = [*(low - 1 for low, _ in spans), 0x10FFFF]
    gaps = [(low, high) for low, high in zip(lows, highs, strict=True) if low <= high]
    split = ((low, min(high, 0xD7FF)) for low, high in gaps), ((max(low, 0xE000), high) for low, high in gaps)
    return tuple((low, high) for half in split for low, high in half if low <= high)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
