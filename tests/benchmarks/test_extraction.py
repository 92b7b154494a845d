"""The extraction benchmark runs every way there is, and says which are not there."""

from __future__ import annotations

import math
from typing import NoReturn

import pytest
from contestants import Contestant, Models, decodeplug_contestant
from extraction import (
    FREE,
    Answer,
    constrained_minus_free,
    facts,
    layout_way,
    right_share,
    run_case,
    table_row,
    totals_row,
)
from extraction_cases import EXTRACTION_CASES
from extraction_scoring import score
from extraction_task import ExtractionCase, Shape
from measure import Forwards, Run
from report import judge
from schema_shorthand import closed, one_of, whole

from decodeplug import Host
from decodeplug.testing import byte_tokenizer, tiny_model

SHAPE = Shape("bear", closed(colour=one_of("red", "blue"), age=whole(1, 9)), 40)
CASE = ExtractionCase("ada", SHAPE, "Ada is red and 3 years old.", {"colour": "red", "age": 3})
MODEL = layout_way("model")


def answer(text: str, error: str = "") -> Answer:
    run = Run(math.inf if error else 1.0, list(range(len(text))), text, Forwards(), error)
    return Answer(run, score(CASE.expected, SHAPE.schema, text))


@pytest.fixture(scope="module")
def models() -> Models:
    tokenizer = byte_tokenizer()
    host = Host(tiny_model("llama"), tokenizer)
    return Models(host.model, tokenizer, host)


def test_a_constrained_way_fills_in_the_form_whatever_the_model_knows(models: Models) -> None:
    contestants = [decodeplug_contestant(models, layout, layout_way(layout)) for layout in ("spaced", "compact")]
    answers = run_case(CASE, contestants, models)
    assert list(answers) == ["layout spaced", "layout compact"]
    for given in answers.values():
        assert not given.run.error
        assert given.score.parses
        assert given.score.fits


def test_a_layout_that_is_not_there_is_missing_with_the_reason_and_does_not_run(models: Models) -> None:
    way = decodeplug_contestant(models, "handwritten", layout_way("handwritten"))
    assert "layout='handwritten'" in way.missing
    assert run_case(CASE, [way], models) == {}
    assert table_row(CASE, {}, [way.name]) == ["bear / ada", "MISSING"]
    assert totals_row([{}], way.name)[:2] == ["layout handwritten", "MISSING"]


def test_a_way_that_fails_has_every_field_wrong_and_says_so(models: Models) -> None:
    def prepare(schema: object) -> NoReturn:
        raise RuntimeError("it broke")

    answers = run_case(CASE, [Contestant("broken", prepare)], models)
    assert table_row(CASE, answers, ["broken"]) == ["bear / ada", "FAILED"]
    assert right_share([answers], "broken") == 0.0
    assert facts(CASE, answers)["answers"]["broken"]["error"] == "RuntimeError: it broke"


def test_shares_are_of_all_fields_of_all_tasks() -> None:
    results = [
        {FREE: answer('{"colour": "red", "age": 3}')},
        {FREE: answer('{"colour": "pink", "age": 3}')},
        {FREE: answer("?")},
    ]
    assert right_share(results, FREE) == 0.5
    assert totals_row(results, FREE) == [FREE, "3 of 6", "50.0%", "2 of 3", "1 of 3", "18.7"]
    assert table_row(CASE, results[1], [FREE]) == ["bear / ada", "1/2"]


@pytest.mark.parametrize(
    ("constrained", "holds"), [('{"colour": "red", "age": 3}', True), ('{"colour": "red"}', True), ("{}", False)]
)
def test_constrained_must_not_be_worse_than_free_text(constrained: str, holds: bool) -> None:
    results = [{MODEL: answer(constrained), FREE: answer('Sure: {"colour": "red", "age": 4}')}]
    (verdict,) = judge("extraction", {"constrained_minus_free_at_least": constrained_minus_free(results)})
    assert verdict.holds is holds


def test_without_the_layout_nothing_was_measured_and_the_threshold_fails() -> None:
    results = [{FREE: answer("?")}]
    assert constrained_minus_free(results) is None
    (verdict,) = judge("extraction", {"constrained_minus_free_at_least": constrained_minus_free(results)})
    assert not verdict.holds


def test_the_prompt_of_a_task_shows_its_form(models: Models) -> None:
    case = EXTRACTION_CASES[0]
    shown = models.tokenizer.decode(models.prompt(case.messages))
    assert case.text in shown
    assert '"occupation": string' in shown
