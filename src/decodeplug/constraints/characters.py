"""From what character may follow to what byte may follow."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

__all__ = ["ByCharacter"]

_CODES = {  # number of bytes -> first and last code point; surrogates are no characters
    2: [(0x80, 0x7FF)],
    3: [(0x800, 0xD7FF), (0xE000, 0xFFFF)],
    4: [(0x10000, 0x10FFFF)],
}


@dataclass(frozen=True)
class ByCharacter:
    """A constraint by characters, as one by bytes.

    A state is the author's and the bytes of a character that is not complete yet. The first bytes of a
    character are taken only if some character that begins with them is.

    :param characters: Those that may occur; None for any.
    """

    first: Callable[[], Any]
    after: Callable[[Any, str], Any | None]
    accepts: Callable[[Any], bool]
    characters: str | None
    _open: dict[tuple[Any, bytes], bool] = field(default_factory=dict, compare=False)

    def start(self) -> Hashable:
        return (self.first(), b"")

    def is_accepting(self, state: Any) -> bool:
        return not state[1] and self.accepts(state[0])

    def step(self, state: Any, byte: int) -> Any | None:
        inner, begun = state
        text = begun + bytes([byte])
        if _length(text[0]) > len(text):
            return (inner, text) if self._is_open(inner, text) else None
        try:
            char = text.decode()
        except UnicodeDecodeError:
            return None
        if self.characters is not None and char not in self.characters:
            return None
        following = self.after(inner, char)
        return None if following is None else (following, b"")

    @cached_property
    def _beyond_ascii(self) -> list[tuple[bytes, str]]:
        """The characters of more than one byte that may occur, where they are listed."""
        return [(char.encode(), char) for char in dict.fromkeys(self.characters or "") if char > "\x7f"]

    def _is_open(self, inner: Any, begun: bytes) -> bool:
        """May a character that begins with these bytes follow?"""
        known = self._open.get((inner, begun))
        if known is None:
            if len(self._open) >= 1 << 16:
                self._open.clear()
            known = self._open[inner, begun] = any(
                self.after(inner, char) is not None for char in self._beginning_with(begun)
            )
        return known

    def _beginning_with(self, begun: bytes) -> Iterator[str]:
        if self.characters is not None:
            return (char for spelt, char in self._beyond_ascii if spelt.startswith(begun))
        return _of_unicode(begun)


def _of_unicode(begun: bytes) -> Iterator[str]:
    """Every character whose bytes begin with these."""
    missing = _length(begun[0]) - len(begun)
    value = begun[0] & (0x7F >> _length(begun[0]))
    for byte in begun[1:]:
        if byte & 0xC0 != 0x80:
            return
        value = value << 6 | byte & 0x3F
    low, high = value << 6 * missing, ((value + 1) << 6 * missing) - 1
    for first, last in _CODES[_length(begun[0])]:
        for code in range(max(low, first), min(high, last) + 1):
            yield chr(code)


def _length(lead: int) -> int:
    """How many bytes a character that begins with this one has; 1 where none does."""
    return 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 1
