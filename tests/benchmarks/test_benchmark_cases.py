"""The tasks that the benchmarks are judged by are what they claim to be."""

from __future__ import annotations

from itertools import chain

import pytest
from free_text_cases import COPYING, OPEN
from json_cases import JSON_CASES, JsonCase
from jsonschema import Draft202012Validator


@pytest.mark.parametrize("case", JSON_CASES, ids=lambda case: case.name)
def test_every_case_has_a_valid_schema_of_an_object(case: JsonCase) -> None:
    Draft202012Validator.check_schema(case.schema)
    assert not Draft202012Validator(case.schema).is_valid("not an object")
    assert not Draft202012Validator(case.schema).is_valid({"a key of nobody": 1})


def test_there_are_at_least_fourteen_cases_of_different_shape() -> None:
    assert len(JSON_CASES) >= 14
    for facts in zip(
        *((case.name, case.shape, str(case.schema), str(case.messages)) for case in JSON_CASES), strict=True
    ):
        assert len(set(facts)) == len(JSON_CASES)


def test_free_prompts_are_distinct_and_enough() -> None:
    assert len(OPEN) >= 8
    assert len(COPYING) >= 3
    prompts = list(chain(OPEN, COPYING))
    assert len({case.prompt for case in prompts}) == len({case.name for case in prompts}) == len(prompts)


def test_the_shapes_that_structured_output_is_used_for_are_all_there() -> None:
    schemas = " ".join(str(case.schema) for case in JSON_CASES)
    for word in ("array", "enum", "boolean", "integer", "number", "anyOf", "$ref", "pattern", "null", "const"):
        assert f"'{word}'" in schemas
    assert any(
        set(case.schema["properties"]) > set(case.schema["required"])
        for case in JSON_CASES
        if "required" in case.schema
    )
