"""Where whitespace stands in a JSON text that is written over several lines, as a matter of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Indented", "Place"]

_WIDEST = 8  # spaces of one step, where the text says itself how many it has
_OPENING, _CLOSING = b"{[", b"}]"


class Place(NamedTuple):
    """Where in the text one is.

    :ivar mode: "value" (in or behind one), "start" (before one), "string", "escape", "open" (behind an opening
        bracket), "break" (a new line is due), "space" (a space is due), "margin" (of a new line), "end" (of
        a line that has a closing bracket only), "measured" (of the first line, which says how wide a step is).
    :ivar depth: Open brackets. :ivar width: Spaces of a step; 0 before it is known. :ivar spaces: Written so far in this line.
    """

    mode: str
    depth: int
    width: int
    spaces: int = 0


@dataclass(frozen=True, slots=True)
class Indented:
    """JSON whose objects and lists are broken into lines, as ``json.dumps(value, indent=width)`` breaks them.

    An automaton over bytes (:class:`decodeplug.constraints.byte_masks.Automaton`). It says where
    whitespace stands and nothing else: what a JSON text is, others say.

    :param width: Spaces of each step; None for as many as the first line has, 1 to 8.
    """

    width: int | None = None

    def start(self) -> Place:
        return Place("start", 0, self.width or 0)

    def is_accepting(self, place: Place) -> bool:
        return place.mode == "value" and place.depth == 0

    def step(self, place: Place, byte: int) -> Place | None:
        mode, depth, width, spaces = place
        match mode:
            case "string":
                return place if byte not in b'"\\' else Place("value" if byte == 0x22 else "escape", depth, width)
            case "escape":
                return Place("string", depth, width)
            case "value":
                return _behind_value(place, byte)
            case "start":
                return _value_at(place, byte)
            case "open":
                if byte in _CLOSING:
                    return Place("value", depth - 1, width)
                return Place("margin" if width else "measured", depth, width) if byte == 0x0A else None
            case "break":
                return Place("margin", depth, width) if byte == 0x0A else None
            case "space":
                return Place("start", depth, width) if byte == 0x20 else None
            case "measured":
                if byte == 0x20:
                    return Place(mode, depth, 0, spaces + 1) if spaces < _WIDEST else None
                return _value_at(Place("start", depth, spaces), byte) if spaces else None
            case _:
                return _in_margin(place, byte)


def _in_margin(place: Place, byte: int) -> Place | None:
    """In the spaces at the beginning of a line, which has a value or, one step less deep, a closing bracket."""
    mode, depth, width, spaces = place
    is_last = mode == "end"
    if spaces < width * (depth - is_last):
        return place._replace(spaces=spaces + 1) if byte == 0x20 else None
    if is_last:
        return Place("value", depth - 1, width) if byte in _CLOSING else None
    return _value_at(place, byte)


def _behind_value(place: Place, byte: int) -> Place | None:
    _, depth, width, _ = place
    if byte == 0x2C:
        return Place("break", depth, width) if depth else None
    if byte == 0x3A:
        return Place("space", depth, width)
    if byte == 0x0A:
        return Place("end", depth, width) if depth else None
    return None if byte in b' \t\r"{[}]' else place  # one more byte of a number or a word


def _value_at(place: Place, byte: int) -> Place | None:
    _, depth, width, _ = place
    if byte == 0x22:
        return Place("string", depth, width)
    if byte in _OPENING:
        return Place("open", depth + 1, width)
    return None if byte in b" \t\r\n}],:" else Place("value", depth, width)
