"""Beam search gives the ids and the scores of ``generate()``, each prompt alone; in a ragged batch too."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper

from decodeplug import Host, Request
from decodeplug.result import Result
from decodeplug.testing import bpe_tokenizer, tiny_model
from decodeplug.testing.models import KINDS

PROMPTS = ["The red bear reads a book about the moon: ", "2024-01-31", "a"]
BUDGET = 40
BEAMS, PENALTIES, STOPPING = [2, 4, 7], [0.5, 1.0, 2.0], [True, False, "never"]
Hypothesis = tuple[list[int], float]


@cache
def host(kind: str = "llama") -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(kind, vocab=len(tokenizer)), tokenizer, plugins=[])


def theirs(kind: str, prompt: str, **options: Any) -> list[Hypothesis]:
    """What ``generate()`` returns for one prompt: new ids without padding, and scores."""
    model, tokenizer = host(kind).model, host(kind).tokenizer
    inputs = tokenizer(prompt, return_tensors="pt").to(model.device)
    options = {"do_sample": False, "max_new_tokens": BUDGET, **options}
    output = model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=True)
    pad = model.generation_config.pad_token_id
    rows = [row[inputs["input_ids"].shape[1] :].tolist() for row in output.sequences]
    return [
        ([token for token in row if token != pad], score)
        for row, score in zip(rows, output.sequences_scores.tolist(), strict=True)
    ]


@cache
def expected(prompt: str, beams: int, penalty: float, stopping: Any) -> list[Hypothesis]:
    options = {"num_beams": beams, "num_return_sequences": beams, "length_penalty": penalty}
    return theirs("llama", prompt, **options, early_stopping=stopping)


def assert_equal(result: Result, hypotheses: list[Hypothesis]) -> None:
    found = [result, *result.alternatives]
    assert [one.token_ids for one in found] == [ids for ids, _ in hypotheses]
    assert [one.score for one in found] == pytest.approx([score for _, score in hypotheses], abs=1e-5)


@pytest.mark.parametrize(
    ("beams", "penalty", "stopping", "batch"), list(itertools.product(BEAMS, PENALTIES, STOPPING, [1, 3]))
)
def test_all_beams_are_those_of_generate(beams: int, penalty: float, stopping: Any, batch: int) -> None:
    options = {"num_beams": beams, "num_return_sequences": beams, "length_penalty": penalty}
    prompts = PROMPTS[:batch]
    requests = [Request(p, **options, early_stopping=stopping, max_new_tokens=BUDGET) for p in prompts]
    for prompt, result in zip(prompts, host().generate_batch(requests), strict=True):
        assert_equal(result, expected(prompt, beams, penalty, stopping))


def test_the_table_tells_its_options_apart() -> None:
    def outcomes(prompts: list[str], beams: list[int], penalties: list[float], stopping: list[Any]) -> set[Any]:
        cells = itertools.product(prompts, beams, penalties, stopping)
        return {tuple(tuple(ids) for ids, _ in expected(*cell)) for cell in cells}

    assert all(len(outcomes([prompt], BEAMS, [1.0], ["never"])) == 3 for prompt in PROMPTS)
    assert len(outcomes(["a"], [2], PENALTIES, ["never"])) > 1
    assert {len(outcomes(["a"], [beams], [2.0], STOPPING)) for beams in BEAMS} == {2}  # stopping early differs
    assert any(
        len(outcomes(["a"], [beams], [penalty], [False, "never"])) == 2 for beams in BEAMS for penalty in PENALTIES
    )


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_give_the_beams_of_generate(kind: str) -> None:
    options = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 24}
    for prompt in PROMPTS[:2]:
        assert_equal(host(kind).generate(prompt, **options), theirs(kind, prompt, **options))


@pytest.mark.parametrize(
    ("ours", "processor"),
    [
        ("temperature=0.6", TemperatureLogitsWarper(0.6)),
        ("repetition-penalty=1.4", RepetitionPenaltyLogitsProcessor(1.4)),
        ("no-repeat-ngram=2", NoRepeatNGramLogitsProcessor(2)),
    ],
    ids=["temperature", "repetition penalty", "n-grams"],
)
def test_processors_act_on_log_probabilities_as_in_generate(ours: str, processor: Any) -> None:
    options = {"num_beams": 4, "num_return_sequences": 4}
    for prompt in PROMPTS:
        result = host().generate(prompt, **options, processors=[ours], do_sample=False, max_new_tokens=BUDGET)
        assert_equal(result, theirs("llama", prompt, **options, logits_processor=[processor]))


def test_several_end_ids_and_few_results_are_those_of_generate() -> None:
    often = expected(PROMPTS[0], 4, 1.0, False)[0][0][5]
    ends = [host().model.generation_config.eos_token_id, often]
    options = {"num_beams": 4, "num_return_sequences": 2, "early_stopping": True}
    for prompt in PROMPTS:
        result = host().generate(prompt, **options, end_ids=ends, max_new_tokens=BUDGET)
        assert_equal(result, theirs("llama", prompt, **options, eos_token_id=ends))


def test_a_stopping_criterion_ends_a_hypothesis_as_in_generate() -> None:
    def every_seventh(ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return ids[:, -1] % 7 == 3

    options = {"num_beams": 3, "num_return_sequences": 3}
    for prompt in PROMPTS:
        result = host().generate(prompt, **options, stopping_criteria=[every_seventh], max_new_tokens=BUDGET)
        assert_equal(result, theirs("llama", prompt, **options, stopping_criteria=[every_seventh]))
