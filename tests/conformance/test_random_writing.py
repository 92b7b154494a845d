"""Whatever is written at random under a schema is valid; and what is known to go wrong is still all of it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import torch
from conformance.generated_schemas import documents
from conformance.judges import judge_of
from conformance.known_writing_failures import KNOWN, Known, known_as
from conformance.random_writing import Fault, fault_in, faults_of
from conformance.suite import DRAFTS, groups, located, registry
from conformance.verdict import BYTES
from conformance.writers import LAYOUTS, WRITERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from decodeplug.constraints import json_schema
from decodeplug.errors import Unsatisfiable


def unknown_faults(schema: Any, vocabulary: str, layout: str, seed: int, texts: int = 3) -> list[Fault]:
    found = faults_of(schema, WRITERS[vocabulary], random.Random(seed), texts, layout=layout)
    return [fault for fault in found or () if known_as(fault) is None]


SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
QUIET: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": SLOW}
DRAWN = {
    "schema": documents(),
    "vocabulary": st.sampled_from(sorted(WRITERS)),
    "layout": st.sampled_from(LAYOUTS),
    "seed": st.integers(0, 2**32),
}


@settings(max_examples=200, derandomize=True, **QUIET)
@given(**DRAWN)
def test_what_is_written_at_random_is_valid(schema: Any, vocabulary: str, layout: str, seed: int) -> None:
    assert unknown_faults(schema, vocabulary, layout, seed) == []


@pytest.mark.slow
@settings(max_examples=1500, derandomize=True, **QUIET)
@given(**DRAWN)
def test_what_is_written_at_random_is_valid_in_many_more_cases(
    schema: Any, vocabulary: str, layout: str, seed: int
) -> None:
    assert unknown_faults(schema, vocabulary, layout, seed) == []


def test_most_of_the_schemas_that_are_drawn_are_enforced() -> None:
    enforced = []

    @settings(max_examples=100, derandomize=True, **QUIET)
    @given(schema=documents())
    def count(schema: Any) -> None:
        enforced.append(faults_of(schema, WRITERS["bytes"], random.Random(0), 0) is not None)

    count()
    assert sum(enforced) > len(enforced) / 3


@pytest.mark.parametrize("draft", list(DRAFTS))
@pytest.mark.parametrize("vocabulary", sorted(WRITERS))
def test_what_is_written_at_random_under_the_schemas_of_the_suite_is_valid(draft: str, vocabulary: str) -> None:
    suite, chance = located(), random.Random(draft + vocabulary)
    references = registry(suite, draft)
    for part in ("required", "format"):
        for group in groups(suite, draft, part):
            options = {"draft": draft, "formats": group.formats}
            judge = judge_of(group.schema, registry=references, **options)
            for fault in faults_of(group.schema, WRITERS[vocabulary], chance, 4, judge, **options) or ():
                assert known_as(fault) is not None, (group.name, fault)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_what_is_known_to_go_wrong_still_does(known: Known) -> None:
    """When this fails, something was mended: take it out of the table."""
    spec = json_schema(known.schema)
    constraint = spec.compile(BYTES)
    state: Any = constraint.start()
    for token in BYTES.encode(known.text):
        state = constraint.advance(state, token)
        assert state is not None
    if known.kind == "dead end":
        with pytest.raises(Unsatisfiable):
            constraint.allowed(state)
    elif known.kind == "endless":
        assert not constraint.is_accepting(state)
    else:
        assert constraint.is_accepting(state)
        fault = fault_in(known.schema, spec, known.text)
        assert fault is not None
        assert (fault.kind, known_as(fault)) == (known.kind, known)


class Anything:
    """A constraint that allows every byte and ends anywhere: its texts are seldom valid."""

    def start(self) -> int:
        return 0

    def allowed(self, state: int) -> Tensor:
        return torch.ones(256, dtype=torch.bool)

    def advance(self, state: int, token: int) -> int:
        return state + 1

    def forced(self, state: int) -> tuple[int, ...]:
        return ()

    def is_accepting(self, state: int) -> bool:
        return state > 2

    def is_complete(self, state: int) -> bool:
        return False


def test_a_text_that_is_not_valid_is_seen() -> None:
    text, unfinished = WRITERS["bytes"].write(Anything(), random.Random(0))
    assert not unfinished
    schema = {"type": "integer"}
    fault = fault_in(schema, json_schema(schema), text)
    assert fault is not None
    assert fault.kind == "refused at the end"
    assert "not JSON" in fault.because
    invalid = fault_in(schema, json_schema(schema), '"a"')
    assert invalid is not None
    assert invalid.kind == "invalid"
    assert fault_in(schema, json_schema(schema), "3") is None


def test_a_writer_ends_what_it_began() -> None:
    constraint = json_schema({"type": "object", "required": ["a"], "minProperties": 3}).compile(BYTES)
    for seed in range(20):
        text, unfinished = WRITERS["bytes"].write(constraint, random.Random(seed))
        assert not unfinished
        assert "a" in json.loads(text)
