"""Pieces of JSON that a schema speaks of: they are worth trying where a text that satisfies it is looked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from decodeplug.constraints.schema_tree import subschemas

__all__ = ["hints_of"]

_MOST = 200


def hints_of(schema: Any) -> tuple[bytes, ...]:
    """Values and keys, as JSON: constants, enums, examples, names of properties."""
    found: dict[bytes, None] = {}
    for _, part in subschemas(schema):
        if isinstance(part, dict):
            found.update(
                dict.fromkeys(json.dumps(hint, ensure_ascii=False).encode("utf-8", "ignore") for hint in _in(part))
            )
    return tuple(found)[:_MOST]


def _in(part: dict[str, Any]) -> Iterator[Any]:
    for keyword in ("const", "default"):
        if keyword in part:
            yield part[keyword]
    for keyword in ("enum", "examples", "required"):
        if isinstance(part.get(keyword), list):
            yield from part[keyword]
    for keyword in ("properties", "dependentRequired", "dependentSchemas", "dependencies"):
        if isinstance(part.get(keyword), dict):
            yield from part[keyword]
    if isinstance(part.get("dependentRequired"), dict):
        for names in part["dependentRequired"].values():
            yield from names
