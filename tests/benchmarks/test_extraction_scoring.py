"""Which fields of an answer are right."""

from __future__ import annotations

from typing import Any

import pytest
from extraction_scoring import fields, first_object, normalised, score
from schema_shorthand import FLAG, closed, list_of, number, text, whole

ORDER = closed(name=text(20), age=whole(0, 99), paid=FLAG, tags=list_of(text(9), 0, 3))
EXPECTED = {"name": "Ada", "age": 34, "paid": True, "tags": ["red", "old"]}
ROWS = closed(rows=list_of(closed(item=text(9), price=number(0, 99)), 1, 3))


def test_everything_right_is_right_and_fits() -> None:
    result = score(EXPECTED, ORDER, '{"name": "Ada", "age": 34, "paid": true, "tags": ["red", "old"]}')
    assert (result.right, result.total, result.wrong, result.parses, result.fits) == (4, 4, {}, True, True)


def test_each_wrong_field_is_named_with_both_values() -> None:
    result = score(EXPECTED, ORDER, '{"name": "Eve", "age": 34, "paid": false}')
    assert result.wrong == {
        "/name": ("ada", "eve"),
        "/paid": ("true", "false"),
        "/tags": (["red", "old"], "(absent)"),
    }
    assert result.right == 1
    assert result.parses
    assert not result.fits


@pytest.mark.parametrize("said", ["", "I do not know.", '{"name": "Ada", "age": 3', "{'name': 'Ada'}", "[1]"])
def test_without_an_object_that_parses_all_fields_are_wrong(said: str) -> None:
    result = score(EXPECTED, ORDER, said)
    assert (result.right, result.total, result.parses, result.fits) == (0, 4, False, False)


@pytest.mark.parametrize(
    "said",
    [
        '{"a": 1}',
        'Here it is: {"a": 1} I hope it helps.',
        '```json\n{\n  "a": 1\n}\n```',
        '{"a": 1}\n{"a": 2}',
        '[{"a": 1}]',
    ],
)
def test_the_first_object_is_found_wherever_it_stands(said: str) -> None:
    assert first_object(said) == {"a": 1}


def test_an_object_inside_a_broken_one_is_no_answer() -> None:
    assert first_object('{"a": oh, "b": {"name": "Ada"}}') is None
    assert first_object('{"a": ' + "[" * 100_000) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Ada ", "ada"),
        ("STRASSE", "straße"),
        (3, 3.0),
        ("3", 3),
        ("39.90", 39.9),
        ("True", True),
        (["Red", 1.0], ["red ", 1]),
    ],
)
def test_values_that_read_alike_are_equal(one: Any, other: Any) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (False, 0),
        ("0159", 159),
        ("Ada L.", "Ada"),
        (["a", "b"], ["b", "a"]),
        (["a"], "a"),
        (None, "null"),
        ("yes", True),
    ],
)
def test_values_that_read_differently_are_not(one: Any, other: Any) -> None:
    assert normalised(one) != normalised(other)


def test_a_list_of_plain_values_is_one_field_and_one_of_objects_is_counted_inside() -> None:
    assert fields({"tags": ["A", 2], "rows": [{"item": "x", "price": 1}, {"item": "y", "price": 2}]}) == {
        "/tags": ["a", 2],
        "/rows": "2 items",
        "/rows/0/item": "x",
        "/rows/0/price": 1,
        "/rows/1/item": "y",
        "/rows/1/price": 2,
    }


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ('{"rows": [{"item": "x", "price": 1}]}', set()),
        ('{"rows": [{"item": "x", "price": 1}, {"item": "x", "price": 1}]}', {"/rows"}),
        ('{"rows": [{"item": "x", "price": 2}]}', {"/rows/0/price"}),
        ('{"rows": ["x", 1]}', {"/rows", "/rows/0/item", "/rows/0/price"}),
        ('{"rows": []}', {"/rows", "/rows/0/item", "/rows/0/price"}),
    ],
)
def test_items_that_nobody_asked_for_cost_the_length_of_the_list(answer: str, wrong: set[str]) -> None:
    assert set(score({"rows": [{"item": "x", "price": 1}]}, ROWS, answer).wrong) == wrong


def test_keys_that_nobody_asked_for_are_ignored_but_the_schema_may_forbid_them() -> None:
    result = score({"rows": [{"item": "x", "price": 1}]}, ROWS, '{"rows": [{"item": "x", "price": 1}], "note": "?"}')
    assert (result.right, result.total, result.fits) == (3, 3, False)
