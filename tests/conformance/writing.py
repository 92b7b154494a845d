"""Instances as JSON texts: numbers as the suite writes them, keys in the order of the schema."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.suite import Number

from decodeplug.constraints.schema_tree import subschemas

__all__ = ["forms"]

_MOST = 120  # orders of keys that are tried: all of an object with five keys


def forms(value: Any, schema: Any) -> Iterator[str]:
    """The texts of one instance, the likeliest first; they differ in the order of keys alone.

    First the order that the schema names keys in, then as the suite has them, then other orders.
    """
    ranks = _ranks(schema)
    values = itertools.chain((_sorted(value, ranks),), itertools.islice(_orders(value), _MOST))
    return iter(dict.fromkeys(map(json_text, values)))


def json_text(value: Any) -> str:
    """A value as JSON text, one space behind commas and colons."""
    if isinstance(value, Number):
        return value.digits
    if isinstance(value, list):
        return f"[{', '.join(map(json_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json_text(key)}: {json_text(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _ranks(schema: Any) -> Mapping[str, int]:
    """Key -> its place among all keys that some ``properties`` of the schema has, or else some ``required``."""
    parts = [part for _, part in subschemas(schema) if isinstance(part, dict)]
    named = [key for part in parts if isinstance(part.get("properties"), dict) for key in part["properties"]]
    wanted = [key for part in parts if isinstance(part.get("required"), list) for key in part["required"]]
    return {key: rank for rank, key in enumerate(dict.fromkeys([*named, *wanted]))}


def _sorted(value: Any, ranks: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_sorted(inner, ranks) for inner in value]
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: ranks.get(pair[0], len(ranks)))
        return {key: _sorted(inner, ranks) for key, inner in pairs}
    return value


def _orders(value: Any) -> Iterator[Any]:
    """The value with its keys in every order, as given first."""
    if isinstance(value, list):
        inner = [list(itertools.islice(_orders(item), _MOST)) for item in value]
        yield from map(list, itertools.product(*inner))
    elif isinstance(value, dict):
        choices = {key: list(itertools.islice(_orders(item), _MOST)) for key, item in value.items()}
        for keys in itertools.permutations(value):
            for items in itertools.product(*(choices[key] for key in keys)):
                yield dict(zip(keys, items, strict=True))
    else:
        yield value
