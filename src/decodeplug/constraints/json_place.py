"""Where in a JSON text one is, as far as quotes and lines go."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["JsonPlace", "is_quoted"]


class JsonPlace(NamedTuple):
    """Where in a JSON text one is.

    :ivar quoted: Inside a string. :ivar escaped: Behind a backslash there. :ivar in_lines: Lines were broken outside strings.
    """

    quoted: bool = False
    escaped: bool = False
    in_lines: bool = False

    @classmethod
    def after(cls, text: bytes | bytearray) -> JsonPlace:
        """The end of a text."""
        return cls().then(text)

    def then(self, piece: bytes | bytearray) -> JsonPlace:
        """The end of a text that goes on with ``piece``."""
        quoted, escaped, in_lines = self
        for byte in piece:
            if escaped:
                escaped = False
            elif quoted and byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = not quoted
            elif byte == 0x0A and not quoted:
                in_lines = True
        return JsonPlace(quoted, escaped, in_lines)


def is_quoted(text: bytes | bytearray) -> bool:
    """Does a JSON text end inside a string?"""
    return JsonPlace.after(text).quoted
