"""The tasks of the extraction benchmark are what they claim to be: answerable from their text, and varied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from extraction_cases import EXTRACTION_CASES
from extraction_task import ExtractionCase, Shape, outline
from jsonschema import Draft202012Validator

SHAPES: dict[str, Shape] = {case.shape.name: case.shape for case in EXTRACTION_CASES}


def scalars(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Each value inside that is neither an object nor an array, with its JSON pointer."""
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inside:
            yield from scalars(part, f"{pointer}/{key}")
    else:
        yield pointer, value


def stands_in(text: str, value: Any) -> bool:
    """Is the value in the text as it is: as whole words in any case, or as a number?"""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return re.search(rf"(?<!\w){re.escape(value.casefold())}(?!\w)", text.casefold()) is not None
    return value in {float(found) for found in re.findall(r"(?<![\d])-?\d+(?:\.\d+)?", text)}


every_case = pytest.mark.parametrize("case", EXTRACTION_CASES, ids=lambda case: case.name)


@every_case
def test_what_is_expected_satisfies_the_schema(case: ExtractionCase) -> None:
    Draft202012Validator(case.shape.schema).validate(case.expected)


@every_case
def test_every_fact_stands_in_the_text_or_the_case_says_how(case: ExtractionCase) -> None:
    elsewhere = {pointer for pointer, value in scalars(case.expected) if not stands_in(case.text, value)}
    assert elsewhere == set(case.said)
    for words in case.said.values():
        assert words in case.text


@every_case
def test_the_budget_holds_the_answer_with_indentation(case: ExtractionCase) -> None:
    characters = len(json.dumps(case.expected, indent=2))
    assert characters <= 2 * case.shape.max_new_tokens  # a token of English JSON has about three characters


@every_case
def test_the_text_is_short_and_shown_with_every_key_of_the_form(case: ExtractionCase) -> None:
    assert len(case.text) <= 240
    (message,) = case.messages
    assert case.text in message["content"]
    assert outline(case.shape.schema) in message["content"]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_every_shape_is_a_closed_object_in_which_all_keys_are_required(shape: Shape) -> None:
    Draft202012Validator.check_schema(shape.schema)
    assert shape.schema["type"] == "object"
    assert shape.schema["additionalProperties"] is False
    assert list(shape.schema["required"]) == list(shape.schema["properties"])


def test_there_are_enough_distinct_tasks_and_shapes() -> None:
    assert len(EXTRACTION_CASES) >= 48
    assert len({case.name for case in EXTRACTION_CASES}) == len(EXTRACTION_CASES)
    assert len({case.text for case in EXTRACTION_CASES}) == len(EXTRACTION_CASES)
    assert len(SHAPES) >= 6
    assert len({id(case.shape) for case in EXTRACTION_CASES}) == len(SHAPES)


def test_every_fourth_task_is_a_sample_with_all_shapes_in_it() -> None:
    assert [case.shape.name for case in EXTRACTION_CASES[::4]] == list(SHAPES)


def test_all_kinds_of_values_are_asked_for() -> None:
    schemas = " ".join(json.dumps(shape.schema) for shape in SHAPES.values())
    for word in ("array", "enum", "boolean", "integer", "number", "pattern"):
        assert f'"{word}"' in schemas
    properties = [shape.schema["properties"].values() for shape in SHAPES.values()]
    assert any(part["type"] == "object" for parts in properties for part in parts)
    assert any(part.get("items", {}).get("type") == "object" for parts in properties for part in parts)


def test_yes_is_not_the_answer_to_every_question() -> None:
    answers = [value for case in EXTRACTION_CASES for _, value in scalars(case.expected) if isinstance(value, bool)]
    assert 0.4 <= sum(answers) / len(answers) <= 0.6


def test_a_form_is_shown_with_its_keys_types_and_options() -> None:
    assert outline(SHAPES["weather"].schema) == (
        '{"city": string, "temperature": number, "wind_kmh": whole number, '
        '"sky": "sunny" or "cloudy" or "rainy" or "snowy" or "foggy"}'
    )
    assert outline(SHAPES["contact"].schema).endswith(
        '"address": {"street": string, "postcode": string, "city": string}}'
    )
    assert '"date": "YYYY-MM-DD"' in outline(SHAPES["event"].schema)
    assert '"skills": [string, ...]' in outline(SHAPES["job"].schema)
