"""Where in a JSON text one is, as far as quotes, lines and begun characters go."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["JsonPlace", "missing_bytes"]

_SECOND = {0xE0: 0xA0, 0xF0: 0x90}  # lead bytes whose second byte may not be 0x80


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
