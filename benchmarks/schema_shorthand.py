"""Short ways to write the JSON schemas of the benchmark's cases."""

from __future__ import annotations

from typing import Any

__all__ = ["DATE", "FLAG", "TIME", "closed", "list_of", "number", "one_of", "text", "whole"]

DATE = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
TIME = {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}
FLAG = {"type": "boolean"}


def text(longest: int, shortest: int = 1) -> dict[str, Any]:
    """A string of so many characters."""
    return {"type": "string", "minLength": shortest, "maxLength": longest}


def whole(smallest: int, largest: int) -> dict[str, Any]:
    """A whole number in a range."""
    return {"type": "integer", "minimum": smallest, "maximum": largest}


def number(smallest: int, largest: int) -> dict[str, Any]:
    """A number in a range, fractions allowed."""
    return {"type": "number", "minimum": smallest, "maximum": largest}


def list_of(items: dict[str, Any], fewest: int, most: int) -> dict[str, Any]:
    """An array of so many items."""
    return {"type": "array", "items": items, "minItems": fewest, "maxItems": most}


def one_of(*values: str) -> dict[str, Any]:
    """One of these strings."""
    return {"type": "string", "enum": list(values)}


def closed(optional: tuple[str, ...] = (), /, **properties: dict[str, Any]) -> dict[str, Any]:
    """A closed object; every key is required except those named as optional."""
    required = [key for key in properties if key not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
