"""Ends for a JSON text that was begun, after the pattern of a whole value: what the text has left open is closed, and what
the pattern has besides is written behind it, in whatever order the text has its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

__all__ = ["completions"]

_PART = re.compile(rb'"(?:[^"\\]|\\.)*+("|\\)?|[{}\[\],:]|[^\s{}\[\],:"]+|\s+', re.DOTALL)
_UNKNOWN = object()
_GUESSES = (b'""', b'"a"', b"0", b"[]", b"{}", b"null", b"true")
"""Values, of each type one or two, where the pattern has none."""
_DEFAULT_WIDTH = 2
_KEYS = 6  # hints that are tried as a key,
_HINTS = 8  # and as a value


@dataclass
class _Open:
    """An object or list that is open.

    :ivar like: What the pattern has there. :ivar keys: Of an object, the keys so far. :ivar count: Values begun in it.
    :ivar awaits: "first" (key, value or the end), "key", "colon", "value" or "more" (a comma or the end).
    """

    is_object: bool
    like: Any
    keys: list[str] = field(default_factory=list)
    count: int = 0
    awaits: str = "first"

    def value_like(self, begun: int) -> Any:
        """What the pattern has for the value of the last key, or for that value of a list, which may have more of them."""
        if self.is_object:
            return self.like.get(self.keys[-1], _UNKNOWN) if isinstance(self.like, dict) else _UNKNOWN
        return self.like[min(begun, len(self.like)) - 1] if isinstance(self.like, list) and self.like else _UNKNOWN

    def missing(self) -> list[tuple[str, Any]]:
        """What the pattern has besides; the keys of a list's values mean nothing."""
        if self.is_object:
            named = self.like.items() if isinstance(self.like, dict) else ()
            return [(name, value) for name, value in named if name not in self.keys]
        begun = self.count + (self.awaits == "value")
        return [("", value) for value in self.like[begun:]] if isinstance(self.like, list) else []


@dataclass(frozen=True)
class _Begun:
    """A text that was read.

    :ivar frames: What is open, the outermost first. :ivar like: What the pattern has for the whole.
    :ivar rest: A key, string, number or word that the text ends in. :ivar margin: The whitespace that it ends in.
    :ivar width: Spaces of a step, if lines were broken. :ivar is_whole: Nothing is missing at all.
    """

    frames: list[_Open]
    like: Any
    rest: bytes
    margin: bytes
    width: int | None
    is_whole: bool


def completions(text: bytes, pattern: Any, hints: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Ends for ``text``, the likeliest first: a few, of which none need be valid.

    :param text: The beginning of a JSON text; if it ends within a character, the ends go on behind that one.
    :param pattern: A value. Where the text is like it, so are the ends. :param hints: Values and keys, as JSON, that are
        tried where it is not.
    """
    begun = _read(text, pattern)
    if begun is None or begun.is_whole:
        return
    writers = [_Writer(begun.width, b", ", b": ")]
    if begun.width is None:
        writers.append(_Writer(None, b",", b":"))
    for writer in writers:
        for start, adds_member in _starts(begun, writer, hints):
            end = writer.closed(begun, start, adds_member)
            if end is not None:
                yield end


def _read(text: bytes, pattern: Any) -> _Begun | None:
    """Follow a text; None if it is no beginning of JSON, as far as can be seen here."""
    frames: list[_Open] = []
    rest, margin, width, is_whole = b"", b"", None, False
    for match in _PART.finditer(text):
        part = match[0]
        rest, margin = b"", b""
        if part.isspace():
            margin = part
            if b"\n" in part and width is None:
                spaces = len(part) - 1
                width = max(spaces, _DEFAULT_WIDTH) if match.end() == len(text) else spaces
            continue
        top = frames[-1] if frames else None
        if part in b"{[":
            like = pattern if top is None else _next_value(top)
            frames.append(_Open(part == b"{", like))
        elif part in b"}]":
            if top is None:
                return None
            frames.pop()
            is_whole = not frames
        elif part == b":" and top is not None and top.keys:
            top.awaits = "value"
        elif part == b"," and top is not None:
            top.awaits = "key" if top.is_object else "value"
        elif part in b",:":
            return None
        else:
            is_open = match.end() == len(text) and match[1] != b'"'
            rest = part if is_open else b""
            if top is not None and top.is_object and top.awaits in ("first", "key"):
                if not is_open:
                    key = _loaded(part)
                    if not isinstance(key, str):
                        return None
                    top.keys.append(key)
                    top.awaits = "colon"
            elif top is not None:
                _next_value(top)
            else:
                is_whole = not is_open
    return _Begun(frames, pattern, rest, margin, width, is_whole)


def _next_value(frame: _Open) -> Any:
    frame.count += 1
    frame.awaits = "more"
    return frame.value_like(frame.count)


def _loaded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _starts(begun: _Begun, writer: _Writer, hints: Sequence[bytes]) -> Iterator[tuple[bytes, str | None]]:
    """How what is begun may go on until it may be closed, and the key that was written by that."""
    frame = begun.frames[-1] if begun.frames else None
    depth = len(begun.frames)
    if frame is None:
        for value in _values(begun.like, begun.rest, writer, 0, hints):
            yield value, None
    elif frame.is_object and frame.awaits == "first" and not begun.rest:
        yield b"", None
    elif frame.is_object and frame.awaits in ("first", "key"):
        yield from _members(frame, begun, writer, hints)
    elif frame.awaits == "colon":
        for value in _values(frame.value_like(0), b"", writer, depth, hints):
            yield writer.colon + value, None
    elif frame.awaits == "value":
        after = writer.colon if frame.is_object else writer.comma
        for value in _values(frame.value_like(frame.count + 1), b"", writer, depth, hints):
            yield writer.gap(begun, None if frame.is_object else depth, after) + value, None
    elif begun.rest:
        for value in _values(frame.value_like(frame.count), begun.rest, writer, depth, hints):
            yield value, None
    else:
        yield b"", None


def _members(
    frame: _Open, begun: _Begun, writer: _Writer, hints: Sequence[bytes]
) -> Iterator[tuple[bytes, str | None]]:
    """How a key may go on of which ``begun.rest`` is written, with its value; and the key, where the pattern has it."""
    rest, depth = begun.rest, len(begun.frames)
    gap = b"" if rest else writer.gap(begun, depth, writer.comma)
    for name, value in frame.missing():
        key = _dumped(name)
        if key.startswith(rest):
            yield gap + key[len(rest) :] + writer.colon + writer.dumped(value, depth), name
    keys = [hint for hint in hints if hint.startswith(rest or b'"') and hint.endswith(b'"')][:_KEYS]
    for key in (*keys, (rest or b'"a') + (b'n"' if rest.endswith(b"\\") else b'"')):
        for value in _GUESSES:
            yield gap + key[len(rest) :] + writer.colon + value, ""


def _values(like: Any, rest: bytes, writer: _Writer, depth: int, hints: Sequence[bytes]) -> Iterator[bytes]:
    """How a value may go on of which ``rest`` is written."""
    known = b"" if like is _UNKNOWN else writer.dumped(like, depth)
    if known.startswith(rest) and known:
        yield known[len(rest) :]
    if rest.startswith(b'"'):
        yield b'n"' if rest.endswith(b"\\") else b'"'
    elif rest[:1].isalpha():
        yield from (word[len(rest) :] for word in (b"true", b"false", b"null") if word.startswith(rest))
    elif rest:
        yield from (b"", b"0", b"1")
    elif not known:
        yield from _GUESSES
    if rest or not known:
        yield from [hint[len(rest) :] for hint in hints if hint.startswith(rest)][:_HINTS]


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def _plain(number: Decimal) -> float:
    return int(number) if number == number.to_integral_value() else float(number)


@dataclass(frozen=True)
class _Writer:
    """Writes JSON in one layout.

    :ivar width: Spaces of a step if lines are broken, else None. :ivar comma: A comma and what follows it in a line.
    :ivar colon: A colon and what follows it.
    """

    width: int | None
    comma: bytes
    colon: bytes

    def _line(self, depth: int) -> bytes:
        return b"" if self.width is None else b"\n" + b" " * (self.width * depth)

    def dumped(self, value: Any, depth: int) -> bytes:
        """A value that stands at a depth; lines of its own begin there."""
        separators = (self.comma.decode() if self.width is None else ",", self.colon.decode())
        text = json.dumps(value, ensure_ascii=False, indent=self.width, separators=separators, default=_plain)
        return text.encode("utf-8", "replace").replace(b"\n", self._line(depth) or b"\n")

    def member(self, name: str, value: Any, depth: int) -> bytes:
        return _dumped(name) + self.colon + self.dumped(value, depth)

    def gap(self, begun: _Begun, depth: int | None, behind: bytes) -> bytes:
        """The whitespace before a value that is still to be written.

        :param depth: Of the line that begins there; None if none does. :param behind: A comma or colon, with its own.
        """
        due = behind[1:] if self.width is None or depth is None else self._line(depth)
        return due[len(begun.margin) :] if due.startswith(begun.margin) else b""

    def closed(self, begun: _Begun, start: bytes, added: str | None) -> bytes | None:
        """An end that begins with ``start``, which writes the key ``added`` or none."""
        out, depth = bytearray(start), len(begun.frames)
        for index, frame in enumerate(reversed(begun.frames)):
            left = [(name, value) for name, value in frame.missing() if index or name != added or not frame.is_object]
            has_any = bool(frame.count or frame.keys or (not index and (added is not None or start)))
            for name, value in left:
                between = b"" if not has_any else b"," if self.width is not None else self.comma
                between += self._line(depth)
                out += self._joined(begun, out, between)
                out += self.member(name, value, depth) if frame.is_object else self.dumped(value, depth)
                has_any = True
            depth -= 1
            out += self._joined(begun, out, self._line(depth) if has_any else b"")
            out += b"}" if frame.is_object else b"]"
        return bytes(out) or None

    def _joined(self, begun: _Begun, out: bytearray, gap: bytes) -> bytes:
        """A gap, less what the text has of it already."""
        return gap if out or begun.rest or not gap.startswith(begun.margin) else gap[len(begun.margin) :]
