"""Equal forms of a schema in keywords that the mask engine can enforce, for keywords that it cannot.

Each rule gives a schema that allows the same instances; where there is none, the keyword stays, and is
checked while the text is written.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from decodeplug.constraints.pattern import found_in
from decodeplug.constraints.schema_tree import changed, subschemas

__all__ = ["rewritten"]

_TYPES = ("array", "boolean", "null", "number", "object", "string")
_ANNOTATING = frozenset({"unevaluatedItems", "unevaluatedProperties"})  # they see which keywords looked at what
_KEYWORDS = frozenset(
    [
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "minContains",
        "propertyNames",
        "then",
    ]
)  # that not every draft has
_ANYTHING: tuple[Any, ...] = (True, {})

Schema = dict[str, Any]


def rewritten(schema: Any, known: Container[str]) -> Any:
    """A schema that allows the same instances; False where that is plainly none.

    A schema with ``unevaluatedItems`` or ``unevaluatedProperties`` in it is returned as it is.

    :param schema: Not modified. :param known: The keywords of its draft; others mean nothing.
    """
    if any(isinstance(part, dict) and _ANNOTATING & part.keys() for _, part in subschemas(schema)):
        return schema
    return changed(schema, lambda part: _rewritten(part, known))


def _rewritten(part: Schema, known: Container[str]) -> Any:
    meaningless = {keyword: part.pop(keyword) for keyword in _KEYWORDS & part.keys() if keyword not in known}
    for rule in _RULES:
        after = rule(part)
        if after is False:
            return False
        part = after
    return part | meaningless


def _plain_limits(part: Schema) -> Schema:
    """Limits that limit nothing."""
    if part.get("uniqueItems") is False:
        del part["uniqueItems"]
    named, required = part.get("properties", {}), part.get("required", ())
    if (
        isinstance(required, list)
        and part.get("minProperties", 1) <= len(set(required))
        and part.get("type") == "object"
    ):
        part.pop("minProperties", None)
    is_closed = part.get("additionalProperties") is False and "patternProperties" not in part
    if is_closed and part.get("maxProperties", -1) >= len(named):
        del part["maxProperties"]
    if part.get("minContains") == 0 and "maxContains" not in part and "contains" in part:
        del part["contains"], part["minContains"]
    return part


def _negation(part: Schema) -> Any:
    """``not`` of everything, of nothing, of types, of values out of a list, of a property."""
    if "not" not in part:
        return part
    denied = part["not"]
    if denied in _ANYTHING:
        return False
    if denied is False:
        del part["not"]
    elif list(denied) == ["type"]:
        kinds = {denied["type"]} if isinstance(denied["type"], str) else set(denied["type"])
        if "integer" not in kinds or "number" in kinds:
            return _without(
                part,
                "not",
                {"type": [kind for kind in _TYPES if kind not in kinds]} if len(kinds - {"integer"}) < 6 else False,
            )
    elif list(denied) in (["const"], ["enum"]) and "enum" in part:
        values = denied["enum"] if "enum" in denied else [denied["const"]]
        part["enum"] = [value for value in part["enum"] if not any(_same(value, other) for other in values)]
        del part["not"]
        return part if part["enum"] else False
    elif list(denied) == ["required"] and len(denied["required"]) == 1:
        return _without(part, "not", {"type": "object", "properties": {denied["required"][0]: False}})
    return part


def _one_of(part: Schema) -> Any:
    """``oneOf`` whose options allow everything or nothing."""
    if "oneOf" not in part:
        return part
    options = [option for option in part["oneOf"] if option is not False]
    free = sum(option in _ANYTHING for option in options)
    if not options or free > 1:
        return False
    if len(options) == 1:
        return _without(part, "oneOf", options[0])
    if free and len(options) == 2 and "not" not in part:
        del part["oneOf"]
        part["not"] = next(option for option in options if option not in _ANYTHING)
        return _negation(part)
    return part  # with those that allow nothing: a reference may count the options


def _condition(part: Schema) -> Any:
    """``if`` that is always or never so, that nothing follows from, or that asks for one of a property's values."""
    if "if" not in part:
        part.pop("then", None)
        part.pop("else", None)
        return part
    asked, then, otherwise = part["if"], part.get("then", True), part.get("else", True)
    if then in _ANYTHING and otherwise in _ANYTHING:
        return _without_all(part, ("if", "then", "else"), True)
    if asked in _ANYTHING or asked is False:
        return _without_all(part, ("if", "then", "else"), otherwise if asked is False else then)
    split = _split(part, asked)
    if split is None:
        return part
    name, yes, no = split
    options = [
        _both({"properties": {name: {"enum": values}}}, outcome)
        for values, outcome in ((yes, then), (no, otherwise))
        if values
    ]
    options = [option for option in options if option is not False]
    if not options:
        return False
    return _without_all(part, ("if", "then", "else"), options[0] if len(options) == 1 else {"anyOf": options})


def _split(part: Schema, asked: Any) -> tuple[str, list[Any], list[Any]] | None:
    """The property that an ``if`` asks for, and its possible values for which it is so, and not so."""
    if part.get("type") != "object" or not isinstance(asked, dict) or not asked.keys() <= {"properties", "required"}:
        return None
    named = asked.get("properties")
    if not isinstance(named, dict) or len(named) != 1:
        return None
    [(name, wanted)] = named.items()
    known = part.get("properties", {}).get(name)
    if name not in part.get("required", ()) or not set(asked.get("required", ())) <= {name}:
        return None
    if not isinstance(wanted, dict) or list(wanted) not in (["const"], ["enum"]) or not isinstance(known, dict):
        return None
    if "enum" not in known:
        return None
    values = wanted["enum"] if "enum" in wanted else [wanted["const"]]
    so = [any(_same(value, other) for other in values) for value in known["enum"]]
    yes = [value for value, is_so in zip(known["enum"], so, strict=True) if is_so]
    return name, yes, [value for value, is_so in zip(known["enum"], so, strict=True) if not is_so]


def _dependencies(part: Schema) -> Any:
    """What depends on a property that must be there anyway; and properties that others depend on."""
    for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        if not isinstance(part.get(keyword), dict):
            continue
        for name, wanted in part.pop(keyword).items():
            then = {"required": wanted} if isinstance(wanted, list) else wanted
            if then in _ANYTHING or then == {"required": []}:
                continue
            if name in part.get("required", ()) and part.get("type") == "object":
                part = _both(part, then)
            else:
                absent = {"properties": {name: False}}
                part = _both(part, absent if then is False else {"anyOf": [absent, _both({"required": [name]}, then)]})
            if part is False:
                return False
    return part


def _names(part: Schema) -> Any:
    """``propertyNames`` by a pattern, a length or a list, as ``patternProperties`` or ``properties``."""
    wanted, further = part.get("propertyNames"), part.get("additionalProperties", True)
    if wanted in _ANYTHING and "propertyNames" in part:
        del part["propertyNames"]
        return part
    if (
        not isinstance(wanted, dict)
        or "patternProperties" in part
        or (further is not False and further not in _ANYTHING)
    ):
        return part
    allows = _name_test(wanted)
    if allows is None:
        return part
    named = {name: inner if allows(name) else False for name, inner in part.get("properties", {}).items()}
    if "enum" in wanted and further is not False:
        named |= {name: True for name in wanted["enum"] if isinstance(name, str) and name not in named}
    elif further is not False:
        part["patternProperties"] = {_name_pattern(wanted): True}
    part["properties"], part["additionalProperties"] = named, False
    del part["propertyNames"]
    return part


def _name_test(wanted: Schema) -> Callable[[str], bool] | None:
    if list(wanted) == ["enum"]:
        return lambda name: name in wanted["enum"]
    if list(wanted) == ["pattern"]:
        return lambda name: found_in(wanted["pattern"], name) is not False
    if wanted.keys() <= {"minLength", "maxLength"}:
        least, most = wanted.get("minLength", 0), wanted.get("maxLength")
        return lambda name: least <= len(name) and (most is None or len(name) <= most)
    return None


def _name_pattern(wanted: Schema) -> str:
    if "pattern" in wanted:
        return str(wanted["pattern"])
    return f"^[\\s\\S]{{{wanted.get('minLength', 0)},{wanted.get('maxLength', '')}}}$"


def _both(part: Schema, other: Any) -> Any:
    """A schema that both must allow."""
    if part is False or other is False:
        return False
    return part if other in _ANYTHING else {**part, "allOf": [*part.get("allOf", ()), other]}


def _without(part: Schema, keyword: str, instead: Any) -> Any:
    return _without_all(part, (keyword,), instead)


def _without_all(part: Schema, keywords: tuple[str, ...], instead: Any) -> Any:
    for keyword in keywords:
        part.pop(keyword, None)
    return _both(part, instead)


def _same(one: Any, other: Any) -> bool:
    """Are two JSON values equal? 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


_RULES: tuple[Callable[[Schema], Any], ...] = (_plain_limits, _negation, _one_of, _condition, _dependencies, _names)
