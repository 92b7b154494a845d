"""The meter lets right stacks pass, and says when it has seen too little."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lossless_parts import Plugin, Samples

from decodeplug import BadOption, BudgetTooSmall, Host, Recipe, regex
from decodeplug.result import Result
from decodeplug.testing import Verdict, bpe_tokenizer, tiny_model, verify_lossless
from decodeplug.testing.lossless.comparisons import pair_up
from decodeplug.trace import Step, Trace

pytest_plugins = ["decodeplug.testing.fixtures"]

LOOKUP = ["lookup=min_ngram=1"]
CHAIN = ["forced", *LOOKUP]
GRAMMAR = {"name": "lark", "source": 'start: ("ab" | "the bear reads " word) "."\nword: "books" | "a" /[a-z]/'}
RIGHT: dict[str, dict[str, Any]] = {
    "lookup": {"strategy": "sample", "drafters": LOOKUP},
    "lookup, no cache": {"strategy": "sample", "drafters": LOOKUP, "cache": "none"},
    "lookup, top-k": {"strategy": "sample", "drafters": LOOKUP, "processors": ["top-k=4"]},
    "lookup, temperature and top-p": {"processors": ["temperature=0.7", "top-p=0.9"], "drafters": LOOKUP},
    "forced, grammar": {"strategy": "sample", "constraint": GRAMMAR, "drafters": ["forced"]},
    "chain, grammar, top-k": {"constraint": GRAMMAR, "drafters": CHAIN, "processors": ["top-k=20"]},
}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    tokenizer = bpe_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer), layers=1), tokenizer, plugins=[Plugin()]) as host:
        yield host


@pytest.mark.parametrize("stack", RIGHT)
def test_a_right_stack_passes_by_its_ids(host: Host, stack: str) -> None:
    verdict = verify_lossless(host, Recipe(RIGHT[stack]), samples=70, tokens=20, batch=70)
    assert verdict.outcome == "pass"
    assert verdict.drafted > 0
    assert verdict.smallest_tv == pytest.approx(1 - 0.001 ** (1 / 70))
    assert verdict.of == "whole texts"
    assert verdict.findings[-1].says == "70 of 70 texts of the same seeds have the same ids"


@pytest.mark.parametrize("stack", ["lookup, top-k", "lookup, temperature and top-p", "forced, grammar"])
def test_a_right_stack_passes_by_its_law(host: Host, stack: str) -> None:
    verdict = verify_lossless(host, RIGHT[stack], samples=120, tokens=20, same_ids=False, bound=0.3, batch=120)
    assert verdict.outcome == "pass", verdict
    assert {"possible texts", "surprise of tokens", "surprise of texts"} <= {one.name for one in verdict.findings}


def test_a_selector_that_keeps_the_law_and_not_the_ids_passes(host: Host) -> None:
    recipe = {"strategy": Samples("other-noise"), "drafters": LOOKUP}
    verdict = verify_lossless(host, recipe, samples=120, bound=0.15, batch=120)
    assert verdict.outcome == "pass"
    assert verdict.of == "next tokens"
    assert verify_lossless(host, recipe, samples=20, same_ids=True).outcome == "fail"


def test_a_greedy_recipe_has_one_text_for_each_prompt(host: Host) -> None:
    verdict = verify_lossless(host, {"drafters": LOOKUP}, ["a b a b a b a", "The bear "])
    assert (verdict.outcome, verdict.samples, verdict.smallest_tv) == ("pass", 2, 0.0)
    assert verdict.notes == ("no noise is drawn, so each prompt has one text",)


def test_a_constraint_with_one_text_needs_no_law_but_that(host: Host) -> None:
    recipe = {"strategy": Samples("other-noise"), "constraint": {"name": "choice", "options": ["b"]}, "drafters": []}
    verdict = verify_lossless(host, recipe, ["a"], samples=80, tokens=4, batch=80)
    assert (verdict.outcome, verdict.of) == ("pass", "whole texts")


@pytest.mark.parametrize("same_ids", [True, False])
def test_too_few_samples_are_never_a_pass_and_as_many_as_it_asks_for_are(host: Host, same_ids: bool) -> None:
    recipe = {"strategy": "sample", "drafters": LOOKUP}
    few = verify_lossless(host, recipe, samples=30, same_ids=same_ids, bound=0.15)
    assert few.outcome == "not enough samples"
    assert few.smallest_tv > few.bound
    assert few.wanted_samples is not None
    assert str(few).endswith(f"about {few.wanted_samples} samples are enough")
    more = verify_lossless(host, recipe, samples=few.wanted_samples + 10, same_ids=same_ids, bound=0.15, batch=80)
    assert more.outcome == "pass"


def test_a_recipe_whose_drafters_said_nothing_has_not_been_tried(host: Host) -> None:
    verdict = verify_lossless(
        host, {"strategy": "sample", "drafters": ["lookup"]}, ["a"], samples=80, tokens=2, batch=80
    )
    assert verdict.outcome == "not enough samples"
    assert "no token was drafted" in verdict.because


def result(ids: list[int], near_tie_at: int | None = None) -> Result:
    steps = [Step(at, tokens=(token,), near_ties=int(at == near_tie_at)) for at, token in enumerate(ids)]
    return Result("", ids, "length", Trace(steps=steps))


def test_a_difference_at_a_near_tie_is_rounding_and_any_other_is_not() -> None:
    drawn = [result([1, 2, 3]), result([1, 2, 3]), result([1, 2, 3]), result([1, 2])]
    plain = [result([1, 2, 3]), result([1, 9, 9], 1), result([1, 9, 9], 2), result([1, 2, 3], 2)]
    pairs = pair_up(drawn, plain)
    assert (pairs.same, pairs.rounding, pairs.differ, pairs.first) == (1, 1, 2, (2, 1))


def test_the_verdict_is_plain_data_and_raises_unless_it_is_a_pass(host: Host) -> None:
    verdict = verify_lossless(host, {"strategy": "sample"}, samples=20)
    assert json.loads(json.dumps(verdict.to_dict()))["outcome"] == "not enough samples"
    assert (verdict.passed, verdict.exit_code) == (False, 2)
    with pytest.raises(AssertionError, match="not enough samples: only a distance of"):
        verdict.check()


@pytest.mark.parametrize(
    ("recipe", "options", "says"),
    [
        ({}, {"samples": 0}, "samples=0, but wanted at least 1"),
        ({}, {"alpha": 1.0}, r"alpha=1.0, but wanted a probability in \(0, 1\)"),
        ({}, {"bound": 0.0}, "bound=0.0, but wanted a distance"),
        ({}, {"tokens": 0}, "tokens=0, but wanted at least 1"),
        ({}, {"prompts": "The bear "}, "a list of prompts"),
        ({}, {"prompts": []}, "a list of prompts, at least one"),
        ("fast.toml", {}, "a Recipe, or a mapping of options"),
    ],
)
def test_what_cannot_be_measured_is_refused(host: Host, recipe: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        verify_lossless(host, recipe, **options)


def test_a_budget_that_is_too_small_for_the_constraint_is_said_before_anything_is_drawn(host: Host) -> None:
    told: list[str] = []
    with pytest.raises(BudgetTooSmall):
        verify_lossless(host, {"constraint": regex("[a-z]{40}")}, tokens=2, tell=lambda what, *_: told.append(what))
    assert told == []


def test_the_fixture_passes_a_right_recipe_and_raises_for_another(
    host: Host, assert_lossless: Callable[..., Verdict], tiny_host: Host
) -> None:
    assert assert_lossless({"strategy": "sample", "drafters": LOOKUP}, samples=70, batch=70).passed
    with pytest.raises(AssertionError, match=r"^fail: "):
        assert_lossless({"strategy": Samples("accepts-all"), "drafters": LOOKUP}, host=host, samples=40)
    assert tiny_host.plugins.registry.names("drafter")
