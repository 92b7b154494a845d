"""Values that come closer to what a schema wants, after what the judge found wrong."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError

__all__ = ["mended", "value_for"]

_DEEPEST = 8  # schemas within schemas that a value is made for
_LONGEST = 1000  # letters or values that are added at most
_VARIANTS = 100  # of a value within an object
_ENDS = ("a", "@a", ")", "]", "}")  # what a text of some format may lack
_KINDS: Mapping[str, Any] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "object": {},
    "array": [],
    "null": None,
    "boolean": True,
}
_SAMPLES: Mapping[str, str] = {"email": "a@a", "idn-email": "a@a", "idn-hostname": "a", "iri": "a:", "uri": "a:"}
_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "object": ("properties", "required"),
    "array": ("prefixItems", "items", "contains", "minItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""What a schema without a type speaks of, if it has one of these."""


def mended(value: Any, error: ValidationError) -> Iterator[Any]:
    """Values without this fault, or with less of it; none where nothing is known to help.

    :param value: Not modified. :param error: What the judge says is wrong with it.
    """
    if error.context and error.validator in ("anyOf", "oneOf"):
        for _, faults in itertools.groupby(error.context, key=lambda fault: fault.schema_path[0]):
            better = value
            for fault in faults:
                better = next(mended(better, fault), better)
            if better is not value:
                yield better
        return
    mend = _MENDS.get(str(error.validator))
    if mend is None:
        return
    for part in mend(error.instance, error.validator_value, error):
        yield _with(value, list(error.absolute_path), part)


def value_for(schema: Any, depth: int = 0) -> Any:
    """A value that a schema may allow, as far as a look at it tells."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return {}
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = _kind_of(schema)
    if kind == "object":
        inner = schema.get("properties", {})
        return {name: value_for(inner.get(name), depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        first = [value_for(inner, depth + 1) for inner in schema.get("prefixItems", ())]
        missing = min(int(schema.get("minItems", 0)), _LONGEST) - len(first)
        return first + [value_for(schema.get("items"), depth + 1) for _ in range(missing)]
    if kind == "string":
        if schema.get("format") in _SAMPLES:
            return _SAMPLES[schema["format"]]
        return "a" * min(int(schema.get("minLength", 0)), _LONGEST)
    if kind in ("integer", "number"):
        above = schema.get("exclusiveMinimum")
        return schema.get("minimum", schema.get("maximum", 0)) if above is None else math.floor(above) + 1
    return copy.deepcopy(_KINDS.get(kind))


def _kind_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        kind = kind[0]
    if kind is None:
        spoken_of = ((kind, keyword) for kind, keywords in _KEYWORDS.items() for keyword in keywords)
        kind = next((kind for kind, keyword in spoken_of if keyword in schema), "string")
    return str(kind)


def _with(value: Any, path: list[Any], part: Any) -> Any:
    """A copy with ``part`` at a place."""
    if not path:
        return part
    inner = copy.copy(value)
    inner[path[0]] = _with(value[path[0]], path[1:], part)
    return inner


def _named(found: Any, names: Any, error: ValidationError) -> Iterator[Any]:
    inner = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    yield {**found, **{name: value_for(inner.get(name)) for name in names if name not in found}}


def _depending(found: Any, wanted: Any, error: ValidationError) -> Iterator[Any]:
    for name, others in wanted.items():
        if name in found and isinstance(others, list):
            yield from _named(found, others, error)


def _more(found: Any, least: Any, error: ValidationError) -> Iterator[Any]:
    items = error.schema.get("items") if isinstance(error.schema, Mapping) else None
    new = [found[-1] if found else value_for(items) if isinstance(items, Mapping) else 0] * min(
        int(least) - len(found), _LONGEST
    )
    yield from _different([*found, *new], True, error)


def _containing(found: Any, wanted: Any, error: ValidationError) -> Iterator[Any]:
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    usual, value = value_for(schema.get("items")), value_for(wanted)
    if isinstance(usual, dict) and isinstance(value, dict):
        value = {**usual, **value}
    new = [value] * min(int(schema.get("minContains", 1)), _LONGEST)
    yield [*found, *new]
    yield [*found[: -len(new)], *new] if new else found
    yield new


def _different(found: Any, _wanted: Any, _error: ValidationError) -> Iterator[Any]:
    """Each value at most once: others are taken where one is there already."""
    kept: list[Any] = []
    for value in found:
        tries = itertools.chain([value], _others(value))
        kept.append(next((one for one in itertools.islice(tries, 4 * len(found) + 4) if one not in kept), value))
    yield kept


def _others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, str):
        for index in itertools.count():
            more = "abcdefghij"[index % 10] * (index // 10 + 1)
            yield value + more
            yield more + value
    elif isinstance(value, dict):
        for name, inner in value.items():
            for other in itertools.islice(_others(inner), _VARIANTS):
                yield {**value, name: other}
    elif isinstance(value, list):
        yield [*value, 0]
    elif value is not None:
        for step in itertools.count(1):
            yield value + step
            yield value - step


def _only_one(found: Any, options: Any, _error: ValidationError) -> Iterator[Any]:
    """One of the options alone, where several hold."""
    for option in options:
        named = option.get("properties", {}) if isinstance(option, Mapping) else {}
        if isinstance(found, dict) and isinstance(named, Mapping):
            yield {**found, **{name: value_for(inner) for name, inner in named.items()}}
        else:
            yield value_for(option)


def _multiple(found: Any, of: Any, _error: ValidationError) -> Iterator[Any]:
    count = math.ceil(found / of)
    yield of * count
    yield of * (count - 1)
    scale = 10
    while scale < of:
        scale *= 10
    # With so many more digits, one of the multiples begins as the number does.
    yield (-1 if found < 0 else 1) * of * math.ceil(abs(found) * scale / of)


def _fewer(found: Any, most: Any, _error: ValidationError) -> Iterator[Any]:
    count = int(most)
    yield found[:count] if isinstance(found, list | str) else dict(list(found.items())[:count])


def _less_named(found: Any, _wanted: Any, error: ValidationError) -> Iterator[Any]:
    inner = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    yield {name: value for name, value in found.items() if name in inner}
    yield {}


def _of_kind(found: Any, kinds: Any, _error: ValidationError) -> Iterator[Any]:
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield copy.deepcopy(_KINDS.get(kind))


_MENDS: Mapping[str, Callable[[Any, Any, ValidationError], Iterator[Any]]] = {
    "additionalProperties": _less_named,
    "const": lambda found, wanted, error: iter([wanted]),
    "contains": _containing,
    "dependentRequired": _depending,
    "dependencies": _depending,
    "enum": lambda found, wanted, error: iter(wanted[:4]),
    "exclusiveMaximum": lambda found, limit, error: iter([math.ceil(limit) - 1]),
    "exclusiveMinimum": lambda found, limit, error: iter([math.floor(limit) + 1]),
    "format": lambda found, name, error: iter([found + end for end in _ENDS]),
    "maxItems": _fewer,
    "maxLength": _fewer,
    "maxProperties": _fewer,
    "maximum": lambda found, limit, error: iter([limit, math.ceil(limit) - 1]),  # draft 4 may exclude the limit
    "minItems": _more,
    "minLength": lambda found, least, error: iter([found + "a" * min(int(least) - len(found), _LONGEST)]),
    "minimum": lambda found, limit, error: iter([limit, math.floor(limit) + 1]),
    "multipleOf": _multiple,
    "not": lambda found, wanted, error: itertools.islice(_others(found), 4),
    "oneOf": _only_one,
    "required": _named,
    "type": _of_kind,
    "unevaluatedProperties": _less_named,
    "uniqueItems": _different,
}
