"""JSON schemas drawn by hypothesis: every keyword that can be enforced, nested, with references and recursion.

Keywords that are refused today are drawn too, more rarely: what is refused costs nothing, and what is
enforced one day is tested from that day on.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

__all__ = ["FORMATS", "documents"]

NAMES = ("a", "b", "c", "a b", 'say "hi"', "é", "p1")
PATTERNS = (
    "^[a-c]{1,3}$",
    "a",
    "^\\d{2}-\\w+$",
    "b$",
    "^x",
    "^(?:ab|c)*$",
    '^[^"]+$',
    "^\\S+$",
    "\\.",
    "^é?z$",
    "^.{2}$",
)
NAME_PATTERNS = ("^p", "\\d$", "^[a-c]$", "x")
FORMATS = (
    "date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "uri-reference", "regex",
    "idn-email", "json-pointer", "no such format",
)  # fmt: skip
VALUES = (None, True, False, 0, 1, -2, 3.5, "", "a", 'say "hi"', "\n", "é🧸", [], [1, "a"], {}, {"a": 1}, {"b": [None]})
Schema = Any


def _some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these keywords, or none."""
    return st.fixed_dictionaries({}, optional=keywords)


def _typed(kind: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return _some(**keywords).map(lambda chosen: {"type": kind, **chosen})


def _limits(low: str, high: str, most: int) -> st.SearchStrategy[dict[str, int]]:
    """A lower and an upper limit, either, or none; the lower one is not above the other."""
    both = st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)
    return st.tuples(both, st.sets(st.sampled_from((low, high)))).map(
        lambda drawn: {name: drawn[0][name == high] for name in (low, high) if name in drawn[1]}
    )


def _with(first: st.SearchStrategy[Schema], second: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Schema]:
    return st.tuples(first, second).map(lambda drawn: {**drawn[0], **drawn[1]})


def _strings() -> st.SearchStrategy[Schema]:
    plain = _with(st.just({"type": "string"}), _limits("minLength", "maxLength", 5))
    matched = _typed("string", pattern=st.sampled_from(PATTERNS), maxLength=st.integers(3, 9))
    return plain | matched | st.sampled_from(FORMATS).map(lambda name: {"type": "string", "format": name})


def _numbers() -> st.SearchStrategy[Schema]:
    low, high = st.sampled_from((-7, -1, 0, 0.5)), st.sampled_from((0.5, 1, 6.25, 40))
    limits = {"minimum": low, "maximum": high, "exclusiveMinimum": low, "exclusiveMaximum": high}
    steps = st.sampled_from((1, 2, 3, 7, 0.5, 0.25, 0.1, 0.01))
    return st.one_of([_typed(kind, **limits, multipleOf=steps) for kind in ("number", "integer")])


def _leaves() -> st.SearchStrategy[Schema]:
    plain = st.sampled_from(("null", "boolean")).map(lambda kind: {"type": kind})
    values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(lambda chosen: {"enum": chosen})
    constant = st.sampled_from(VALUES).map(lambda value: {"const": value})
    several = st.lists(st.sampled_from(("null", "integer", "string", "array")), min_size=1, max_size=2, unique=True)
    return st.one_of(_strings(), _numbers(), plain, values, constant, several.map(lambda kinds: {"type": kinds}))


def _arrays(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    parts = _typed("array", items=inner | st.just(False), prefixItems=st.lists(inner, min_size=1, max_size=2))
    return _with(parts, _limits("minItems", "maxItems", 3))


def _objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    names = st.sampled_from(NAMES)
    keywords = {
        "properties": st.dictionaries(names, inner, max_size=3),
        "required": st.lists(names, max_size=2, unique=True),
        "additionalProperties": inner | st.booleans(),
        "patternProperties": st.dictionaries(st.sampled_from(NAME_PATTERNS), inner, max_size=2),
    }
    closed = {**keywords, "additionalProperties": st.just(False)}
    own = st.tuples(st.dictionaries(names, inner, min_size=1, max_size=3), st.sets(names)).map(
        lambda drawn: {
            "type": "object",
            "properties": drawn[0],
            "required": [name for name in drawn[0] if name in drawn[1]],
            "additionalProperties": False,
        }
    )
    limits = _limits("minProperties", "maxProperties", 3)
    return st.one_of(own, _typed("object", **closed), _with(_typed("object", **keywords), limits))


def _combined(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    some = st.lists(inner, min_size=1, max_size=3)
    apart = st.tuples(_strings(), _numbers(), _arrays(inner)).map(list)
    either = some.map(lambda options: {"anyOf": options})
    one = (apart | some).map(lambda options: {"oneOf": options})
    every = _some(allOf=some, anyOf=some)
    return st.one_of(either, one, every, _with(inner.filter(lambda schema: isinstance(schema, dict)), every))


def _hard(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """Keywords that look at a whole value, each added to a schema that it says something about."""
    arrays = _some(
        uniqueItems=st.just(True),
        contains=inner,
        minContains=st.integers(0, 2),
        maxContains=st.integers(1, 2),
        unevaluatedItems=st.just(False),
    )
    names = st.sampled_from(NAMES)
    objects = _some(
        propertyNames=st.sampled_from(({"maxLength": 2}, {"pattern": "^[a-c]"}, {"enum": ["a", "b"]})),
        dependentRequired=st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2),
        dependentSchemas=st.dictionaries(names, inner, max_size=1),
        unevaluatedProperties=st.booleans(),
    )
    logic = _some(**{"not": inner, "if": inner, "then": inner, "else": inner})
    return st.one_of(_with(_arrays(inner), arrays), _with(_objects(inner), objects), _with(_leaves(), logic))


def _nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    common = [_arrays(inner), _objects(inner), _combined(inner)]
    return st.one_of(*common, *common, _hard(inner))


def _documents(names: tuple[str, ...]) -> st.SearchStrategy[Schema]:
    """Schemas with these definitions, which may refer to each other and to the whole."""
    references = st.sampled_from(["#", *(f"#/$defs/{name}" for name in names)]).map(lambda to: {"$ref": to})
    leaves = st.one_of(_leaves(), references, st.just(True))
    inner = st.recursive(leaves, _nested, max_leaves=6)
    defined = {"$defs": st.fixed_dictionaries(dict.fromkeys(names, inner))} if names else {}
    return _with(_nested(inner), st.fixed_dictionaries(defined))


@cache  # what a strategy is made of takes far longer to put together than to draw from
def documents() -> st.SearchStrategy[Schema]:
    """A schema of draft 2020-12, with up to two definitions."""
    return st.one_of(_documents(()), _documents(("x",)), _documents(("x", "y")))
