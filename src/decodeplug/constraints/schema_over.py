"""What the mask engine can follow of a schema: more than the schema allows, never less.

Keywords that the engine cannot enforce are left out. What is lost by that is for the judge to find
while the text is written (:mod:`decodeplug.constraints.witnessed`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeGuard

from decodeplug.constraints.formats import JUDGED_FORMATS, WIDE_FORMATS
from decodeplug.constraints.schema_tree import changed, pointer_of, subschemas

__all__ = ["Left", "in_any_order", "keyed", "left_to_judge", "loosened", "too_wide"]

_LEFT_OUT = frozenset(
    [
        "$dynamicAnchor",
        "$dynamicRef",
        "$recursiveAnchor",
        "$recursiveRef",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    ]
)
_NAME = re.compile(r"\^(?:\w|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*\$")  # as in_any_order writes it
_REMAINDERS = 20  # that the engine's automaton for a ``multipleOf`` may tell apart; a thousand take it a second


@dataclass(frozen=True, slots=True)
class Left:
    """A keyword that is not in the mask, and where it stands."""

    keyword: str
    pointer: str


def left_to_judge(schema: Any) -> tuple[Left, ...]:
    """The keywords of a schema that the mask leaves to the judge."""
    return tuple(
        Left(keyword, pointer_of((*path, keyword)))
        for path, part in subschemas(schema)
        if isinstance(part, dict)
        for keyword in part
        if _is_left(keyword, part)
    )


def _is_left(keyword: str, part: Mapping[str, Any]) -> bool:
    if keyword == "format":
        return part[keyword] in JUDGED_FORMATS
    if keyword in ("maxProperties", "minProperties"):
        # The engine counts keys only where all of them must be there.
        return not set(part.get("properties", ())) <= set(part.get("required", ()))
    if keyword == "multipleOf":
        return _has_many_remainders(part[keyword])
    if keyword == "patternProperties":
        # Patterns that overlap are refused; those of whole names do not.
        return len(part[keyword]) > 1 and not all(map(_NAME.fullmatch, part[keyword]))
    return keyword in _LEFT_OUT or keyword == "oneOf"  # of overlapping options, one must hold


def _has_many_remainders(multiple: float) -> bool:
    """Must who reads a number digit by digit tell many remainders apart, to know whether it is a multiple?"""
    count = int("".join(map(str, Decimal(repr(multiple)).as_tuple().digits)))
    for easy in (2, 5):  # the last digits say whether it divides
        while count and count % easy == 0:
            count //= easy
    return count > _REMAINDERS


def too_wide(schema: Any) -> tuple[Left, ...]:
    """The keywords of a schema that the mask enforces, but not to the letter: the judge must look as well."""
    parts = [(path, part) for path, part in subschemas(schema) if isinstance(part, dict)]
    formats = [(path, "format") for path, part in parts if part.get("format") in WIDE_FORMATS]
    return tuple(Left(keyword, pointer_of((*path, keyword))) for path, keyword in (*formats, *_narrow(parts)))


def _narrow(parts: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[tuple[tuple[Any, ...], str]]:
    """Exclusive bounds that the engine takes for inclusive ones: whole numbers, with a bound on the other side (wherever
    in the schema: parts may hold together) less than 1 away."""
    others = {
        "exclusiveMinimum": _numbers(parts, "maximum", "exclusiveMaximum"),
        "exclusiveMaximum": _numbers(parts, "minimum", "exclusiveMinimum"),
    }
    return [
        (path, keyword)
        for path, part in parts
        for keyword, bounds in others.items()
        if _is_number(bound := part.get(keyword))
        and bound % 1 == 0
        and any(0 < abs(other - bound) < 1 for other in bounds)
    ]


def _numbers(parts: Sequence[tuple[tuple[Any, ...], dict[str, Any]]], *keywords: str) -> set[float]:
    return {part[keyword] for _, part in parts for keyword in keywords if _is_number(part.get(keyword))}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def keyed(schema: Any) -> tuple[Left, ...]:
    """The keywords that say which keys an object has."""
    return tuple(
        Left(keyword, pointer_of((*path, keyword)))
        for path, part in subschemas(schema)
        for keyword in ("properties", "required")
        if isinstance(part, dict) and part.get(keyword)
    )


def in_any_order(schema: Any) -> Any:
    """A schema that allows all that ``schema`` allows, and whose keys the engine lets come in any order, and again.

    :param schema: Not modified.
    """
    return changed(schema, _any_order)


def _any_order(part: dict[str, Any]) -> dict[str, Any]:
    if "properties" in part or "required" in part:
        for keyword in ("allOf", "anyOf", "oneOf"):  # the engine does not see which patterns of names are the same
            part.pop(keyword, None)
    if part.get("properties"):
        named = {f"^{_literally(name)}$": inner for name, inner in part.pop("properties").items()}
        part["patternProperties"] = {**named, **part.get("patternProperties", {})}
    part.pop("required", None)
    return part


def _literally(text: str) -> str:
    return "".join(char if char.isalnum() or char == "_" else _escaped(ord(char)) for char in text)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def loosened(schema: Any) -> Any:
    """A schema that allows all that ``schema`` allows, in keywords that the engine can enforce.

    :param schema: Not modified.
    """
    return changed(schema, _loosen)


def _loosen(part: dict[str, Any]) -> dict[str, Any]:
    left = [keyword for keyword in part if keyword != "oneOf" and _is_left(keyword, part)]
    if "patternProperties" in left:
        part.pop("additionalProperties", None)  # which keys it speaks of, the patterns say
    for keyword in left:
        del part[keyword]
    return part
