"""Schemas that refer back to themselves without going into a value: what they mean is not defined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from decodeplug.constraints.endless_schema import target_of
from decodeplug.constraints.schema_tree import pointer_of, subschemas
from decodeplug.errors import UnsupportedSchema

__all__ = ["refuse_circles"]

_ONE = ("else", "if", "not", "then")
_LISTS = ("allOf", "anyOf", "oneOf")
_NAMED = ("dependencies", "dependentSchemas")


def refuse_circles(schema: Any) -> None:
    """Refuse a schema with a part that must be asked about the same value to answer for itself.

    :param schema: Its references are pointers within it.
    :raises UnsupportedSchema: With the place of such a reference.
    """
    done: set[int] = set()
    for path, part in subschemas(schema):
        if isinstance(part, dict) and "$ref" in part and _comes_back(schema, part, done):
            because = "it leads back to where it stands without going into the value"
            raise UnsupportedSchema("$ref", pointer_of((*path, "$ref")), because=because)


def _comes_back(schema: Any, start: dict[str, Any], done: set[int]) -> bool:
    waiting, seen = list(_in_place(schema, start)), set[int]()
    while waiting:
        part = waiting.pop()
        if part is start:
            return True
        if isinstance(part, dict) and id(part) not in seen and id(part) not in done:
            seen.add(id(part))
            waiting += _in_place(schema, part)
    done.add(id(start))
    return False


def _in_place(schema: Any, part: dict[str, Any]) -> Iterator[Any]:
    """The parts that are asked about the same value."""
    if isinstance(part.get("$ref"), str):
        yield target_of(schema, part["$ref"])
    yield from (part[keyword] for keyword in _ONE if keyword in part)
    for keyword in _LISTS:
        yield from part.get(keyword, ())
    for keyword in _NAMED:
        yield from (part.get(keyword) or {}).values()
