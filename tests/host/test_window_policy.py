"""Window policies: what a request says about texts that are longer than the window."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
import torch
from heads.guessing import random_heads
from target.test_rolling import in_sight

import decodeplug
from decodeplug import Host, Request, json_schema
from decodeplug.caches import Dense, Rolling
from decodeplug.drafters import HeadDrafts
from decodeplug.errors import BadOption, ContextOverflow, UnknownPart
from decodeplug.testing import Float64Throughout, bpe_tokenizer, like, tiny_model

LONG = "Once there was a small bear who lived in the forest. " * 3
WINDOW = 32


@cache
def host() -> Host:
    return Host(tiny_model(vocab=len(bpe_tokenizer())), bpe_tokenizer(), plugins=[])


def sinks(prompt: Any, **options: Any) -> Request:
    return Request(prompt, window_policy=f"sinks=window={WINDOW}", **{"max_new_tokens": 40, "seed": 3, **options})


def test_by_default_too_long_a_text_is_an_error_that_names_the_way_out() -> None:
    window = host().context_window
    assert window == host().model.config.max_position_embeddings
    assert decodeplug.doctor(host()).to_dict()["model"]["context_window"] == window
    with pytest.raises(ContextOverflow, match="window_policy: truncate-left or sinks") as caught:
        host().generate([5] * 10, max_new_tokens=window)
    assert caught.value.context_window == window


@pytest.mark.parametrize("cache_name", ["dense", "paged=block_size=4", "none"])
@pytest.mark.parametrize("prompt", ["Once", LONG])
def test_with_sinks_a_text_of_twice_the_window_is_what_the_model_says_of_what_is_in_sight(
    prompt: str, cache_name: str
) -> None:
    result = host().generate_batch([sinks(prompt, cache=cache_name, max_new_tokens=2 * WINDOW, end_ids=[])])[0]
    rule, ids = Rolling(Dense(), 4, WINDOW), list(result.prompt_ids)
    assert len(result.token_ids) == 2 * WINDOW
    assert "each id sees the first 4 and at most 28 of the last" in result.trace.notes[0]
    with Float64Throughout(), torch.no_grad():
        for token in result.token_ids:
            logits = host().model(input_ids=torch.tensor([in_sight(ids, rule)]), use_cache=False).logits[0, -1]
            assert int(logits.argmax()) == token
            ids.append(token)


STRATEGIES: dict[str, dict[str, Any]] = {
    "sample": {"processors": ["temperature=0.9"], "num_return_sequences": 2},
    "beam": {"num_beams": 3},
    "lookup": {"drafters": ["lookup=min_ngram=1"]},
    "speculative": {"drafters": ["assistant=num_tokens=3"]},
    "self-consistency": {"n": 2, "answer": "[a-z]+"},
}


CACHES = ["dense", "paged=block_size=4", "quantised=group=4,window=4,first=1"]
TABLE = [
    pytest.param(*cell, marks=[] if place % 4 == 0 else [pytest.mark.slow])
    for place, cell in enumerate(itertools.product(STRATEGIES, ["free", "schema"], CACHES))
]


@pytest.mark.parametrize(("name", "constraint", "cache_name"), TABLE)
def test_drafts_batches_and_caches_change_nothing_beyond_the_window(
    name: str, constraint: str, cache_name: str
) -> None:
    options = {**STRATEGIES[name], "cache": cache_name}
    if constraint == "schema":
        options["constraint"] = json_schema(
            {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 7, "maxItems": 9}
        )
    plain = dict(options)
    if name in ("lookup", "speculative"):
        plain["drafters"] = []
    else:
        options["strategy"] = plain["strategy"] = name
    if name == "speculative":
        options["strategy"], options["assistant"] = name, like(host().model, strength=0.3)
    prompts = ["Once", LONG, "There was a bear and"]
    together = host().generate_batch([sinks(prompt, **options) for prompt in prompts])
    alone = [host().generate_batch([sinks(prompt, **plain)])[0] for prompt in prompts]
    assert [result.token_ids for result in together] == [result.token_ids for result in alone]
    assert any(len(result.prompt_ids) + len(result.token_ids) > WINDOW for result in together)


def test_stored_inputs_go_with_sinks() -> None:
    gpt2 = Host(tiny_model("gpt2", vocab=len(bpe_tokenizer())), bpe_tokenizer(), plugins=[])
    prompts = ["Once", LONG, "There was a bear and"]
    together = gpt2.generate_batch([sinks(prompt, cache="stored-input", end_ids=[]) for prompt in prompts])
    alone = [gpt2.generate_batch([sinks(prompt, cache="none", end_ids=[])])[0] for prompt in prompts]
    assert [result.token_ids for result in together] == [result.token_ids for result in alone]


def test_heads_that_read_hidden_states_draft_beyond_the_window() -> None:
    heads = [HeadDrafts(heads=random_heads(host().model, "recurrent"), num_tokens=3)]
    for prompt in ("Once", LONG):
        drafted = host().generate_batch([sinks(prompt, drafters=heads, end_ids=[])])[0]
        assert drafted.token_ids == host().generate_batch([sinks(prompt, drafters=[], end_ids=[])])[0].token_ids
        assert drafted.trace.acceptance["heads"].drafted > 20


def test_log_probabilities_that_are_read_later_are_those_of_what_was_seen() -> None:
    asked = {"end_ids": []}
    now = host().generate_batch([sinks(LONG, logprobs=True, **asked)])[0]
    later = host().generate_batch([sinks(LONG, **asked)])[0]
    assert now.logprobs == pytest.approx(later.logprobs, abs=1e-6)


def test_truncate_left_keeps_the_system_prompt_and_the_last_ids() -> None:
    tokenizer = bpe_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    chatting = Host(host().model, tokenizer, plugins=[])
    rules = {"role": "system", "content": "You are a bear."}
    messages = [rules, {"role": "user", "content": LONG}, {"role": "user", "content": "Who lives there?"}]
    whole = chatting.generate(messages, max_new_tokens=4).prompt_ids
    policy = {"name": "truncate-left", "window": 40}
    result = chatting.generate(messages, window_policy=policy, max_new_tokens=8)
    begin = len(tokenizer("<system>You are a bear.\n")["input_ids"])
    assert len(result.prompt_ids) == 32 < len(whole)
    assert result.prompt_ids == [*whole[:begin], *whole[len(whole) - (32 - begin) :]]
    assert result.trace.notes == [
        f"window_policy: {len(whole) - 32} ids of the prompt were left out behind the first {begin}"
    ]
    assert len(whole) > 2 * 32
    oracle = chatting.generate(list(result.prompt_ids), cache="none", max_new_tokens=8)
    assert result.token_ids == oracle.token_ids
    short = chatting.generate("Once", window_policy=policy, max_new_tokens=8)
    assert short.trace.notes == []
    with pytest.raises(ContextOverflow):
        chatting.generate(messages, window_policy={"name": "truncate-left", "window": 12}, max_new_tokens=8)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("shrink", "one of error, truncate-left, sinks"),
        (3, "one of error, truncate-left, sinks"),
        ("sinks=size=3", "may have window="),
        ("error=window=20", "may have window="),
        ("sinks=window=2", "at least 8 ids"),
        ("sinks=window=100000", "at most the model's"),
    ],
)
def test_a_policy_that_does_not_exist_is_one_clear_error(policy: Any, wanted: str) -> None:
    with pytest.raises((BadOption, UnknownPart), match=wanted):
        host().generate("Once", window_policy=policy, max_new_tokens=4)


def test_where_the_window_sets_no_limit_a_budget_must_be_named() -> None:
    with pytest.raises(BadOption, match="sets no limit"):
        host().generate("Once", window_policy="sinks")
