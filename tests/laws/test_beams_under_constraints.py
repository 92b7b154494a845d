"""Every hypothesis of a search satisfies its constraint, and drafts and neighbours change none of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest

from decodeplug import Request
from decodeplug.result import Result
from tests.laws.test_same_text import CHECKED, CONSTRAINTS, PROMPTS, SCHEMA, host

BUDGET = 64


def request(prompt: str, constraint: str, drafters: list[str], **options: Any) -> Request:
    options = {"num_beams": 3, "num_return_sequences": 3, "seed": 3, "max_new_tokens": BUDGET, **options}
    return Request(prompt, constraint=CONSTRAINTS[constraint], drafters=drafters, **options)


def told(result: Result) -> list[tuple[list[int], str, float]]:
    """All hypotheses: ids, why each ended, and its score."""
    found = [result, *result.alternatives]
    return [(one.token_ids, one.finish_reason, round(one.score or 0.0, 4)) for one in found]


@cache
def alone(prompt: str, constraint: str, drawn: bool) -> Result:
    return host().generate_batch([request(prompt, constraint, [], do_sample=drawn)])[0]


@pytest.mark.parametrize("drawn", [False, True], ids=["best", "drawn"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_hypotheses_are_valid_and_forced_drafts_and_a_batch_change_none(constraint: str, drawn: bool) -> None:
    prompts = PROMPTS[:2]
    plain = [alone(prompt, constraint, drawn) for prompt in prompts]
    for result in plain:
        found = [result, *result.alternatives]
        assert len({tuple(one.token_ids) for one in found}) == 3
        assert CONSTRAINTS[constraint] is None or all(one.value is not None for one in found)
        if constraint not in ("no constraint", "phases"):  # what comes before the marker is any bytes
            assert all(host().accepts(CONSTRAINTS[constraint], one.text) for one in found)
        if constraint.startswith("schema"):
            schema = CHECKED if "checked" in constraint else SCHEMA
            for one in found:
                jsonschema.validate(json.loads(one.text), schema)
    drafted = [request(prompt, constraint, ["forced"], do_sample=drawn) for prompt in prompts]
    together = host().generate_batch([*drafted, request(PROMPTS[3], "regex", ["forced"])])
    assert [told(result) for result in together[:2]] == [told(result) for result in plain]


@pytest.mark.parametrize("constraint", ["schema in one layout", "grammar", "tools"])
def test_forced_drafts_save_forwards(constraint: str) -> None:
    drafted = host().generate_batch([request(PROMPTS[0], constraint, ["forced"])])[0]
    assert drafted.trace.acceptance["forced"].kept > 0
    assert drafted.trace.forwards < 0.8 * alone(PROMPTS[0], constraint, False).trace.forwards
