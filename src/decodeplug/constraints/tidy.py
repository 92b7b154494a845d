"""What a grammar of JSON lets through and readers of JSON do not agree about: one key twice, numbers that overflow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from decodeplug.constraints.following import ends_after
from decodeplug.constraints.schema_tree import inner_schemas, subschemas
from decodeplug.contracts import Constraint

__all__ = ["Tidied", "TidyJson", "is_closed"]

_LARGEST_EXPONENT = 400  # what is beyond is infinite, or 0 written strangely
_IN_NUMBER = b"0123456789.eE+-"


class Place(NamedTuple):
    """Where in a JSON text one is.

    :ivar mode: "key", "string", "number" or "" (between them). :ivar raw: Of a key or number, what is written of it.
    :ivar awaits_key: The next string is one. :ivar is_escaped: The byte before was a backslash.
    :ivar within: The innermost object or list: its keys so far (None: a list), and what it is in itself.
    """

    mode: str = ""
    raw: bytes = b""
    awaits_key: bool = False
    is_escaped: bool = False
    within: tuple[frozenset[str] | None, Any] | None = None


class TidyJson:
    """An automaton over bytes: JSON without repeated keys and without numbers that overflow.

    It relies on the text being JSON otherwise. Keys are compared as they are read: ``"\\u0061"`` is ``"a"``.
    """

    def start(self) -> Place:
        return Place()

    def is_accepting(self, place: Place) -> bool:
        return place.within is None

    def step(self, place: Place, byte: int) -> Place | None:
        if place.mode in ("key", "string"):
            return self._in_string(place, byte)
        if place.mode == "number":
            if byte in _IN_NUMBER:
                raw = place.raw + bytes([byte])
                return place._replace(raw=raw) if _is_finite(raw) else None
            place = place._replace(mode="", raw=b"")
        return self._between(place, byte)

    def _in_string(self, place: Place, byte: int) -> Place | None:
        raw = place.raw + bytes([byte]) if place.mode == "key" else b""
        if place.is_escaped or byte == 0x5C:
            return place._replace(raw=raw, is_escaped=not place.is_escaped)
        if byte != 0x22:
            return place._replace(raw=raw) if place.mode == "key" else place
        return place._replace(mode="", raw=b"") if place.mode == "string" else self._with_key(place, raw)

    def _with_key(self, place: Place, raw: bytes) -> Place | None:
        assert place.within is not None
        keys, outside = place.within
        key = json.loads(raw, strict=False)
        if keys is None or key in keys:
            return None
        return place._replace(mode="", raw=b"", awaits_key=False, within=(keys | {key}, outside))

    def _between(self, place: Place, byte: int) -> Place | None:
        within = place.within
        match byte:
            case 0x22:  # "
                return place._replace(mode="key", raw=b'"') if place.awaits_key else place._replace(mode="string")
            case 0x7B:  # {
                return Place(awaits_key=True, within=(frozenset(), within))
            case 0x5B:  # [
                return Place(within=(None, within))
            case 0x7D | 0x5D:  # } ]
                return Place(within=None if within is None else within[1])  # where the text begins within one
            case 0x2C:  # ,
                return place._replace(awaits_key=within is not None and within[0] is not None)
            case _:
                return place._replace(mode="number", raw=bytes([byte])) if byte in b"-0123456789" else place


def _is_finite(raw: bytes) -> bool:
    """Can this number, or the beginning of one, be read? An exponent that would make it small again is not waited for."""
    _, _, exponent = raw.lower().partition(b"e")
    if exponent.lstrip(b"+-") and abs(int(exponent)) > _LARGEST_EXPONENT:
        return False
    return not raw[-1:].isdigit() or math.isfinite(float(raw))


class Tidied:
    """A constraint, and an automaton that refuses what the mask of the constraint allows. Implements ``contracts.Constraint``."""

    refuses_late = True
    needs_witness = True

    def __init__(self, inner: Constraint, token_bytes: Callable[[int], bytes]) -> None:
        self.name = self.kind = getattr(inner, "kind", type(inner).__name__)
        self.spoken_ids = getattr(inner, "spoken_ids", frozenset[int]())
        self.is_exact = getattr(inner, "is_exact", False)
        self._inner, self._bytes, self._automaton = inner, token_bytes, TidyJson()

    def start(self) -> tuple[Any, Place]:
        return self._inner.start(), self._automaton.start()

    def allowed(self, state: tuple[Any, Place]) -> Tensor:
        """Which ids may follow; ``advance`` may refuse some of them."""
        return self._inner.allowed(state[0])

    def advance(self, state: tuple[Any, Place], token: int) -> tuple[Any, Place] | None:
        inner = self._inner.advance(state[0], token)
        place = None if inner is None else self._then(state[1], self._bytes(token))
        return None if place is None else (inner, place)

    def _then(self, place: Place, piece: bytes) -> Place | None:
        for byte in piece:
            after = self._automaton.step(place, byte)
            if after is None:
                return None
            place = after
        return place

    def ends_after(self, state: tuple[Any, Place], ids: Sequence[int]) -> bool:
        """May the text go on with these ids, and end there?"""
        if not ends_after(self._inner, state[0], ids):
            return False
        return self._then(state[1], b"".join(map(self._bytes, ids))) is not None

    def forced(self, state: tuple[Any, Place]) -> tuple[int, ...]:
        return tuple(self._inner.forced(state[0]))

    def is_accepting(self, state: tuple[Any, Place]) -> bool:
        return self._inner.is_accepting(state[0])

    def is_complete(self, state: tuple[Any, Place]) -> bool:
        return self._inner.is_complete(state[0])


def is_closed(schema: Any) -> bool:
    """Is it certain that no text of a schema repeats a key or has a number that overflows? True if each part says enough."""
    definitions = (
        inner
        for _, part in subschemas(schema)
        for keyword in ("$defs", "definitions")
        for inner in (part.get(keyword, {}).values() if isinstance(part, dict) else ())
    )
    return _is_closed(schema) and all(map(_is_closed, definitions))


def _is_closed(part: Any) -> bool:
    if not isinstance(part, dict):
        return part is False
    if {"$ref", "const", "enum"} & part.keys() or any(map(_is_closed, part.get("allOf", ()))):
        return True
    if any(keyword in part and all(map(_is_closed, part[keyword])) for keyword in ("anyOf", "oneOf")):
        return True
    inside = (inner for step, inner in inner_schemas(part) if step[0] in _OF_VALUES)
    return _says_enough(part) and all(map(_is_closed, inside))


def _says_enough(part: Mapping[str, Any]) -> bool:
    """Does a part say by its own type which keys and numbers there are?"""
    kinds = part.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    limits = [{f"{end}imum", f"exclusive{end.title()}imum"} & part.keys() for end in ("min", "max")]
    if {"integer", "number"} & kinds and not all(limits):
        return False
    if "object" in kinds and (part.get("additionalProperties") is not False or "patternProperties" in part):
        return False
    items = "additionalItems" if isinstance(part.get("items"), list) else "items"
    return bool(kinds) and ("array" not in kinds or items in part)


_OF_VALUES = frozenset({"additionalItems", "items", "prefixItems", "properties"})
