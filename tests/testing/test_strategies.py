"""The hypothesis strategies that come with ``decodeplug.testing``."""

from __future__ import annotations

from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, float32

from decodeplug.testing.strategies import json_schemas, json_values, score_rows, token_prefixes
from decodeplug.values import Seen


@settings(deadline=None)
@given(score_rows())
def test_every_row_of_scores_has_a_token_left_and_no_nan(rows: Tensor) -> None:
    assert rows.dtype == float32
    assert rows.isfinite().any(-1).all()
    assert not rows.isnan().any()


@settings(deadline=None)
@given(score_rows(vocab=7, rows=3))
def test_scores_have_the_size_asked_for(rows: Tensor) -> None:
    assert rows.shape == (3, 7)


@settings(deadline=None)
@given(token_prefixes(vocab=9, rows=3))
def test_prefixes_fit_what_rows_have_seen(prefixes: list[list[int]]) -> None:
    assert Seen.of(prefixes).ids == prefixes
    assert all(0 <= token < 9 for prefix in prefixes for token in prefix)


@settings(deadline=None)
@given(st.data())
def test_schemas_are_schemas_and_values_satisfy_them(data: Any) -> None:
    schema = data.draw(json_schemas())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data.draw(json_values(schema)), schema, jsonschema.Draft202012Validator)
