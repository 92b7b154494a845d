"""What the mask engine can follow of a schema: more than the schema allows, never less.

Keywords that the engine cannot enforce are left out. What is lost by that is for the judge to find
while the text is written (:mod:`decodeplug.constraints.judged`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from decodeplug.constraints.schema_tree import changed, pointer_of, subschemas

__all__ = ["Left", "left_to_judge", "loosened"]

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


_JUDGED_FORMATS = frozenset({"idn-email", "json-pointer"})
"""Formats that the engine does not know and the judge checks exactly. It is too lenient with the others: they are refused."""


@dataclass(frozen=True, slots=True)
class Left:
    """A keyword that is not in the mask, and where it stands."""

    keyword: str
    pointer: str


def left_to_judge(schema: Any, formats: Container[str] = ()) -> tuple[Left, ...]:
    """The keywords of a schema that the mask leaves to the judge.

    :param formats: The formats that the judge can check.
    """
    return tuple(
        Left(keyword, pointer_of((*path, keyword)))
        for path, part in subschemas(schema)
        if isinstance(part, dict)
        for keyword in part
        if _is_left(keyword, part, formats)
    )


def _is_left(keyword: str, part: Mapping[str, Any], formats: Container[str]) -> bool:
    if keyword == "format":
        return part[keyword] in _JUDGED_FORMATS and part[keyword] in formats
    if keyword in ("maxProperties", "minProperties"):
        # The engine counts keys only where all of them must be there.
        return not set(part.get("properties", ())) <= set(part.get("required", ()))
    if keyword == "patternProperties":
        return len(part[keyword]) > 1  # patterns that overlap are refused
    return keyword in _LEFT_OUT or keyword == "oneOf"  # of overlapping options, one must hold


def loosened(schema: Any, formats: Container[str] = ()) -> Any:
    """A schema that allows all that ``schema`` allows, in keywords that the engine can enforce.

    :param schema: Not modified. :param formats: The formats that the judge can check.
    """
    return changed(schema, lambda part: _loosen(part, formats))


def _loosen(part: dict[str, Any], formats: Container[str]) -> dict[str, Any]:
    left = [keyword for keyword in part if keyword != "oneOf" and _is_left(keyword, part, formats)]
    if "patternProperties" in left:
        part.pop("additionalProperties", None)  # which keys it speaks of, the patterns say
    for keyword in left:
        del part[keyword]
    return part
