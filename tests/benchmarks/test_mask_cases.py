"""What the benchmark of masks walks along is what it claims to be."""

from __future__ import annotations

import json
import re

import pytest
from json_cases import JSON_CASES
from jsonschema import Draft202012Validator
from mask_cases import CHOICES, LAID_OUT, PATTERNS, PLAIN, PlainCase, SchemaCase, laid_out, wide_schema
from mask_checked_cases import CHECKED
from mask_values import VALUES

from decodeplug.constraints import json_schema
from decodeplug.constraints.witnessed import Witnessed
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})


@pytest.mark.parametrize("case", [*PLAIN, *CHECKED], ids=lambda case: case.name)
def test_every_value_satisfies_its_schema(case: SchemaCase) -> None:
    Draft202012Validator.check_schema(case.schema)
    Draft202012Validator(case.schema).validate(case.value)


@pytest.mark.parametrize("case", PATTERNS, ids=lambda case: case.name)
def test_every_text_matches_its_pattern(case: PlainCase) -> None:
    assert isinstance(case.given, str)
    assert re.fullmatch(case.given, case.text)


@pytest.mark.parametrize("case", CHOICES, ids=lambda case: case.name)
def test_every_text_is_one_of_its_options(case: PlainCase) -> None:
    assert case.text in case.given


def test_each_schema_of_the_json_benchmark_has_a_value() -> None:
    assert VALUES.keys() == {case.name for case in JSON_CASES}
    assert len(PLAIN) >= 12


@pytest.mark.parametrize("case", CHECKED, ids=lambda case: case.name)
def test_a_checked_schema_is_one_that_no_mask_enforces(case: SchemaCase) -> None:
    assert isinstance(json_schema(case.schema, layout="compact").compile(BYTES), Witnessed)


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_a_plain_schema_needs_no_check(case: SchemaCase) -> None:
    assert not isinstance(json_schema(case.schema, layout="compact").compile(BYTES), Witnessed)


def test_the_layouts_differ_and_say_the_same() -> None:
    for case in PLAIN:
        texts = [laid_out(case.value, layout) for layout in LAID_OUT]
        assert len(set(texts)) == len(LAID_OUT)
        assert all(json.loads(text) == case.value for text in texts)


@pytest.mark.parametrize("count", [20, 200])
def test_a_wide_schema_has_so_many_properties_of_which_some_may_be_left_out(count: int) -> None:
    schema = wide_schema(count)
    assert len(schema["properties"]) == count
    assert len(schema["required"]) == count * 4 // 5
