"""Is there no value that two options of a ``oneOf`` both allow?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from jsonschema.protocols import Validator

from decodeplug_xgrammar.forms import TYPES
from decodeplug_xgrammar.judging import has_references, judge_of

__all__ = ["are_disjoint"]


def are_disjoint(options: Sequence[Any], validator: type[Validator]) -> bool:
    """True if it is certain that no value satisfies two of these schemas.

    It is where their types differ, where one has a few values only and the other allows none of them, and where both
    require a key whose values are so.
    """
    return all(_pair(first, second, validator) for first, second in itertools.combinations(options, 2))


def _pair(first: Any, second: Any, validator: type[Validator]) -> bool:
    if not isinstance(first, dict) or not isinstance(second, dict):
        return False
    if not _types(first) & _types(second):
        return True
    for one, other in ((first, second), (second, first)):
        values = _values(one)
        if values is not None and not has_references(other):
            judge = judge_of(other, validator)
            if not any(judge.accepts(json.dumps(value).encode()) for value in values):
                return True
    if _types(first) | _types(second) != {"object"}:
        return False
    shared = set(first.get("required", ())) & set(second.get("required", ()))
    return any(
        _pair(first["properties"][key], second["properties"][key], validator)
        for key in shared
        if key in first.get("properties", {}) and key in second.get("properties", {})
    )


def _types(schema: dict[str, Any]) -> frozenset[str]:
    """The types that a value may have, integers among the numbers."""
    values = _values(schema)
    if "$ref" in schema:
        return frozenset(TYPES)
    if values is not None:
        return frozenset(map(_type_of, values))
    given = schema.get("type", TYPES)
    names = [given] if isinstance(given, str) else given
    return frozenset("number" if name == "integer" else name for name in names)


def _values(schema: dict[str, Any]) -> list[Any] | None:
    """The only values that it may allow, where it names them."""
    if "$ref" in schema:
        return None
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names[type(value)]
