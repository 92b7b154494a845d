"""What the judge found wrong is mended, one fault after the other."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from decodeplug.constraints.mending import mended, value_for

SEAT = {"type": "object", "properties": {"row": {"type": "integer", "minimum": 4}}, "required": ["row"]}
CASES: dict[str, tuple[Any, Any]] = {
    "required": ({"required": ["a"], "properties": {"a": SEAT}}, {}),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, {"a": 1}),
    "const": ({"properties": {"a": {"const": [1]}}}, {"a": 2}),
    "enum": ({"items": {"enum": ["x", "y"]}}, ["x", "z"]),
    "minLength": ({"minLength": 3}, "x"),
    "maxLength": ({"maxLength": Decimal("2.0")}, "xyz"),
    "minimum": ({"minimum": 2}, 1),
    "maximum": ({"maximum": 2}, 3),
    "exclusiveMinimum": ({"exclusiveMinimum": 2}, 2),
    "exclusiveMaximum": ({"exclusiveMaximum": 2}, 2),
    "multipleOf": ({"multipleOf": 7}, 9),
    "a fraction's multiple": ({"multipleOf": Decimal("0.5")}, Decimal("0.7")),
    "minItems": ({"minItems": 3, "items": SEAT}, [{"row": 5}]),
    "minItems of unique ones": ({"minItems": 3, "uniqueItems": True}, [0]),
    "maxItems": ({"maxItems": 1}, [1, 2]),
    "uniqueItems": ({"uniqueItems": True}, [1, "a", 1, "a", {"k": True}, {"k": True}]),
    "contains": ({"contains": {"const": 5}, "minContains": 2}, [1]),
    "contains of few": ({"contains": {"const": 5}, "maxItems": 2}, [1, 2]),
    "additionalProperties": ({"properties": {"a": True}, "additionalProperties": False}, {"a": 1, "b": 2}),
    "maxProperties": ({"maxProperties": 1}, {"a": 1, "b": 2}),
    "unevaluatedProperties": ({"properties": {"a": True}, "unevaluatedProperties": False}, {"a": 1, "b": 2}),
    "not": ({"not": {"multipleOf": 3}}, 3),
    "not a text": ({"not": {"const": "x"}}, "x"),
    "not false": ({"not": {"const": False}}, False),
    "type": ({"type": ["object", "null"]}, 3),
    "anyOf": ({"anyOf": [{"required": ["a"]}, {"type": "string"}]}, {}),
    "oneOf": ({"oneOf": [{"type": "string"}, {"properties": {"a": {"const": 1}}, "required": ["a"]}]}, {"a": 2}),
    "format": ({"format": "idn-email"}, ""),
    "oneOf of which both hold": ({"oneOf": [{"prefixItems": [True, {"const": n}]} for n in ("a", "b")]}, []),
    "oneOf of objects": ({"oneOf": [{"properties": {"a": {"const": n}}, "required": ["b"]} for n in (1, 2)]}, {"b": 3}),
    "then": ({"if": {"maximum": 5}, "then": {"multipleOf": 4}}, 3),
    "two faults": ({"properties": {"a": {"minimum": 2}}, "required": ["a", "b"]}, {"a": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_mending_leads_to_a_valid_value(name: str) -> None:
    schema, value = CASES[name]
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    before = copy.deepcopy(value)
    waiting = [value]
    for _ in range(3):  # rounds
        waiting = [better for one in waiting for error in validator.iter_errors(one) for better in mended(one, error)]
        if any(map(validator.is_valid, waiting)):
            break

    assert any(map(validator.is_valid, waiting))
    assert value == before


@pytest.mark.parametrize(
    ("found", "of"), [(12, 97), (-12, 97), (-5, 7), (3, 10**9 + 7), (Decimal("0.3"), Decimal("0.7"))]
)
def test_one_of_the_multiples_begins_like_the_number(found: Any, of: Any) -> None:
    (error,) = jsonschema.Draft202012Validator({"multipleOf": of}).iter_errors(found)

    proposed = list(mended(found, error))
    assert all(number % of == 0 for number in proposed)
    assert isinstance(found, Decimal) or any(str(number).startswith(str(found)) for number in proposed)


@pytest.mark.parametrize("schema", [{"pattern": "^x+$"}, {"propertyNames": False}, False])
def test_where_nothing_is_known_to_help_nothing_is_proposed(schema: Any) -> None:
    found: Any = {"yyy": 1} if schema == {"propertyNames": False} else "yyy"
    (error,) = jsonschema.Draft202012Validator(schema).iter_errors(found)

    assert list(mended(found, error)) == []


def test_values_for_schemas_are_their_least() -> None:
    assert value_for({"properties": {"a": SEAT, "b": {}}, "required": ["a"]}) == {"a": {"row": 4}}
    assert value_for({"type": "array", "minItems": 2, "items": {"type": "string", "minLength": 2}}) == ["aa", "aa"]
    assert value_for({"type": ["number", "null"], "exclusiveMinimum": 1.5}) == 2
    assert value_for({"enum": [3, 4]}) == 3
