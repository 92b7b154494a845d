"""Hypothesis strategies for what parts are given: scores, prefixes, schemas and values.

Needs ``hypothesis`` (the extra ``decodeplug[testing]``); the rest of ``decodeplug.testing`` does not.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

__all__ = ["json_schemas", "json_values", "score_rows", "token_prefixes"]

NAMES = ("name", "age", "tags", "x", "a b", 'say "hi"', "größe")
WORDS = ("", "red", "green", "a\nb", 'quote " and \\', "höchst", "🧸")


@st.composite
def score_rows(draw: st.DrawFn, *, vocab: int | None = None, rows: int | None = None) -> Tensor:
    """``[rows, vocab]`` float32 scores: any mix of ties, extremes and ``-inf``, with one finite token in each row.

    :param vocab: Width; 2 to 40 if not given. :param rows: 1 to 4 if not given.
    """
    width = draw(st.integers(2, 40)) if vocab is None else vocab
    count = draw(st.integers(1, 4)) if rows is None else rows
    score = st.one_of(
        st.floats(-20, 20, width=32),
        st.sampled_from([0.0, 1.0, -1.0, 1.5]),  # ties
        st.sampled_from([1e4, -1e4, 1e-6, 3e38, -3e38]),
        st.just(-math.inf),
    )
    table = draw(st.lists(st.lists(score, min_size=width, max_size=width), min_size=count, max_size=count))
    for row in table:
        if max(row) == -math.inf:
            row[draw(st.integers(0, width - 1))] = 0.0
    return torch.tensor(table, dtype=torch.float32)


def token_prefixes(
    *, vocab: int = 64, rows: int | None = None, max_length: int = 16
) -> st.SearchStrategy[list[list[int]]]:
    """A prefix of ids for each of some rows (1 to 4 if not given), repetitive ones among them; ``Seen.of`` takes it."""
    prefix = st.one_of(
        st.lists(st.integers(0, vocab - 1), max_size=max_length),
        st.lists(st.integers(0, min(1, vocab - 1)), max_size=max_length),
    )
    return st.lists(prefix, min_size=1 if rows is None else rows, max_size=4 if rows is None else rows)


def json_schemas(*, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Small JSON schemas that some value satisfies and that a grammar can enforce.

    Types, bounded integers, ``enum``, ``const``, bounded strings and arrays, and closed objects
    with required and optional properties, nested ``depth`` deep.
    """
    leaf = st.one_of(
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": "integer"}, {"type": "number"}]),
        _bounds("integer", "minimum", "maximum", -20, 20),
        _bounds("string", "minLength", "maxLength", 0, 6),
        st.lists(_scalars(), min_size=1, max_size=3, unique_by=repr).map(lambda values: {"enum": values}),
        _scalars().map(lambda value: {"const": value}),
    )
    if depth <= 0:
        return leaf
    inner = json_schemas(depth=depth - 1)
    return st.one_of(leaf, _arrays(inner), _objects(inner))


def _scalars() -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.sampled_from(WORDS))


@st.composite
def _bounds(draw: st.DrawFn, kind: str, least: str, most: str, low: int, high: int) -> dict[str, Any]:
    first, second = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
    return {"type": kind, least: first, most: second}


@st.composite
def _arrays(draw: st.DrawFn, items: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    return {**draw(_bounds("array", "minItems", "maxItems", 0, 3)), "items": draw(items)}


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def json_values(schema: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """JSON values: of a schema that ``json_schemas`` made, or any small ones."""
    if schema is None:
        leaf = st.one_of(_scalars(), st.floats(-1e6, 1e6, allow_nan=False), st.text(max_size=8))
        return st.recursive(
            leaf,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
            max_leaves=8,
        )
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    return _typed_values(schema)


def _typed_values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    kind = schema["type"]
    if kind == "object":
        every = {name: json_values(inner) for name, inner in schema["properties"].items()}
        needed = {name: every.pop(name) for name in schema["required"]}
        return st.fixed_dictionaries(needed, optional=every)
    if kind == "array":
        return st.lists(json_values(schema["items"]), min_size=schema["minItems"], max_size=schema["maxItems"])
    if kind == "string":
        # No lone surrogates: they are no text, and no tokenizer writes them.
        letters = st.characters(codec="utf-8")
        return st.text(letters, min_size=schema["minLength"], max_size=schema["maxLength"])
    simple: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "null": st.none(),
        "number": st.floats(-1e6, 1e6, allow_nan=False),
        "integer": st.integers(schema.get("minimum", -(10**6)), schema.get("maximum", 10**6)),
    }
    return simple[kind]
