"""Keyword by keyword: what is not refused is enforced exactly, as ``jsonschema`` says."""

from __future__ import annotations

import json
import random
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import pytest
from decodeplug.constraints import accepts
from decodeplug.constraints.schema_check import DRAFTS
from vocabularies import BYTES

from decodeplug_xgrammar import json_schema

STRINGS = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "b",
    "Ab",
    "é",
    "éé",
    "a\nb",
    'a"b',
    "a\\b",
    "\t",
    "a/b",
    "😀",
    "3",
    "-",
    "xaby",
]
DATES = ["2024-02-29", "2023-02-29", "2023-02-30", "2023-12-31", "2023-04-31", "0000-01-01", "20230101", "1900-02-29"]
ADDRESSES = ["1.2.3.4", "256.1.1.1", "01.2.3.4", "1.2.3"]
UUIDS = ["123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"]
NUMBERS = [*range(8), 10, 12, 99, 100, -1, -3, -7, 0.1, 0.5, 0.25, 1.5, -0.5, 11.999999, 12.000001, 2**40]
ITEMS: list[Any] = [1, "a", None]
ARRAYS = [list(items) for count in range(4) for items in product(ITEMS, repeat=count)]
KEYS = ["a", "b", "c", "ab", "x1", "é", "a/b", "q\n"]
OBJECTS = [dict.fromkeys(keys, item) for count in range(4) for keys in combinations(KEYS, count) for item in ITEMS]
NESTED: list[Any] = [[1, {"a": "b"}], [[]], [[], []], [[1]], {"a": {"a": {}}}, {"a": [{}]}]
POOL: list[Any] = [
    *(None, True, False),
    *(
        *STRINGS,
        *DATES,
        *ADDRESSES,
        *UUIDS,
    ),
    *(*NUMBERS, *ARRAYS, *OBJECTS, *NESTED),
]
ENFORCED: dict[str, list[Any]] = json.loads(Path(__file__).with_name("enforced.json").read_text(encoding="utf-8"))
"""Keyword -> schemas that are not refused."""
OLDER: list[tuple[str, Any]] = [
    ("7", {"type": "array", "items": [{"const": 1}], "additionalItems": {"const": "a"}}),
    ("7", {"type": "array", "items": {"const": 1}, "additionalItems": False}),
    ("7", {"definitions": {"x": {"const": 1}}, "$ref": "#/definitions/x", "maxLength": 1, "not": {}}),
    ("2019-09", {"type": "array", "items": [{"const": 1}, {}], "unevaluatedItems": False}),
    ("4", {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "const": 8}),
    ("6", {"type": "object", "propertyNames": {"maxLength": 1}}),
]


def forms(value: Any) -> list[str]:
    """A value as JSON text, with its keys in every order."""
    if not isinstance(value, dict):
        return [json.dumps(value, ensure_ascii=False)]
    return [json.dumps(dict(items), ensure_ascii=False) for items in permutations(value.items())]


def differences(schema: Any, draft: str, pool: list[Any]) -> list[str]:
    """Values of the pool about which the masks and ``jsonschema`` disagree."""
    constraint = json_schema(schema, "spaced", draft=draft).compile(BYTES)
    validator = DRAFTS[draft](schema, format_checker=DRAFTS[draft].FORMAT_CHECKER)
    allowed = {forms(value)[0]: any(accepts(constraint, BYTES, text) for text in forms(value)) for value in pool}
    return [forms(value)[0] for value in pool if allowed[forms(value)[0]] != validator.is_valid(value)]


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        pytest.param(keyword, one, id=f"{keyword} {index}")
        for keyword, several in ENFORCED.items()
        for index, one in enumerate(several)
    ],
)
def test_a_schema_that_is_not_refused_is_enforced_exactly(keyword: str, schema: Any) -> None:
    constants = [schema["const"]] if isinstance(schema, dict) and "const" in schema else []
    assert differences(schema, "2020-12", [*POOL, *constants]) == []


@pytest.mark.parametrize(("draft", "schema"), OLDER)
def test_older_drafts_mean_what_they_say(draft: str, schema: Any) -> None:
    assert differences(schema, draft, POOL) == []


@pytest.mark.parametrize(("low", "high"), [(0, 63), (0, 64), (1, 65), (63, 127), (64, 128), (65, 200), (130, None)])
def test_lengths_are_counted_in_characters_however_long_a_string_is(low: int, high: int | None) -> None:
    limits = {"minLength": low} | ({} if high is None else {"maxLength": high})
    constraint = json_schema({"type": "string", **limits}, "compact").compile(BYTES)
    lengths = [*range(8), *range(60, 70), *range(124, 134), *range(190, 204), 300]
    texts = {length: json.dumps(('a"é\n' * 80)[:length], ensure_ascii=False) for length in lengths}
    allowed = [length for length in lengths if accepts(constraint, BYTES, texts[length])]
    assert allowed == [length for length in lengths if low <= length and (high is None or length <= high)]


@pytest.mark.parametrize("seed", range(40))
def test_limits_of_numbers_are_followed_to_the_last_digit(seed: int) -> None:
    chance = random.Random(seed)
    limits = chance.sample(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], chance.choice([1, 2]))
    values = {limit: chance.randint(-3000, 3000) / chance.choice([1, 1, 10, 1000]) for limit in limits}
    low = max(values.get("minimum", -1e6), values.get("exclusiveMinimum", -1e6))
    high = min(values.get("maximum", 1e6), values.get("exclusiveMaximum", 1e6))
    if low >= high:
        values = {"minimum": high, "maximum": low}
    near = [round(value + step, 3) for value in values.values() for step in (0, 0.001, -0.001, 1, -1)]
    pool = [*near, *(round(value) for value in near), 0, *(chance.randint(-4000, 4000) for _ in range(10))]
    whole = [int(value) for value in pool if value == int(value)]
    assert differences({"type": "number", **values}, "2020-12", [*(v for v in pool if v != int(v)), *whole]) == []
    if low + 1 < high:
        assert differences({"type": "integer", **values}, "2020-12", whole) == []
