"""Where the schemas inside a JSON schema are, and changing them without changing the original."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Any

__all__ = ["changed", "inner_schemas", "pointer_of", "subschemas"]

_ONE = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})


def pointer_of(path: Iterator[object] | tuple[object, ...] | list[object]) -> str:
    """A JSON pointer (RFC 6901); empty for the top."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def inner_schemas(schema: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The schemas directly inside ``schema``, each with its path. A value that is no schema is passed over."""
    for keyword, value in schema.items():
        if keyword in _ONE and isinstance(value, dict | bool):
            yield (keyword,), value
        elif keyword in _LIST and isinstance(value, list):
            yield from (((keyword, index), item) for index, item in enumerate(value))
        elif keyword in _NAMED and isinstance(value, dict):
            yield from (((keyword, name), item) for name, item in value.items() if isinstance(item, dict | bool))


def subschemas(schema: Any, known: Container[str] | None = None) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every schema in ``schema``, itself first, with its path; depth first, without recursion.

    Names of properties, enum values, examples and defaults are no schemas.

    :param known: Keywords of the draft: what stands under others is not looked at.
    """
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), schema)]
    while stack:
        path, here = stack.pop()
        yield path, here
        if isinstance(here, dict):
            inside = [(step, inner) for step, inner in inner_schemas(here) if known is None or str(step[0]) in known]
            stack += [((*path, *step), inner) for step, inner in reversed(inside)]


def changed(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A copy with ``change`` applied to each schema in it, inner ones first.

    :param change: Gets a shallow copy that it may modify, and returns it.
    """
    if not isinstance(schema, dict):
        return schema
    copy = dict(schema)
    for path, inner in inner_schemas(schema):
        replaced = changed(inner, change)
        if len(path) == 1:
            copy[str(path[0])] = replaced
            continue
        keyword = str(path[0])
        if copy[keyword] is schema[keyword]:
            copy[keyword] = schema[keyword].copy()
        copy[keyword][path[1]] = replaced
    return change(copy)
