"""What only a real model shows: SmolLM2-135M-Instruct in float32."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from decodeplug import Host, Request, choice, json_schema, regex
from decodeplug.cli.demo import BEAR, PROMPT
from decodeplug.testing.device import chosen_device

pytestmark = pytest.mark.smollm2

TIE = 1e-4  # a smaller margin than this may go either way in float32
CONSTRAINTS: dict[str, Any] = {
    "no constraint": None,
    "schema": json_schema(BEAR),
    "regex": regex(r"(Monday|Tuesday|Wednesday), [0-9]{1,2}(am|pm)( sharp)?"),
    "choice": choice(["a small brown bear", "a small brown bear with a red ribbon", "a big bear"]),
}
DRAFTERS = {"none": [], "lookup": ["lookup"], "forced": ["forced"], "chain": ["forced", "lookup"]}
PROMPTS = [
    PROMPT,
    "When shall we meet? Answer with a weekday and an hour.",
    "Describe a bear in five words.",
    "Repeat this sentence twice: the quick brown fox jumps over the lazy dog.",
    "Name three colours.",
]
BUDGET = 48


@pytest.fixture(scope="module")
def host() -> Host:
    return Host.from_pretrained("smollm2", plugins=[], device_map=chosen_device())


def request(prompt: str, constraint: str, drafter: str, cache: str = "dense") -> Request:
    messages = [{"role": "user", "content": prompt}]
    return Request(
        messages, constraint=CONSTRAINTS[constraint], drafters=DRAFTERS[drafter], cache=cache, max_new_tokens=BUDGET
    )


def margin_at(host: Host, ids: list[int], constraint: str, new: list[int]) -> float:
    """By how much the best allowed token after ``ids + new`` is ahead of the second, with no cache."""
    result = host.generate([*ids, *new], max_new_tokens=1, logprobs=2, cache="none", drafters=[])
    if CONSTRAINTS[constraint] is None:
        assert result.top_logprobs is not None
        (_, first), (_, second) = result.top_logprobs[0]
        return first - second
    assert host.vocabulary is not None
    mask = CONSTRAINTS[constraint].compile(host.vocabulary)
    state = mask.start()
    for token in new:
        state = mask.advance(state, token)
    with torch.inference_mode():
        logits = host.model(torch.tensor([[*ids, *new]], device=host.model.device)).logits[
            0, -1, : host.vocabulary.size
        ]
    best = logits[mask.allowed(state)].topk(2).values
    return float(best[0] - best[1])


def check_same(host: Host, constraint: str, ids: list[int], found: list[int], expected: list[int]) -> None:
    """Equal ids, or a first difference where the margin is below the tie bound."""
    if found != expected:
        at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b)
        assert margin_at(host, ids, constraint, expected[:at]) < TIE


@pytest.fixture(scope="module")
def expected(host: Host) -> dict[tuple[str, str], tuple[list[int], list[int]]]:
    """Prompt and constraint -> prompt ids, and the ids without draft and batch."""
    table = {}
    for prompt, constraint in product(PROMPTS, CONSTRAINTS):
        result = host.generate_batch([request(prompt, constraint, "none")])[0]
        table[prompt, constraint] = list(result.prompt_ids), result.token_ids
    return table


CACHES, BATCHES = ["dense", "paged", "none"], ["alone", "ragged batch of 5"]


def is_sampled(places: tuple[int, ...]) -> bool:
    """Every third cell of the table of exact caches, in which every pair of values comes up: a real model takes its time, and
    recomputing everything takes minutes. The other cells run with `make test-all`."""
    return places[2] < 2 and sum(places) % 3 == 0


CELLS = [
    pytest.param(
        *(value for _, value in cell), marks=[] if is_sampled(tuple(place for place, _ in cell)) else [pytest.mark.slow]
    )
    for cell in product(*(list(enumerate(values)) for values in (CONSTRAINTS, DRAFTERS, CACHES, BATCHES)))
]


@pytest.mark.parametrize(("constraint", "drafter", "cache", "batch"), CELLS)
def test_greedy_gives_the_text_of_no_draft_and_no_batch(
    host: Host, expected: dict[Any, Any], constraint: str, drafter: str, cache: str, batch: str
) -> None:
    prompts = PROMPTS if batch != "alone" else [PROMPTS[list(CONSTRAINTS).index(constraint)]]
    results = host.generate_batch([request(prompt, constraint, drafter, cache) for prompt in prompts])
    for prompt, result in zip(prompts, results, strict=True):
        ids, tokens = expected[prompt, constraint]
        check_same(host, constraint, ids, result.token_ids, tokens)


def test_greedy_is_what_generate_writes(host: Host) -> None:
    messages = [{"role": "user", "content": PROMPTS[3]}]
    ids = host.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    with torch.inference_mode():
        given = torch.tensor([ids], device=host.model.device)
        plain = host.model.generate(given, max_new_tokens=40, do_sample=False)[0, len(ids) :].tolist()
    check_same(host, "no constraint", ids, host.generate(messages, max_new_tokens=40).token_ids, plain)


def test_the_demo_writes_json_that_validates_in_fewer_forwards_than_tokens() -> None:
    command = [sys.executable, "-m", "decodeplug", "demo", "--json", "--no-compare"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    facts = json.loads(shown)
    Draft202012Validator(BEAR).validate(facts["value"])
    Draft202012Validator(BEAR).validate(json.loads(facts["text"]))
    assert facts["trace"]["forwards"] <= 0.6 * facts["trace"]["tokens"]
    assert facts["trace"]["acceptance"]["forced"]["kept"] > 10
