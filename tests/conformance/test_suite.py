"""The JSON Schema Test Suite: no invalid instance is accepted, and what is right stays right."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from conformance.suite import Case, Group, Number, groups, located, registry
from conformance.tally import tallied
from conformance.verdict import Verdict, verdict_of
from conformance.writing import forms

LEAST_RIGHT = {
    ("2020-12", "required"): 97.0,
    ("2020-12", "format"): 96.4,
    ("7", "required"): 96.4,
    ("7", "format"): 96.1,
}
"""(draft, part) -> right schemas in percent, at least: what holds today, rounded down. Raise it with every step."""

EACH_PART = pytest.mark.parametrize(("draft", "part"), list(LEAST_RIGHT), ids=" ".join)


@cache
def verdicts(draft: str, part: str) -> tuple[Verdict, ...]:
    suite = located()
    documents = registry(suite, draft)
    return tuple(verdict_of(group, documents) for group in groups(suite, draft, part))


@EACH_PART
def test_no_invalid_instance_is_accepted(draft: str, part: str) -> None:
    accepted = [
        (verdict.group.name, outcome.case.description)
        for verdict in verdicts(draft, part)
        for outcome in verdict.outcomes
        if outcome.wrongly_accepted
    ]
    assert not accepted


@EACH_PART
def test_as_many_schemas_are_right_as_ever(draft: str, part: str) -> None:
    assert tallied(verdicts(draft, part)).share >= LEAST_RIGHT[draft, part]


@EACH_PART
def test_every_schema_is_right_refused_or_compiled(draft: str, part: str) -> None:
    """No other error than a refusal comes out of a schema, however odd it is."""
    for verdict in verdicts(draft, part):
        refusal = verdict.refusal
        assert refusal is None or refusal.kind in ("UnsupportedSchema", "Unsatisfiable"), verdict.group.name
        assert refusal is None or refusal.because


@EACH_PART
def test_a_refusal_names_keyword_and_place(draft: str, part: str) -> None:
    for verdict in verdicts(draft, part):
        if verdict.kind == "refused":
            assert verdict.refusal is not None
            assert verdict.refusal.keyword, verdict.group.name
            assert verdict.refusal.pointer, verdict.group.name


@EACH_PART
def test_a_schema_is_refused_as_unsatisfiable_only_if_the_suite_has_no_valid_instance(draft: str, part: str) -> None:
    for verdict in verdicts(draft, part):
        if verdict.refusal is not None and verdict.refusal.kind == "Unsatisfiable":
            assert verdict.kind == "right", verdict.group.name


def judged(schema: Any, *cases: tuple[Any, bool], name: str = "of ours") -> Verdict:
    group = Group("2020-12", "required", "not", name, schema, tuple(Case("", value, valid) for value, valid in cases))
    return verdict_of(group, {})


def test_a_schema_is_right_if_all_its_instances_are() -> None:
    assert judged({"type": "integer"}, (1, True), ("a", False)).kind == "right"


def test_an_invalid_instance_that_is_accepted_is_counted() -> None:
    verdict = judged({"type": "integer"}, (1, False), (2, True))
    assert verdict.kind == "wrong"
    assert tallied([verdict]).counts["wrongly_accepted"] == 1
    assert tallied([verdict]).counts["slips_through"] == 1


def test_a_valid_instance_that_is_rejected_is_counted() -> None:
    verdict = judged({"type": "integer"}, ("a", True))
    assert verdict.kind == "wrong"
    assert tallied([verdict]).counts["wrongly_rejected"] == 1


def test_a_refusal_is_kept_with_its_reason() -> None:
    verdict = judged({"$ref": "http://example.org/other"}, ([], True))
    assert verdict.kind == "refused"
    [(reason, count)] = tallied([verdict]).reasons
    assert reason.startswith("$ref: 'http://example.org/other' leads nowhere")
    assert count == 1


@pytest.mark.parametrize(("valid", "kind"), [(False, "right"), (True, "wrong")])
def test_to_be_unsatisfiable_is_right_only_without_a_valid_instance(valid: bool, kind: str) -> None:
    assert judged(False, (1, valid)).kind == kind


def test_a_schema_that_nothing_satisfies_must_be_refused() -> None:
    assert judged({"type": "integer"}, ("a", False), name="forbid everything with boolean schema true").kind == "wrong"


def test_instances_are_written_in_the_order_of_the_schema_first() -> None:
    schema = {"properties": {"a": {}, "b": {}}, "required": ["c"]}
    texts = list(forms({"x": Number("1.0"), "c": [], "b": "é", "a": {}}, schema))
    assert texts[0] == '{"a": {}, "b": "é", "c": [], "x": 1.0}'
    assert texts[1] == '{"x": 1.0, "c": [], "b": "é", "a": {}}'
    assert len(texts) == len(set(texts)) == 24


def test_the_orders_of_nested_keys_are_tried_too() -> None:
    assert len(list(forms([{"a": {"b": 1, "c": 2}, "d": 3}], True))) == 4


def test_a_folder_without_a_suite_is_refused_by_name(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"is no JSON Schema Test Suite: it has no folder draft2020-12"):
        located(tmp_path)
