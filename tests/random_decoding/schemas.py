"""Hypothesis strategies for JSON schemas with every kind of keyword, satisfiable or not.

Unlike ``decodeplug.testing.json_schemas``, what comes of these may be refused: by a mask engine that
cannot enforce it, or since nothing satisfies it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["any_schemas"]

NAMES = ("a", "b", "kind", "a b", "größe", 'q"')
WORDS = ("", "a", "ab", "red", "x y", "ö", "\n", "🧸")
PATTERNS = ("^a", "b$", "^[a-c]{1,3}$", "[0-9]", "^(x|yz)*$", "^[^a]*$", "ö|ä")
FORMATS = ("date", "time", "date-time", "duration", "uuid", "ipv4", "ipv6", "email", "hostname", "uri", "json-pointer")
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")

Schema = dict[str, Any]


@st.composite
def any_schemas(draw: st.DrawFn, depth: int = 2) -> Any:
    """A schema, two or three deep; some refer to themselves."""
    schema = draw(_schemas(depth))
    if isinstance(schema, dict) and draw(st.integers(0, 4)) == 0:
        schema["$defs"] = {"again": draw(_schemas(1)), "tree": _tree(draw)}
        place = draw(st.sampled_from(["again", "tree"]))
        where = draw(st.sampled_from(["items", "additionalProperties"]))
        schema[where] = {"$ref": f"#/$defs/{place}"}
    return schema


def _tree(draw: st.DrawFn) -> Schema:
    """A schema that refers to itself, with an end or (rarely) without."""
    again = {"$ref": "#/$defs/tree"}
    return draw(
        st.sampled_from(
            [
                {"type": "array", "items": again, "maxItems": 2},
                {"type": "object", "properties": {"next": again, "a": {"type": "integer"}}, "required": ["a"]},
                {"anyOf": [{"type": "null"}, {"type": "array", "items": again, "minItems": 1, "maxItems": 2}]},
                {"type": "object", "additionalProperties": again, "maxProperties": 2},
                {"type": "array", "prefixItems": [{"const": "t"}, again], "items": False, "minItems": 1},
            ]
        )
    )


def _schemas(depth: int) -> st.SearchStrategy[Any]:
    kinds = [_numbers(), _strings(), _listed()]
    if depth > 0:
        kinds += [_arrays(depth), _objects(depth), _arrays(depth), _objects(depth), _combined(depth)]
    return st.one_of(*kinds)


def _listed() -> st.SearchStrategy[Any]:
    scalar = st.one_of(
        st.none(), st.booleans(), st.integers(-5, 120), st.sampled_from(WORDS), st.sampled_from([0.5, -1.25, 1e3])
    )
    value = st.one_of(
        scalar,
        st.lists(scalar, max_size=2),
        st.dictionaries(st.sampled_from(NAMES), scalar, max_size=2),
    )
    return st.one_of(
        st.lists(value, min_size=1, max_size=4, unique_by=repr).map(lambda values: {"enum": values}),
        value.map(lambda value: {"const": value}),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, True, {"type": ["string", "null"]}]),
    )


@st.composite
def _numbers(draw: st.DrawFn) -> Schema:
    kind = draw(st.sampled_from(["integer", "integer", "number"]))
    schema: Schema = {"type": kind}
    limits = st.integers(-30, 1200) if kind == "integer" or draw(st.booleans()) else _QUARTERS
    low, high = sorted((draw(limits), draw(limits)))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    if draw(st.integers(0, 3)) == 0:
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 5, 7, 0.5, 0.25]))
    return schema


_QUARTERS = st.integers(-40, 400).map(lambda quarters: quarters / 4)  # exact, also as binary fractions


@st.composite
def _strings(draw: st.DrawFn) -> Schema:
    schema: Schema = {"type": "string"}
    how = draw(st.integers(0, 5))
    if how == 0:
        schema["format"] = draw(st.sampled_from(FORMATS))
    elif how == 1:
        schema["pattern"] = draw(st.sampled_from(PATTERNS))
    if draw(st.booleans()):
        least, most = sorted((draw(st.integers(0, 4)), draw(st.integers(0, 9))))
        schema |= {"minLength": least} if draw(st.booleans()) else {}
        schema |= {"maxLength": most} if draw(st.booleans()) else {}
    return schema


@st.composite
def _arrays(draw: st.DrawFn, depth: int) -> Schema:
    inner = _schemas(depth - 1)
    schema: Schema = {"type": "array"} if draw(st.integers(0, 9)) else {}
    if draw(st.integers(0, 3)):
        schema["items"] = draw(inner)
    if draw(st.integers(0, 3)) == 0:
        schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
    least, most = sorted((draw(st.integers(0, 3)), draw(st.integers(0, 4))))
    schema |= {"minItems": least} if draw(st.booleans()) else {}
    schema |= {"maxItems": most} if draw(st.booleans()) else {}
    if draw(st.integers(0, 2)) == 0:
        schema["uniqueItems"] = draw(st.sampled_from([True, True, False]))
    if draw(st.integers(0, 2)) == 0:
        schema["contains"] = draw(inner)
        schema |= draw(st.sampled_from([{}, {}, {"minContains": 2}, {"maxContains": 1}, {"minContains": 0}]))
    if draw(st.integers(0, 6)) == 0:
        schema.pop("items", None)
        schema["unevaluatedItems"] = draw(st.one_of(st.just(False), inner))
    return schema


@st.composite
def _objects(draw: st.DrawFn, depth: int) -> Schema:
    inner = _schemas(depth - 1)
    schema: Schema = {"type": "object"} if draw(st.integers(0, 9)) else {}
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner, max_size=3))
    schema["properties"] = properties
    required = [name for name in properties if draw(st.booleans())]
    schema |= {"required": required} if required else {}
    named = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)
    extra = {
        "additionalProperties": st.one_of(st.just(False), st.just(False), inner),
        "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), inner, min_size=1, max_size=2),
        "propertyNames": st.one_of(_strings(), st.just({"enum": list(NAMES)}), st.just({"maxLength": 2})),
        "dependentRequired": st.dictionaries(st.sampled_from(NAMES), named, min_size=1, max_size=2),
        "dependentSchemas": st.dictionaries(st.sampled_from(NAMES), _parts(depth), min_size=1, max_size=2),
        "unevaluatedProperties": st.one_of(st.just(False), inner),
        "minProperties": st.integers(0, 2),
        "maxProperties": st.integers(1, 4),
    }
    for keyword in draw(st.lists(st.sampled_from(sorted(extra)), max_size=3, unique=True)):
        schema[keyword] = draw(extra[keyword])
    return schema


@st.composite
def _parts(draw: st.DrawFn, depth: int) -> Schema:
    """What is said of an object beside its own keywords."""
    name = draw(st.sampled_from(NAMES))
    return draw(
        st.one_of(
            st.just({"required": [name]}),
            _schemas(depth - 1).map(lambda inner: {"properties": {name: inner}}),
            _schemas(depth - 1).map(lambda inner: {"properties": {name: inner}, "required": [name]}),
            st.sampled_from(TYPES).map(lambda kind: {"type": kind}),
        )
    )


@st.composite
def _combined(draw: st.DrawFn, depth: int) -> Schema:
    inner = st.one_of(_schemas(depth - 1), _parts(depth))
    keyword = draw(st.sampled_from(["anyOf", "oneOf", "allOf", "not", "if"]))
    schema = draw(st.one_of(_objects(depth), _arrays(depth), _numbers(), st.just({})))
    if keyword == "not":
        return {**schema, "not": draw(inner)}
    if keyword == "if":
        branches = draw(st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner}))
        return {**schema, **branches}
    if keyword == "allOf":
        return {**schema, "allOf": draw(st.lists(_parts(depth), min_size=1, max_size=2))}
    options = draw(st.lists(inner, min_size=2, max_size=3))
    return {keyword: options} if draw(st.booleans()) else {**schema, keyword: options}
