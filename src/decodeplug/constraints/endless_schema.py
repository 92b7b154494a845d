"""Parts of a schema that only values without end could satisfy: each value would have another one in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from decodeplug.constraints.schema_tree import subschemas

__all__ = ["target_of", "without_endless"]


def without_endless(schema: Any) -> Any:
    """The same schema with such parts made False, which allows the same values; False where that is the schema itself.

    :param schema: Not modified; its references are pointers within it.
    """
    parts = [part for _, part in subschemas(schema) if isinstance(part, dict)]
    if not any("$ref" in part for part in parts):
        return schema
    ends: set[int] = set()  # parts that some finite value satisfies, as far as is known

    def knows(inner: Any) -> bool:
        part = target_of(schema, inner) if isinstance(inner, str) else inner
        return id(part) in ends if isinstance(part, dict) else part is not False

    more = True
    while more:  # the least fixed point
        found = {id(part) for part in parts if id(part) not in ends and _ends(part, knows)}
        ends |= found
        more = bool(found)
    endless = {id(part) for part in parts} - ends
    return _replaced(schema, endless) if endless else schema


def _ends(part: dict[str, Any], knows: Callable[[Any], bool]) -> bool:
    """Does a finite value satisfy a part, if those that are known do?"""
    if "$ref" in part and not knows(part["$ref"]):
        return False
    if not all(map(knows, part.get("allOf", ()))):
        return False
    if not all(any(map(knows, part[keyword])) for keyword in ("anyOf", "oneOf") if keyword in part):
        return False
    if part.get("type") in ("object", ["object"]):
        named, required = part.get("properties", {}), part.get("required")
        return all(knows(named[name]) for name in required or () if name in named)
    return all(map(knows, _first_items(part))) if part.get("type") in ("array", ["array"]) else True


def _first_items(part: dict[str, Any]) -> list[Any]:
    """The schemas of the items that must be there."""
    least, items = int(part.get("minItems", 0)), part.get("items", True)
    first = part.get("prefixItems", items if isinstance(items, list) else [])
    others = part.get("additionalItems", True) if isinstance(items, list) else items
    needed = [*first[:least], *([others] if least > len(first) else [])]
    return [*needed, *([part["contains"]] if "contains" in part and part.get("minContains", 1) > 0 else [])]


def target_of(schema: Any, reference: str) -> Any:
    """What a reference leads to; True where it leads nowhere, which is for others to say."""
    here = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(here, list):
            here = here[int(name)] if name.isdigit() and int(name) < len(here) else True
        else:
            here = here.get(name, True) if isinstance(here, dict) else True
    return here


def _replaced(here: Any, endless: set[int]) -> Any:
    if id(here) in endless:
        return False
    if isinstance(here, dict):
        return {keyword: _replaced(value, endless) for keyword, value in here.items()}
    return [_replaced(value, endless) for value in here] if isinstance(here, list) else here
