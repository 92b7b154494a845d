"""What the trace says is what happened."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from decodeplug import Host, choice
from decodeplug.testing import bpe_tokenizer, tiny_model

PROMPT = "The red bear "


def test_a_choice_that_rounding_could_have_changed_is_counted() -> None:
    tokenizer = bpe_tokenizer()
    model = tiny_model(vocab=len(tokenizer), dtype=torch.float32)
    head = model.get_output_embeddings().weight
    with Host(model, tokenizer, plugins=[]) as host:
        assert host.generate(PROMPT, max_new_tokens=8).trace.near_ties == 0
        with torch.no_grad():
            twin = host.generate(PROMPT, max_new_tokens=1).token_ids[0]
            head[twin + 1] = head[twin]  # the next id always scores the same
        trace = host.generate(PROMPT, max_new_tokens=8).trace
    assert trace.near_ties >= 1
    assert trace.near_ties == sum(step.near_ties for step in trace.steps)


def test_the_bound_of_near_ties_is_that_of_the_logits_not_of_the_weights(host: Host, tokenizer: Any) -> None:
    model = tiny_model(vocab=len(tokenizer), dtype=torch.float32)
    with Host(model, tokenizer, plugins=[]) as own, torch.autocast(model.device.type, torch.bfloat16):
        assert own.generate(PROMPT, max_new_tokens=30).trace.near_ties > 0


def test_steps_say_who_proposed_each_token(host: Host) -> None:
    result = host.generate(PROMPT, constraint=choice(["the moon and the river", "a book"]), max_new_tokens=40)
    plain = json.loads(result.trace.to_json())
    assert [source for step in plain["steps"] for source in step["token_sources"]] == list(result.trace.sources)
    assert {"forced", "model"} <= set(result.trace.sources)
    for step in result.trace.steps:
        assert len(step.token_sources) == len(step.tokens)
        assert step.token_sources[: step.kept] == step.sources[: step.kept]


def test_masks_and_waiting_take_time_where_there_are_masks(host: Host) -> None:
    trace = host.generate(PROMPT, constraint=choice(["one", "two"]), max_new_tokens=10).trace
    assert trace.mask_s > 0
    assert trace.wait_s >= 0
    assert host.generate(PROMPT, max_new_tokens=3).trace.mask_s == 0


@pytest.mark.parametrize("budget", [1, 20])
def test_the_cache_is_seen_at_its_largest(host: Host, budget: int) -> None:
    cache = host.generate(PROMPT, max_new_tokens=budget).trace.cache
    assert cache["bytes"] == cache["peak_bytes"] > 0
    assert host.generate(PROMPT, max_new_tokens=budget, cache="none").trace.cache["peak_bytes"] == 0


def test_inspectors_and_hooks_may_use_gradients(host: Host) -> None:
    weight = torch.ones(1, requires_grad=True)

    class Learns:
        name = "learns"

        def attach(self, model: Any) -> Any:
            return torch.no_grad()

        def step(self, step: Any) -> None:
            (weight * step.position).sum().backward()

        def report(self) -> Any:
            return weight.grad

    report = host.generate(PROMPT, max_new_tokens=3, inspectors=[Learns()]).reports["learns"]
    assert float(report) > 0


def test_the_model_runs_in_inference_mode(host: Host) -> None:
    modes: list[bool] = []
    handle = host.model.register_forward_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    try:
        host.generate(PROMPT, max_new_tokens=2)
        list(host.stream(PROMPT, max_new_tokens=2))
    finally:
        handle.remove()
    assert modes == [True] * 4
    assert not torch.is_inference_mode_enabled()


def test_top_log_probabilities_leave_out_what_cannot_be_chosen(host: Host) -> None:
    result = host.generate(PROMPT, constraint=choice(["one", "two"]), max_new_tokens=10, logprobs=8)
    assert result.top_logprobs is not None
    assert all(logprob > -torch.inf for top in result.top_logprobs for _, logprob in top)
